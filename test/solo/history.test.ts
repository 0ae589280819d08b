/**
 * @module The order of transactions decides every shared row, in real use too: what the HTTP suites asked
 * their stores to commit is applied twice, as on two machines. They differ in their clocks, in which
 * transactions share a flush, and in the work of their own that comes in between. Each shared table is the
 * same byte for byte.
 *
 * `FASTREGISTRY_RECORD=FOLDER` names a folder that `npm test` filled (as in `.ci/run`). Without it some suites
 * run here first.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { applyTogether } from '../../src/metadata/apply/transaction.ts'
import { LmdbEnvironment } from '../../src/metadata/lmdb/environment.ts'
import { DATABASES, type DatabaseName } from '../../src/metadata/schema.ts'
import type { Change, CommitOutcome, Transaction } from '../../src/metadata/transaction.ts'
import { isShared, mixesScopes } from '../../src/metadata/transaction.ts'
import { readHistory } from '../support/history-file.ts'
import { asName } from '../support/registry-client.ts'

/** Suites that go through every kind of change, for when there is no recording. */
const SUITES = [
  'test/http/gc/collection',
  'test/http/mirror/pull',
  'test/http/registry/conditional',
  'test/http/registry/delete',
  'test/http/registry/mount',
]

/** All histories together are applied for so long; the rest is left out, and said. */
const budgetMs = 40_000

const shared = (Object.keys(DATABASES) as DatabaseName[]).filter(
  (name) => DATABASES[name].scope === 'shared',
)

let work: string
let recorded: string
beforeAll(() => {
  work = mkdtempSync(join(tmpdir(), 'fastregistry-history-'))
  recorded = process.env['FASTREGISTRY_RECORD'] ?? join(work, 'recorded')
  if (existsSync(recorded)) return
  const vitest = fileURLToPath(new URL('../../node_modules/vitest/vitest.mjs', import.meta.url))
  const words = ['run', '--config', 'test/vitest.config.ts', '--project', 'http', ...SUITES]
  spawnSync(process.execPath, [vitest, ...words], {
    cwd: fileURLToPath(new URL('../..', import.meta.url)),
    env: { ...process.env, FASTREGISTRY_RECORD: recorded, FASTREGISTRY_BUILT: '1' },
    stdio: 'ignore',
  })
}, 180_000)
afterAll(() => rmSync(work, { recursive: true, force: true, maxRetries: 5 }))

/** What a node is, beside the order of the transactions. */
interface Node {
  readonly clock: number
  /** Transactions that share a flush, in turn. */
  readonly batches: readonly number[]
  /** What of a transaction this node applies. */
  readonly own: (it: Transaction) => Transaction | undefined
  /** Its own work, before each batch. */
  readonly between: readonly Transaction[]
}

const put = (key: string, row: number): Change => ({ change: 'put', in: 'system', key, row })
const local = (...changes: Change[]): Transaction => ({ checks: [], changes })
const upload = {
  repository: asName('else/where'),
  algorithm: 'sha256',
  offsetBytes: 0,
  startedAt: 1,
  touchedAt: 1,
  client: 'c',
} as const

/** What was decided: which verdicts it took the force from hangs on the rows of one node. */
function said(outcome: CommitOutcome): CommitOutcome {
  if (!outcome.applied) return outcome
  const { dropped: _, ...rest } = outcome
  return rest
}

/** The node that was recorded, and one that hears of it all. */
const here: Node = {
  clock: 1_000_000_000_000,
  batches: [1, 7, 2, 40],
  own: (it) => it,
  between: [],
}
const elsewhere: Node = {
  clock: 4_000_000_000_000,
  batches: [5, 1, 1, 90, 3],
  // Changes of a node's own tables are applied where they were made.
  own: (it) =>
    isShared(it)
      ? { ...it, changes: it.changes.filter((one) => DATABASES[one.in].scope === 'shared') }
      : undefined,
  between: [
    local(put('clockSeenAt', 7)),
    local({ change: 'put', in: 'uploads', key: 'elsewhere', row: upload }, put('checkpointAt', 8)),
  ],
}

function applyOn(node: Node, history: readonly Transaction[], folder: string) {
  const environment = new LmdbEnvironment(folder, true)
  let time = node.clock
  const spies = [
    vi.spyOn(Date, 'now').mockImplementation(() => time++),
    vi.spyOn(performance, 'now').mockImplementation(() => time++),
  ]
  const outcomes: CommitOutcome[] = []
  const order = history.flatMap((it) => node.own(it) ?? [])
  for (let at = 0, turn = 0; at < order.length; turn += 1) {
    const size = node.batches[turn % node.batches.length]!
    const batch = order.slice(at, at + size)
    const [, applied] = environment.writeSync(() =>
      applyTogether(environment, [node.between, batch]),
    )
    for (const [index, it] of batch.entries())
      if (isShared(it)) outcomes.push(said(applied![index]!))
    at += size
  }
  for (const spy of spies) spy.mockRestore()
  return { environment, outcomes }
}

/** Every row of a shared table as it is stored. */
function* rowsOf(environment: LmdbEnvironment, name: DatabaseName): Generator<string> {
  const keys = [...environment.keys(name, { start: '', end: '\u{10ffff}' })]
  for (const key of keys) {
    const bytes = environment.getBytes(name, key as string)!
    yield `${name} ${JSON.stringify(key)} ${Buffer.from(bytes).toString('base64')}`
  }
}

const seen = { histories: 0, leftOut: 0, transactions: 0, refused: 0, rows: 0 }
const changes = new Map<string, number>()

test('what the suites committed makes the same shared rows on two machines', async () => {
  const startedAt = performance.now()
  for (const name of readdirSync(recorded).sort()) {
    if (performance.now() - startedAt > budgetMs) {
      seen.leftOut += 1
      continue
    }
    const history = readHistory(join(recorded, name))
    expect(history.filter(mixesScopes)).toEqual([])
    const [one, other] = [here, elsewhere].map((node, index) =>
      applyOn(node, history, join(work, `${name}-${index}`)),
    ) as [ReturnType<typeof applyOn>, ReturnType<typeof applyOn>]
    expect(other.outcomes).toEqual(one.outcomes)
    for (const table of shared) {
      const rows = [...rowsOf(one.environment, table)]
      expect([...rowsOf(other.environment, table)], `${name}: ${table}`).toEqual(rows)
      seen.rows += rows.length
    }
    seen.histories += 1
    seen.transactions += one.outcomes.length
    seen.refused += one.outcomes.filter(({ applied }) => !applied).length
    for (const { changes: all } of history) {
      for (const { change, in: table } of all) {
        changes.set(change, (changes.get(change) ?? 0) + 1)
        if (table.startsWith('mirror')) changes.set(table, (changes.get(table) ?? 0) + 1)
      }
    }
    await one.environment.close()
    await other.environment.close()
    for (const index of [0, 1]) rmSync(join(work, `${name}-${index}`), { recursive: true })
  }
  console.log(
    `MEASURED histories of the suites: ${JSON.stringify({ ...seen, ...Object.fromEntries(changes) })}`,
  )
  const kinds = ['put', 'putIfAbsent', 'delete', 'raise', 'arrive', 'event', 'move-tag', 'sweep']
  for (const kind of [...kinds, 'mirrorTags', 'mirrorBlobs']) {
    expect(changes.get(kind), `no recorded transaction has ${kind}`).toBeGreaterThan(0)
  }
}, 120_000)
