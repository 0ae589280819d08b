/** @module The search of an audit file against a reader of the whole: pages, broken lines, bounds. */
import { appendFileSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeEach, describe, expect, test } from 'vitest'
import { type AuditQuery, searchAudit } from '../../../src/observability/audit-search.ts'

const folder = mkdtempSync(join(tmpdir(), 'fastregistry-search-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
const file = join(folder, 'audit.log')
beforeEach(() => rmSync(file, { force: true }))

const line = (n: number, padding = 0) =>
  `${JSON.stringify({ event: 'audit', time: new Date(1.7e12 + n * 1000).toISOString(), n, padding: 'ä'.repeat(padding) })}\n`

type Options = Partial<Omit<AuditQuery<number>, 'pick' | 'signal'>>

const search = (options: Options = {}, pick = (n: number) => n >= 0, path = file) =>
  searchAudit<number>(path, {
    after: undefined,
    limit: 1_000,
    bytesMax: 1e9,
    since: undefined,
    ...options,
    pick: ({ n }) => (typeof n === 'number' && pick(n) ? n : undefined),
    signal: new AbortController().signal,
  })

/** All pages one after the other, and how many there were. */
async function all(options: Options, pick?: (n: number) => boolean) {
  const found: number[] = []
  let after: string | undefined
  for (let pages = 1; ; pages += 1) {
    const page = await search({ ...options, after }, pick)
    if (page.kind !== 'page') throw new Error(page.kind)
    found.push(...page.entries)
    if (page.next === undefined) return { found, pages }
    after = page.next
  }
}

const broken = fc.constantFrom('\n', 'x\n', '{"event":"audit"\n', '{}\n', '[1]\n', 'null\n', '\0\n')

describe('a search of the audit file', () => {
  test('finds every line once, newest first, whatever the pages', async () => {
    const input = fc.array(fc.oneof(fc.integer({ min: 0, max: 60_000 }), broken), { maxLength: 12 })
    await fc.assert(
      fc.asyncProperty(
        input,
        fc.integer({ min: 1, max: 5 }),
        fc.integer({ min: 130_000, max: 400_000 }),
        async (parts, limit, bytesMax) => {
          const texts = parts.map((it, n) => (typeof it === 'number' ? line(n, it) : it))
          writeFileSync(file, texts.join(''))
          const numbers = parts.flatMap((it, n) => (typeof it === 'number' ? [n] : []))
          expect((await all({ limit, bytesMax })).found).toEqual(numbers.reverse())
        },
      ),
      { numRuns: 60 },
    )
  })

  test('leaves out what is still being written', async () => {
    writeFileSync(file, line(1) + line(2).trimEnd())
    expect(await search()).toEqual({ kind: 'page', entries: [1] })
  })

  test('passes over a line that is too long, and what is not even a line', async () => {
    writeFileSync(file, line(1) + line(2, 200_000) + line(3))
    expect(await search()).toEqual({ kind: 'page', entries: [3, 1] })
    // Longer than a whole search.
    const { found, pages } = await all({ bytesMax: 100_000 })
    expect(found).toEqual([3, 1])
    expect(pages).toBeGreaterThan(3)
    writeFileSync(file, Buffer.alloc(300_000))
    expect((await all({ bytesMax: 100_000 })).found).toEqual([])
  })

  test('goes on where it was when lines are appended meanwhile', async () => {
    writeFileSync(file, Array.from({ length: 10 }, (_, n) => line(n)).join(''))
    const first = await search({ limit: 4 })
    expect(first).toMatchObject({ entries: [9, 8, 7, 6] })
    appendFileSync(file, line(10) + line(11))
    const after = 'next' in first ? first.next : undefined
    expect(await search({ after })).toEqual({ kind: 'page', entries: [5, 4, 3, 2, 1, 0] })
  })

  test('says when the file is another one, even of the same length', async () => {
    writeFileSync(file, line(0) + line(1) + line(2))
    const first = await search({ limit: 1 })
    const after = 'next' in first ? first.next : undefined
    expect(after).toBeDefined()
    renameSync(file, join(folder, 'moved.log'))
    expect(await search({ after })).toEqual({ kind: 'rotated' })
    expect(await search()).toEqual({ kind: 'page', entries: [] })
    writeFileSync(file, line(5) + line(6) + line(7))
    expect(await search({ after })).toEqual({ kind: 'rotated' })
    // The first line is the same, but the rest was cut off.
    writeFileSync(file, line(0))
    expect(await search({ after })).toEqual({ kind: 'rotated' })
    const moved = await search({ after }, undefined, join(folder, 'moved.log'))
    expect(moved).toEqual({ kind: 'page', entries: [1, 0] })
    for (const strange of ['', '12', `${after}x`, '000000000000-99999999999999999']) {
      expect(await search({ after: strange })).toEqual({ kind: 'unknown-cursor' })
    }
  })

  test('ends with the first line that is an hour older than what is wanted', async () => {
    writeFileSync(file, [0, 4_000, 8_000, 8_001].map((n) => line(n)).join(''))
    const seen: number[] = []
    const pick = (n: number) => seen.push(n) > 0
    const since = 1.7e12 + 8_000_000
    expect(await search({ since }, pick)).toEqual({ kind: 'page', entries: [8_001, 8_000] })
    expect(seen).toEqual([8_001, 8_000])
  })
})
