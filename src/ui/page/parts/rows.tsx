/**
 * @module A short table, and values of an answer as they are: for screens of operators.
 */
import type { ComponentChildren } from 'preact'
import { number } from '../core/format.ts'
import { Digest, Size, Time } from './values.tsx'

export interface RowColumn<R> {
  readonly title: string
  readonly isNumber?: true
  readonly cell: (row: R) => ComponentChildren
}

interface RowsProps<R> {
  readonly columns: readonly RowColumn<R>[]
  readonly rows: readonly R[]
  readonly keyOf: (row: R) => string
}

export function Rows<R>({ columns, rows, keyOf }: RowsProps<R>) {
  return (
    <div class="scroll" tabIndex={0}>
      <table>
        <thead>
          <tr>
            {columns.map(({ title, isNumber }) => (
              <th key={title} class={isNumber ? 'right' : undefined}>
                {title === '' ? <span class="off-screen">…</span> : title}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <tr key={keyOf(row)}>
              {columns.map(({ title, isNumber, cell }) => (
                <td key={title} class={isNumber ? 'right number' : undefined}>
                  {cell(row)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  )
}

/** Levels of an answer that are drawn below each other. */
const levelsMax = 4

interface FactsProps {
  readonly of: unknown
  /** Leaves out what is zero: of counters that are mostly that. */
  readonly isSparse?: boolean
  readonly level?: number
}

const isZero = (value: unknown): boolean =>
  value === 0 ||
  (typeof value === 'object' && value !== null && Object.values(value).every((one) => isZero(one)))

/** An answer of the API as a list of its fields. */
export function Facts({ of, isSparse = false, level = 0 }: FactsProps) {
  if (Array.isArray(of) && of.every((one) => typeof one !== 'object')) return <>{of.join(', ')}</>
  if (typeof of !== 'object' || of === null || level >= levelsMax) return <Fact of={of} />
  const entries = Object.entries(of).filter(
    ([, value]) => value !== undefined && value !== null && !(isSparse && isZero(value)),
  )
  return (
    <dl class="fields">
      {entries.map(([key, value]) => (
        <div key={key}>
          <dt>{words(key)}</dt>
          <dd>
            {isBytes(key, value) ? (
              <Size bytes={value} />
            ) : (
              <Facts of={value} isSparse={isSparse} level={level + 1} />
            )}
          </dd>
        </div>
      ))}
    </dl>
  )
}

const isBytes = (key: string, value: unknown): value is number =>
  typeof value === 'number' && /bytes/i.test(key)

function Fact({ of }: { readonly of: unknown }) {
  if (typeof of === 'number') return <span class="number">{number(of)}</span>
  if (typeof of !== 'string') return <code>{JSON.stringify(of) ?? ''}</code>
  if (/^\d{4}-\d\d-\d\dT[\d:.]+Z$/.test(of)) return <Time at={of} />
  return /^[a-z0-9]+:[0-9a-f]{64}$/.test(of) ? <Digest of={of} /> : of
}

/** `lastRunAt` as `last run at`. */
function words(key: string): string {
  return key
    .replace(/[_-]/g, ' ')
    .replace(/[a-z](?=[A-Z])/g, '$& ')
    .toLowerCase()
}
