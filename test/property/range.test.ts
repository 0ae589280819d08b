/** @module Properties of ranges against a model that marks bytes one by one. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { rangesMax } from '../../src/registry/limits.ts'
import {
  formatContentRange,
  formatUploadRange,
  parseChunkRange,
  parseRange,
} from '../../src/registry/range.ts'

type Spec = { readonly first?: number; readonly last?: number }

const sizes = fc.integer({ min: 1, max: 60 })
const offset = fc.nat({ max: 80 })
const spec: fc.Arbitrary<Spec> = fc.oneof(
  fc.record({ first: offset, last: offset }),
  fc.record({ first: offset }),
  fc.record({ last: offset }),
)

const textOf = ({ first, last }: Spec) => `${first ?? ''}-${last ?? ''}`

/** The bytes that a spec means, by asking each byte; undefined when it is malformed. */
function bytesOf({ first, last }: Spec, size: number): number[] | undefined {
  if (first !== undefined && last !== undefined && last < first) return undefined
  const all = Array.from({ length: size }, (_, index) => index)
  if (first === undefined) return all.filter((index) => index >= size - last!)
  return all.filter((index) => index >= first && (last === undefined || index <= last))
}

describe('Range', () => {
  test('means the bytes that a naive reading means', () => {
    fc.assert(
      fc.property(sizes, fc.array(spec, { minLength: 1, maxLength: 5 }), (size, specs) => {
        const verdict = parseRange(`bytes=${specs.map(textOf).join(',')}`, size)
        const wanted = specs.map((it) => bytesOf(it, size))
        const parts = wanted.filter((it) => it !== undefined && it.length > 0) as number[][]
        const total = parts.reduce((sum, part) => sum + part.length, 0)
        if (wanted.includes(undefined) || parts.length === 0) {
          expect(verdict.kind).toBe('unsatisfiable')
        } else if (parts.length > 1 && total > size) {
          expect(verdict.kind).toBe('abusive')
        } else {
          const spans = parts.map((part) => ({ offset: part[0], length: part.length }))
          expect(verdict).toEqual({ kind: 'parts', spans })
        }
      }),
      { numRuns: 2000 },
    )
  })

  test('of any text is one of four verdicts, with spans inside the resource', () => {
    const text = fc.oneof(
      fc.string(),
      fc.string({ unit: fc.constantFrom(...'bytes=0123456789-, \t') }),
      fc.string({ unit: fc.constantFrom(...'0123456789-,') }).map((it) => `bytes=${it}`),
    )
    fc.assert(
      fc.property(text, fc.nat({ max: 1_000_000 }), (header, size) => {
        const verdict = parseRange(header, size)
        if (verdict.kind !== 'parts') return
        for (const span of verdict.spans) {
          expect(span.offset).toBeGreaterThanOrEqual(0)
          expect(span.length).toBeGreaterThan(0)
          expect(span.offset + span.length).toBeLessThanOrEqual(size)
          expect(formatContentRange(span, size)).toBe(
            `bytes ${span.offset}-${span.offset + span.length - 1}/${size}`,
          )
        }
      }),
      { numRuns: 1000 },
    )
  })

  test('has a bound on its number', () => {
    const header = (count: number) =>
      `bytes=${Array.from({ length: count }, (_, index) => `${index}-${index}`).join(',')}`
    expect(parseRange(header(rangesMax), 1e6)).toMatchObject({ kind: 'parts' })
    expect(parseRange(header(rangesMax + 1), 1e6)).toEqual({ kind: 'abusive' })
    expect(parseRange(`bytes=${','.repeat(100_000)}`, 1e6)).toEqual({ kind: 'abusive' })
  })
})

describe('Content-Range of a chunk', () => {
  const chunk = fc.tuple(fc.maxSafeNat(), fc.nat()).filter(([a, b]) => a + b < 2 ** 53 - 1)

  test('is read in all its writings', () => {
    const prefix = fc.constantFrom('', 'bytes ', 'bytes=')
    const suffix = fc.constantFrom('', '/*', '/123')
    fc.assert(
      fc.property(chunk, prefix, suffix, ([first, more], before, after) => {
        const parsed = parseChunkRange(`${before}${first}-${first + more}${after}`)
        expect(parsed).toEqual({ offset: first, length: more + 1 })
      }),
    )
  })

  test('of any text is a span of at least one byte, or nothing', () => {
    const text = fc.oneof(
      fc.string(),
      fc.string({ unit: fc.constantFrom(...'0123456789-/* bytes=') }),
    )
    fc.assert(
      fc.property(text, (header) => {
        const span = parseChunkRange(header)
        if (span === undefined) return
        expect(span.length).toBeGreaterThan(0)
        expect(Number.isSafeInteger(span.offset + span.length)).toBe(true)
      }),
      { numRuns: 1000 },
    )
  })

  test('continues what the status said', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 1e12 }), (received) => {
        const [first, last] = formatUploadRange(received).split('-').map(Number)
        expect([first, last! + 1]).toEqual([0, received])
      }),
    )
    expect(formatUploadRange(0)).toBe('0-0')
  })
})
