/**
 * @module Whole runs of a sync against random histories: upstream pushes, moves, deletes, signs and lets tags
 * end, clients push and delete here, filters change, and the process is killed at any request or commit. After
 * the next full pass the copy is what the filter leaves of upstream, digest for digest, with everything that is
 * attached. At every commit each tag of the sync is whole, is what upstream has meant by it, and was the sync's
 * to move. No blob that is here is fetched again.
 *
 * FASTREGISTRY_SYNC_HISTORIES=N runs more of them, FASTREGISTRY_SYNC_SEED=S the one that is named in a failure.
 */
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { SyncSourceConfig } from '../../src/config/config.ts'
import { dropTag } from '../../src/metadata/edits.ts'
import type { MetadataStore } from '../../src/metadata/port.ts'
import type { TagRow } from '../../src/metadata/schema.ts'
import type { Change, Transaction } from '../../src/metadata/transaction.ts'
import type { Digest } from '../../src/registry/digest.ts'
import type { RepositoryName } from '../../src/registry/name.ts'
import { Semaphore } from '../../src/runtime/semaphore.ts'
import { PlanRefusal } from '../../src/sync/prune/apply.ts'
import { Seeded } from '../crash/support/seeded.ts'
import { openTemporaryStorage, type TemporaryStorage } from '../support/open-store.ts'
import { asDigest, asName, asTag, sha256 } from '../support/registry-client.ts'
import { missingBelow } from '../support/sync-copy.ts'
import { SyncHistory, TAGS } from '../support/sync-history.ts'
import { SyncNode } from '../support/sync-node.ts'
import { load } from '../unit/config/load-text.ts'

const given = process.env['FASTREGISTRY_SYNC_SEED']
const seeds =
  given === undefined
    ? Array.from({ length: Number(process.env['FASTREGISTRY_SYNC_HISTORIES'] ?? 40) }, () =>
        Math.floor(Math.random() * 1e9),
      )
    : [Number(given)]

/** Runs of one history. */
const runsPerHistory = 8

/** Steps of a run that it may be killed at: some runs are over before. */
const killStepsMax = 120

/** What is looked for again in an unchanged tag, ms: `referrers_every` and `full_every` are shorter. */
const everythingDueMs = 26 * 3_600_000

interface Filter {
  readonly yaml: string
  readonly repository?: (name: string) => boolean
  readonly tag?: (tag: string) => boolean
  readonly newest?: number
}

const FILTERS: readonly Filter[] = [
  { yaml: '' },
  { yaml: 'tags: { include: ["v*"] }', tag: (it) => it.startsWith('v') },
  { yaml: 'tags: { exclude: ["rc*", latest] }', tag: (it) => it.startsWith('v') },
  { yaml: 'tags: { newest: 2 }', newest: 2 },
  { yaml: 'tags: { include: ["v[12]"], newest: 1 }', tag: (it) => /^v[12]$/.test(it), newest: 1 },
  { yaml: 'exclude_repositories: ["*/d"]', repository: (it) => !it.endsWith('/d') },
]

interface Rules {
  readonly filter: Filter
  readonly onChange: 'follow' | 'keep'
  readonly overwrites: boolean
  readonly prunes: boolean
}

type Kill =
  | { readonly at: number; readonly when: 'before' | 'after' | 'request' }
  | { readonly at: undefined }

const seen = { runs: 0, kills: 0, moves: 0, pruned: 0, tags: 0, attached: 0, conflicts: 0 }

/** One history with its copy. */
class Copy {
  readonly history: SyncHistory
  readonly faults: string[] = []
  readonly #store: MetadataStore
  readonly #storage: TemporaryStorage['storage']
  readonly #chance: Seeded
  readonly #source: string
  /** One write at a time, so that what was there before each is known. */
  readonly #turns = new Semaphore(1)
  /** `repository:tag` → what the sync has written there. */
  readonly #wrote = new Map<string, Digest>()
  readonly #whole = new Set<string>()
  #rules: Rules
  #config: SyncSourceConfig | undefined
  #node: SyncNode | undefined
  #steps = 0
  #kill: Kill = { at: undefined }
  #interlude: number | undefined
  /** When the filters changed last, ms. */
  #changedAt = 0
  readonly done: string[] = []

  constructor(seed: number, { storage }: TemporaryStorage) {
    this.#chance = new Seeded(seed)
    this.#source = `s${seed}`
    this.#storage = storage
    this.#store = storage.metadata
    this.history = new SyncHistory(`o${seed}`, new Seeded(seed, 'upstream'))
    this.#rules = {
      filter: FILTERS[0]!,
      onChange: 'follow',
      overwrites: this.#chance.chance(0.15),
      prunes: this.#chance.chance(0.5),
    }
  }

  get #by(): string {
    return `sync:${this.#source}`
  }

  async start(): Promise<void> {
    const { quay } = this.history
    await quay.start()
    this.history.begin()
    const looked = new WeakSet<object>()
    quay.switches.fault = (of, request) => {
      // It is asked before the answer and for it.
      if (looked.has(request)) return undefined
      looked.add(request)
      const { url = '' } = request
      if (of === 'storage') this.#lookAtFetch(url)
      this.#step('request')
      // What a dead process asks for is answered so that it gives up.
      return this.#node?.isKilled === true ? { kind: 'status', status: 404 } : undefined
    }
  }

  async stop(): Promise<void> {
    await this.#node?.close()
    await this.history.quay.stop()
  }

  /** Some time in the life of both. */
  async live(): Promise<void> {
    const chance = this.#chance
    for (let count = chance.between(1, 12); count > 0; count -= 1) {
      if (chance.chance(0.85)) this.done.push(this.history.act())
      else this.done.push(await this.#client())
    }
    if (chance.chance(0.35)) await this.#change()
    this.history.clock.advance(chance.pick([0, 5_000, 700_000, 7_300_000, everythingDueMs]))
    await this.#run()
    if (this.#rules.prunes && chance.chance(0.5)) await this.#applyPlan()
  }

  /** The next full pass, to its end, and what has to be here then. */
  async settle(): Promise<void> {
    const { clock } = this.history
    clock.advance(everythingDueMs)
    const node = await this.#opened()
    await node.idle()
    clock.advance(everythingDueMs)
    const before = this.#tagsHere()
    await node.run({ isFull: true, isForced: true })
    const { lastResult, failures, message } = node.status
    expect({ lastResult, failures, message }).toEqual({
      lastResult: 'ok',
      failures: [],
      message: undefined,
    })
    expect(node.faults).toEqual([])
    this.#compare(before)
  }

  async #run(): Promise<void> {
    const chance = this.#chance
    const node = await this.#opened()
    seen.runs += 1
    this.#steps = 0
    this.#interlude = chance.chance(0.3) ? chance.between(1, killStepsMax) : undefined
    this.#kill = chance.chance(0.6)
      ? {
          at: chance.between(1, killStepsMax),
          when: chance.pick(['before', 'after', 'request'] as const),
        }
      : { at: undefined }
    const isFull = chance.chance(0.4)
    this.done.push(`run${isFull ? ' full' : ''} ${JSON.stringify(this.#kill)}`)
    await node.idle()
    await node.run({ isFull })
    this.#kill = { at: undefined }
    this.#interlude = undefined
    if (!node.isKilled) return
    seen.kills += 1
    this.done.push('killed')
    await this.#end()
  }

  async #applyPlan(): Promise<void> {
    const node = await this.#opened()
    await node.idle()
    const plan = node.prune.plans
      .list()
      .find(({ row }) => row.source === this.#source && row.state === 'ready')
    if (plan === undefined) return
    this.done.push('apply plan')
    try {
      const { ended } = await node.prune.apply(plan.id, 'operator')
      await ended
    } catch (error) {
      // The pass that would have made another by the new filters was killed.
      if (!(error instanceof PlanRefusal) || plan.row.createdAt > this.#changedAt) throw error
      this.done.push(`refused: ${error.message}`)
    }
  }

  /** Another configuration comes with a start. */
  async #change(): Promise<void> {
    const chance = this.#chance
    await this.#end()
    this.#rules = {
      ...this.#rules,
      filter: chance.pick(FILTERS),
      onChange: chance.chance(0.8) ? 'follow' : 'keep',
    }
    this.#config = undefined
    this.#changedAt = this.history.clock.now()
    this.done.push(`filter ${this.#rules.filter.yaml} ${this.#rules.onChange}`)
  }

  async #end(): Promise<void> {
    const node = this.#node
    await node?.close()
    this.#node = undefined
  }

  async #opened(): Promise<SyncNode> {
    if (this.#node !== undefined) return this.#node
    const config = await this.#read()
    const { clock } = this.history
    const commit = (it: Transaction, apply: MetadataStore['commit']) => this.#commit(it, apply)
    this.#node = await SyncNode.open({ storage: this.#storage, config, clock, commit })
    return this.#node
  }

  async #read(): Promise<SyncSourceConfig> {
    if (this.#config !== undefined) return this.#config
    const { filter, onChange, overwrites, prunes } = this.#rules
    const lines = [
      `name: ${this.#source}`,
      'type: quay',
      `url: "${this.history.quay.url}"`,
      `organizations: ["${this.history.organization}"]`,
      'mode: manual',
      'concurrency: 3',
      `on_change: ${onChange}`,
      `overwrite: ${overwrites}`,
      `prune: { enabled: ${prunes}, max_percent: 100 }`,
      ...(filter.yaml === '' ? [] : [filter.yaml]),
    ]
    const text = `sync:\n  sources:\n    - ${lines.join('\n      ')}\n`
    this.#config = (await load(text)).sync.sources[0]!
    return this.#config
  }

  /** A client pushes or deletes here. */
  async #client(): Promise<string> {
    const chance = this.#chance
    const path = asName(chance.pick(this.history.paths))
    const tag = asTag(chance.pick(TAGS))
    const at = this.history.clock.now()
    const row = this.#store.get('tags', [path, tag])
    if (row !== undefined && chance.chance(0.5)) {
      const { changes } = dropTag(path, tag, row, { at, by: 'alice', why: '' })
      await this.#write(changes)
      return `client deletes ${path}:${tag}`
    }
    const digest = sha256(`${this.#source} client ${at} ${path} ${tag}`)
    const move = { change: 'move-tag', in: 'tags', key: [path, tag], digest, at } as const
    await this.#write([{ ...move, by: 'alice', isImmutable: false }])
    return `client pushes ${path}:${tag}`
  }

  async #write(changes: readonly Change[]): Promise<void> {
    const give = await this.#turns.take()
    await this.#store.commit({ checks: [], changes }).finally(give)
  }

  /** Counts, and ends the process where it is due. */
  #step(when: 'before' | 'after' | 'request'): void {
    this.#steps += 1
    if (this.#interlude !== undefined && this.#steps >= this.#interlude) {
      this.#interlude = undefined
      this.done.push(`meanwhile ${this.history.act(false)}`)
    }
    const { at } = this.#kill
    if (at === undefined || this.#steps < at || this.#kill.when !== when) return
    this.#node?.kill()
  }

  async #commit(it: Transaction, apply: MetadataStore['commit']) {
    const give = await this.#turns.take()
    try {
      this.#step('before')
      const before = new Map<string, TagRow | undefined>()
      for (const one of it.changes) {
        if (one.in === 'tags') before.set(one.key.join(':'), this.#store.get('tags', one.key))
      }
      const outcome = await apply(it)
      if (outcome.applied) {
        for (const one of it.changes) {
          if (one.in === 'tags') this.#judge(one, before)
          if (one.in === 'links') this.#requireOwner(one.key[0])
        }
      }
      this.#step('after')
      return outcome
    } finally {
      give()
    }
  }

  /** Whether the sync was right to write this. */
  #judge(change: Change, before: ReadonlyMap<string, TagRow | undefined>): void {
    if (change.in !== 'tags') return
    const key = change.key.join(':')
    const [path, tag] = change.key
    const row = before.get(key)
    if (change.change === 'delete') {
      seen.pruned += 1
      if (!this.#isOwned(key, row)) this.faults.push(`${key} was deleted, and was not the sync's`)
      const named = tag.startsWith('sha256-')
      const isThere = this.history.live(path).some(({ name }) => name === tag)
      if (!named && isThere) this.faults.push(`${key} was deleted, and upstream has it`)
      this.#wrote.delete(key)
      return
    }
    if (change.change !== 'move-tag') return
    seen.moves += 1
    const { digest } = change
    if (change.by !== this.#by) this.faults.push(`${key} is moved by ${change.by}`)
    if (this.history.everMeant.get(key)?.has(digest) !== true) {
      this.faults.push(`upstream never meant ${digest} by ${key}`)
    }
    const onChange = tag.startsWith('sha256-') ? 'follow' : this.#rules.onChange
    if (!this.#mayMove(key, row, onChange)) this.faults.push(`${key} was not to be moved`)
    this.#wrote.set(key, digest)
    if (!this.#isWhole(path, digest)) this.faults.push(`${key} lacks some of its content`)
  }

  /** What a repository holds may be linked elsewhere after a crash, too. */
  #requireOwner(path: RepositoryName): void {
    const row = this.#store.get('syncRepositories', [this.#source, path])
    if (row === undefined) this.faults.push(`${path} holds a blob, and nobody knows whose it is`)
  }

  #isOwned(key: string, row: TagRow | undefined): boolean {
    return row !== undefined && row.by === this.#by && this.#wrote.get(key) === row.digest
  }

  #mayMove(key: string, row: TagRow | undefined, onChange: Rules['onChange']): boolean {
    if (row === undefined) return !this.#wrote.has(key) || this.#rules.overwrites
    if (!this.#isOwned(key, row)) return this.#rules.overwrites
    return onChange === 'follow'
  }

  /** Nothing is collected here: what was whole once stays so. */
  #isWhole(path: RepositoryName, digest: Digest): boolean {
    const key = `${path} ${digest}`
    const isFallback = this.history.quay.model.repositories
      .get(path)
      ?.everyTag.some((tag) => tag.digest === digest && /^sha256-[0-9a-f]{64}$/.test(tag.name))
    // The list of referrers may name what is not there.
    if (isFallback === true || this.#whole.has(key)) return true
    const missing = missingBelow(this.#store, path, digest)
    if (missing.length > 0) return false
    this.#whole.add(key)
    return true
  }

  /** A blob that a repository of the source holds is not asked for; one that is not selected says nothing. */
  #lookAtFetch(url: string): void {
    const digest = /(sha256:[0-9a-f]{64})/.exec(url)?.[1]
    if (digest === undefined || this.#node?.isKilled === true) return
    const { repository } = this.#rules.filter
    const holder = this.history.paths.find(
      (path) =>
        repository?.(path) !== false &&
        this.#store.get('links', [asName(path), asDigest(digest)]) !== undefined,
    )
    if (holder !== undefined) this.faults.push(`${digest} is fetched again, ${holder} holds it`)
  }

  #tagsHere(): Map<string, TagRow> {
    const found = new Map<string, TagRow>()
    for (const path of this.history.paths) {
      for (const { key, row } of this.#store.entries('tags', [path], undefined, 1_000)) {
        found.set(key.join(':'), row)
      }
    }
    return found
  }

  /** What the filter leaves of upstream is here; of the rest, what was here. */
  #compare(before: ReadonlyMap<string, TagRow>): void {
    const here = this.#tagsHere()
    const { filter, prunes } = this.#rules
    const selected = new Map<string, Digest>()
    for (const path of this.history.paths) {
      if (filter.repository?.(path) === false) continue
      const tags = this.history.live(path).filter(({ name }) => filter.tag?.(name) !== false)
      for (const { name, digest } of tags.slice(0, filter.newest ?? tags.length)) {
        selected.set(`${path}:${name}`, asDigest(digest))
      }
    }
    for (const [key, digest] of selected) {
      const row = here.get(key)
      const old = before.get(key)
      seen.tags += 1
      const follows = old?.digest === digest || this.#wouldMove(key, old, row)
      if (!follows) seen.conflicts += 1
      expect(row?.digest, key).toBe(follows ? digest : old?.digest)
      if (follows) this.#compareAttached(key, digest, here, before)
    }
    const upstream = (key: string) =>
      this.history.live(key.split(':')[0]!).some(({ name }) => key.endsWith(`:${name}`))
    for (const [key, old] of before) {
      if (selected.has(key) || key.includes(':sha256-')) continue
      const isPruned = prunes && !here.has(key) && !upstream(key)
      if (!isPruned) expect(here.get(key), key).toEqual(old)
    }
    for (const key of here.keys()) {
      const isKnown = selected.has(key) || before.has(key) || key.includes(':sha256-')
      expect(isKnown, `${key} is here, and was not wanted`).toBe(true)
    }
  }

  /** By what was there before the pass: what it wrote itself says nothing. */
  #wouldMove(key: string, old: TagRow | undefined, row: TagRow | undefined): boolean {
    if (old !== undefined) {
      const isMine = old.by === this.#by
      if (!isMine) return this.#rules.overwrites
      return this.#rules.onChange === 'follow'
    }
    // It was deleted here, by a client, when the sync had written it and it has not come back.
    const isDeletedHere = row === undefined && this.#wrote.has(key)
    return !isDeletedHere || this.#rules.overwrites
  }

  #compareAttached(
    key: string,
    digest: Digest,
    here: ReadonlyMap<string, TagRow>,
    before: ReadonlyMap<string, TagRow>,
  ): void {
    const [path = ''] = key.split(':')
    for (const subject of this.history.manifestsOf(path, digest)) {
      const { tags, referrers } = this.history.attachedTo(path, subject)
      for (const tag of tags) {
        const name = `${path}:${tag.name}`
        seen.attached += 1
        expect(here.get(name)?.digest, `${name} of ${key}`).toBe(tag.digest)
        expect(before.get(name)?.by ?? this.#by).toBe(this.#by)
      }
      for (const one of referrers) {
        seen.attached += 1
        const row = this.#store.get('manifests', [asName(path), asDigest(one)])
        expect(row?.subject, `referrer ${one} of ${key}`).toBeDefined()
      }
    }
  }
}

let temporary: TemporaryStorage
beforeAll(async () => {
  temporary = await openTemporaryStorage({ durability: 'relaxed' })
})
afterAll(async () => {
  await temporary.close()
  console.log(
    `MEASURED histories of syncs: ${JSON.stringify({ histories: seeds.length, ...seen })}`,
  )
})

test.each(seeds)('after any history the next full pass makes the copy right (%i)', async (seed) => {
  const copy = new Copy(seed, temporary)
  await copy.start()
  try {
    for (let count = 0; count < runsPerHistory; count += 1) {
      await copy.live()
      expect(copy.faults).toEqual([])
    }
    await copy.settle()
    expect(copy.faults).toEqual([])
  } catch (error) {
    console.log(`FASTREGISTRY_SYNC_SEED=${seed}: ${copy.done.join('; ')}`)
    throw error
  } finally {
    await copy.stop()
  }
})

test('the histories had something to show', () => {
  if (given !== undefined) return
  expect(seen.kills).toBeGreaterThan(seeds.length)
  expect(seen.moves).toBeGreaterThan(10 * seeds.length)
  expect(seen.attached).toBeGreaterThan(seeds.length / 8)
})
