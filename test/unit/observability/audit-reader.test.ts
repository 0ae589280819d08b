import { appendFileSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeEach, expect, test } from 'vitest'
import {
  type AuditPlace,
  type AuditQuery,
  readAuditPage,
} from '../../../src/observability/audit-reader.ts'

const folder = mkdtempSync(join(tmpdir(), 'fastregistry-audit-reader-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
const path = join(folder, 'audit.log')

const timeOf = (index: number) => new Date(1_700_000_000_000 + index * 1_000).toISOString()
const lineOf = (index: number, more: object = {}) =>
  `${JSON.stringify({ event: 'audit', time: timeOf(index), action: 'push', decision: 'done', requestId: `r${index}`, ...more })}\n`

/** Lines of many lengths, so that they meet the borders of pieces everywhere. */
const count = 3_000
beforeEach(() => {
  const lines = Array.from({ length: count }, (_, index) => {
    return lineOf(index, { reference: 'x'.repeat((index * 37) % 400) })
  })
  writeFileSync(path, lines.join(''))
})

const everything: AuditQuery = {
  fits: () => true,
  since: undefined,
  limit: 100,
  from: undefined,
}

async function readAll(query: Partial<AuditQuery>): Promise<(string | undefined)[]> {
  const found: (string | undefined)[] = []
  let from: AuditPlace | undefined
  do {
    const page = (await readAuditPage(path, { ...everything, ...query, from }))!
    expect(page.lines.length).toBeLessThanOrEqual(query.limit ?? 100)
    found.push(...page.lines.map(({ requestId }) => requestId))
    from = page.next
  } while (from !== undefined)
  return found
}

const newestFirst = Array.from({ length: count }, (_, index) => `r${count - 1 - index}`)

test.each([1, 7, 100, count - 1, count, count + 1])(
  'pages of %d lines have every line once, newest first',
  async (limit) => {
    expect(await readAll({ limit })).toEqual(newestFirst)
  },
)

test('filters see every line, and no page follows the last that fits', async () => {
  const fits = ({ requestId }: { readonly requestId?: string | undefined }) => {
    return requestId!.endsWith('00')
  }
  expect(await readAll({ fits, limit: 4 })).toEqual(newestFirst.filter((id) => id.endsWith('00')))
  const page = await readAuditPage(path, { ...everything, fits, limit: 30 })
  expect(page).toMatchObject({ next: undefined })
})

test('lines before a time are not read', async () => {
  let looked = 0
  const fits = () => {
    looked += 1
    return true
  }
  const since = timeOf(count - 10)
  const page = await readAuditPage(path, { ...everything, fits, since })
  expect(page?.lines).toHaveLength(10)
  expect(page?.next).toBeUndefined()
  expect(looked).toBe(10)
})

test('a page goes on where it ended though the file grows', async () => {
  const first = (await readAuditPage(path, everything))!
  appendFileSync(path, lineOf(count))
  const second = (await readAuditPage(path, { ...everything, from: first.next }))!
  expect(second.lines[0]?.requestId).toBe(`r${count - 101}`)
})

test('a file that was rotated is told, one that is missing fails', async () => {
  const { next } = (await readAuditPage(path, everything))!
  renameSync(path, `${path}.1`)
  writeFileSync(path, lineOf(1))
  expect(await readAuditPage(path, { ...everything, from: next })).toBeUndefined()
  writeFileSync(path, '')
  expect(await readAuditPage(path, everything)).toEqual({ lines: [], next: undefined })
  const missing = readAuditPage(join(folder, 'none'), everything)
  await expect(missing).rejects.toMatchObject({ code: 'ENOENT' })
})

test('what is no line of ours is passed over, however long', async () => {
  const huge = 'y'.repeat(300_000)
  const odd = [
    '{"event":"audit"',
    '[1]',
    'null',
    '',
    '{"event":"request","time":"x"}',
    huge,
    '\u0000',
  ]
  writeFileSync(
    path,
    `${huge}\n${lineOf(1)}${odd.join('\n')}\n${lineOf(2)}${huge}\n${lineOf(3)}{"event":"au`,
  )
  expect(await readAll({})).toEqual(['r3', 'r2', 'r1'])
  expect(await readAll({ limit: 1 })).toEqual(['r3', 'r2', 'r1'])
})
