/**
 * @module How the copies of this node stand to its rows, as the last pass of the repair has counted them. Nothing is
 * known from the moment when owners may be others until a pass has been made over all rows.
 */
import { groupCount } from '../placement.ts'

/**
 * `owned`: here, and this node owns it. `lacking`: owned and not here. `kept`: here, others own it, and they have not
 * taken it over yet. `cached`: here for pulls alone.
 */
export const copyKinds = ['owned', 'lacking', 'kept', 'cached'] as const
export type CopyKind = (typeof copyKinds)[number]

export interface Amount {
  readonly blobs: number
  readonly bytes: number
}

export interface CopyFigures extends Readonly<Record<CopyKind, Amount>> {
  /** Number of the pass in this run of the node, 1 or more. */
  readonly pass: number
  /** When it was counted, ms since 1970; what the repair has done since is in it. */
  readonly countedAt: number
}

type Sums = Record<CopyKind, { blobs: number; bytes: number }>

/** Of one placement group: blobs that are files, by their rows, and what of them is here. */
export interface GroupFigures extends Readonly<Record<CopyKind, Amount>> {
  readonly rows: Amount
}

/** Two numbers, of blobs and of bytes, for each of these, one behind the other. */
const columns = ['rows', ...copyKinds] as const
type Column = (typeof columns)[number]

/** The same for each group. */
class GroupSums {
  readonly #numbers = new Float64Array(groupCount * columns.length * 2)

  add(group: number, column: Column, blobs: number, bytes: number): void {
    const at = this.#at(group, column)
    this.#numbers[at] = Math.max(0, this.#numbers[at]! + blobs)
    this.#numbers[at + 1] = Math.max(0, this.#numbers[at + 1]! + bytes)
  }

  of(group: number): GroupFigures {
    const amounts = columns.map((column) => {
      const at = this.#at(group, column)
      return [column, { blobs: this.#numbers[at]!, bytes: this.#numbers[at + 1]! }] as const
    })
    return Object.fromEntries(amounts) as unknown as GroupFigures
  }

  #at(group: number, column: Column): number {
    return (group * columns.length + columns.indexOf(column)) * 2
  }
}

export class Standing {
  readonly #membersNow: () => unknown
  #pass = 0
  #countedFor: unknown
  #next: Sums = noCopies()
  #nextGroups: GroupSums | undefined
  #known:
    | {
        readonly of: unknown
        readonly sums: Sums
        readonly groups: GroupSums
        readonly countedAt: number
      }
    | undefined

  /** `membersNow`: another object whenever owners may be others. */
  constructor(membersNow: () => unknown) {
    this.#membersNow = membersNow
  }

  /** Undefined: not known yet. */
  get figures(): CopyFigures | undefined {
    const known = this.#knownNow
    if (known === undefined) return undefined
    const { sums, countedAt } = known
    const copies = Object.fromEntries(copyKinds.map((kind) => [kind, { ...sums[kind] }]))
    return { ...(copies as unknown as Sums), pass: this.#pass, countedAt }
  }

  /** The groups from this one on, at most so many. Undefined: not known yet. */
  groups(from: number, count: number): readonly GroupFigures[] | undefined {
    const groups = this.#knownNow?.groups
    const length = Math.min(count, groupCount - from)
    return groups && Array.from({ length }, (_, at) => groups.of(from + at))
  }

  /** A pass begins. */
  begin(): void {
    this.#countedFor = this.#membersNow()
    this.#next = noCopies()
    this.#nextGroups = new GroupSums()
  }

  /** A row of a blob that is a file, and what of it is here; undefined: nothing, and nothing is to be. */
  count(kind: CopyKind | undefined, bytes: number, group: number): void {
    this.#nextGroups?.add(group, 'rows', 1, bytes)
    if (kind === undefined) return
    add(this.#next[kind], 1, bytes)
    this.#nextGroups?.add(group, kind, 1, bytes)
  }

  /** All rows were looked at. */
  finish(countedAt: number): void {
    this.#pass += 1
    const groups = this.#nextGroups ?? new GroupSums()
    this.#known = { of: this.#countedFor, sums: this.#next, groups, countedAt }
    this.#next = noCopies()
    this.#nextGroups = undefined
  }

  /** The repair has made one of these out of one of those, behind `finish`. */
  move(from: CopyKind, to: CopyKind, bytes: number, group: number): void {
    if (this.#known === undefined) return
    const { sums, groups } = this.#known
    add(sums[from], -1, -bytes)
    add(sums[to], 1, bytes)
    groups.add(group, from, -1, -bytes)
    groups.add(group, to, 1, bytes)
  }

  get #knownNow() {
    const known = this.#known
    return known?.of === this.#membersNow() ? known : undefined
  }
}

function noCopies(): Sums {
  const nothing = () => ({ blobs: 0, bytes: 0 })
  return { owned: nothing(), lacking: nothing(), kept: nothing(), cached: nothing() }
}

function add(sum: Sums[CopyKind], blobs: number, bytes: number): void {
  sum.blobs = Math.max(0, sum.blobs + blobs)
  sum.bytes = Math.max(0, sum.bytes + bytes)
}
