/**
 * @module Runs of a source on metadata in memory: an upstream that a test makes, with faults and a history of its own,
 * and a copier that moves tags and nothing else. Time stands still but for waits, which take none.
 */
import type { SyncSourceConfig } from '../../src/config/config.ts'
import { Protection } from '../../src/distribution/protection.ts'
import { TagLocks } from '../../src/distribution/tag-locks.ts'
import { Jobs } from '../../src/jobs/jobs.ts'
import type { SyncStateRow } from '../../src/metadata/rows/upstream.ts'
import { createLogger } from '../../src/observability/logger.ts'
import { SyncCounters } from '../../src/observability/metrics/sync.ts'
import type { Digest } from '../../src/registry/digest.ts'
import type { CopyResult, TagCopy } from '../../src/sync/copy/outcome.ts'
import { noCounts } from '../../src/sync/copy/outcome.ts'
import { SyncJournal } from '../../src/sync/journal.ts'
import type {
  ChangedRepository,
  Changes,
  ListedRepository,
  ListedTag,
  SyncUpstream,
  TagsWanted,
} from '../../src/sync/port.ts'
import { Prune } from '../../src/sync/prune/prune.ts'
import { rulesOf } from '../../src/sync/runs/engine.ts'
import type { RunParts } from '../../src/sync/runs/parts.ts'
import { PruneRun } from '../../src/sync/runs/prune-step.ts'
import { type RunEnd, SourceRun } from '../../src/sync/runs/source-run.ts'
import { NameOwners } from '../../src/sync/selection/names.ts'
import type { SyncRequest } from '../../src/sync/syncs.ts'
import { UpstreamError } from '../../src/upstream/error.ts'
import { FakeClock } from './fake-clock.ts'
import { MemoryMetadataStore } from './memory/memory-metadata.ts'
import { asDigest, sha256 } from './registry-client.ts'

export const imageOf = (mark: string | number): Digest => asDigest(sha256(`image ${mark}`))

export interface UpstreamTag {
  digest: Digest
  pushedAt?: number
}

/** What upstream has, does, and says. */
export class MadeUpstream implements SyncUpstream {
  tellsTimes = false
  /** Lists say where tags point. */
  tellsDigests = true
  readonly has = new Map<string, Map<string, UpstreamTag>>()
  /** What was asked: `probe`, `list`, `tags NAME`, `tag NAME:TAG`, `changes CURSOR`. */
  readonly asked: string[] = []
  /** Called with each of these; what it throws is the answer. */
  fault: (asked: string) => void = () => undefined
  pageSize = 1_000
  /** Events of its history; undefined: it has none. */
  #events:
    | {
        readonly name: string
        readonly tag?: string
        readonly digest?: Digest
        readonly deleted?: boolean
      }[]
    | undefined
  /** The history reaches back to here. */
  oldest = 0
  /** Each answer of its history says that there is more. */
  isEndless = false
  declare changes?: NonNullable<SyncUpstream['changes']>

  push(name: string, tag: string, mark: string | number, pushedAt?: number): void {
    const tags = this.has.get(name) ?? new Map<string, UpstreamTag>()
    const digest = imageOf(mark)
    this.has.set(name, tags.set(tag, pushedAt === undefined ? { digest } : { digest, pushedAt }))
    this.#events?.push({ name, tag, digest })
  }

  delete(name: string, tag: string): void {
    this.has.get(name)?.delete(tag)
    this.#events?.push({ name, tag, deleted: true })
  }

  /** A manifest is deleted there, with the tags that it had. */
  deleteManifest(name: string, mark: string | number): void {
    const tags = this.has.get(name)
    for (const [tag, { digest }] of tags ?? []) if (digest === imageOf(mark)) tags!.delete(tag)
    this.#events?.push({ name, digest: imageOf(mark) })
  }

  /** All its tags go, and the history does not say how. */
  empty(name: string): void {
    this.has.get(name)?.clear()
    this.#events?.push({ name })
  }

  /** It tells what changes from now on. */
  hasHistory(): void {
    this.#events = []
    this.changes = (cursor) => this.#changes(cursor)
  }

  async probe(): Promise<void> {
    this.#ask('probe')
  }

  async *repositories(): AsyncGenerator<readonly ListedRepository[]> {
    this.#ask('list')
    const times = (tags: ReadonlyMap<string, UpstreamTag>) =>
      Math.max(0, ...[...tags.values()].map(({ pushedAt = 0 }) => pushedAt))
    yield [...this.has].map(([name, tags]) =>
      this.tellsTimes ? { name, changedAt: times(tags) } : { name },
    )
  }

  async *tags(name: string, { since = 0 }: TagsWanted): AsyncGenerator<readonly ListedTag[]> {
    this.#ask(`tags ${name}`)
    const all = [...this.#tagsOf(name)]
      .map(([tag, it]) => ({ tag, ...it }))
      .filter(({ pushedAt = since }) => pushedAt >= since)
      .map(({ digest, ...it }) => (this.tellsDigests ? { ...it, digest } : it))
    for (let at = 0; at < all.length; at += this.pageSize) yield all.slice(at, at + this.pageSize)
  }

  async tag(name: string, tag: string): Promise<ListedTag | undefined> {
    this.#ask(`tag ${name}:${tag}`)
    const found = this.#tagsOf(name).get(tag)
    return found && { tag, ...found }
  }

  async #changes(cursor: string | undefined): Promise<Changes> {
    this.#ask(`changes ${cursor}`)
    const events = this.#events!
    const now = String(events.length)
    if (cursor === undefined) return { kind: 'full-pass', cursor: now, message: 'none is known' }
    if (Number(cursor) < this.oldest) {
      return { kind: 'full-pass', cursor: now, message: 'it does not reach back far enough' }
    }
    const found = new Map<string, ChangedRepository & { isWhole: boolean }>()
    for (const { name, tag, digest, deleted } of events.slice(Number(cursor))) {
      const nothing = { subjects: new Set<Digest>(), removed: new Set<Digest>(), isWhole: false }
      const of = found.get(name) ?? { name, tags: new Map(), deleted: new Set(), ...nothing }
      found.set(name, of)
      if (tag === undefined) {
        of.isWhole = true
        if (digest !== undefined) (of.removed as Set<Digest>).add(digest)
      } else {
        const tags = of.tags as Map<string, Digest | undefined>
        if (deleted) tags.delete(tag)
        else tags.set(tag, digest)
        ;(of.deleted as Set<string>)[deleted ? 'add' : 'delete'](tag)
      }
    }
    return {
      kind: 'changes',
      repositories: [...found.values()],
      cursor: now,
      hasMore: this.isEndless,
    }
  }

  #ask(asked: string): void {
    this.asked.push(asked)
    this.fault(asked)
  }

  #tagsOf(name: string): ReadonlyMap<string, UpstreamTag> {
    const tags = this.has.get(name)
    if (tags === undefined) throw new UpstreamError('missing', 'none', { status: 404 })
    return tags
  }
}

export class RunScene {
  readonly metadata = new MemoryMetadataStore()
  readonly clock = new FakeClock()
  readonly journal = new SyncJournal(this.metadata)
  readonly upstream = new MadeUpstream()
  readonly owners = new NameOwners(['one'])
  readonly logLines: string[] = []
  readonly space = { freeBytes: 1_000, reserveBytes: 10 }
  /** Copies of tags, as `NAME:TAG`. */
  readonly copied: string[] = []
  /** What a copy comes to instead of the tag; thrown, or as its result. */
  copyFault: (it: TagCopy) => Partial<CopyResult> | undefined = () => undefined
  /** Called where the run waits. */
  onSleep: (ms: number) => void = () => undefined
  /** Called before what later runs go by is kept. */
  onKeep: (some: Partial<SyncStateRow>) => void = () => undefined
  readonly config: SyncSourceConfig
  readonly parts: RunParts

  constructor(config: SyncSourceConfig, some: Partial<RunParts> = {}) {
    this.config = config
    const { metadata, clock, journal, upstream, owners, space } = this
    const rules = rulesOf(config)
    const logger = createLogger('info', {
      write: (lines: string) => {
        this.logLines.push(...lines.split('\n').filter((line) => line !== ''))
      },
    })
    const prune = new Prune({
      metadata,
      journal,
      clock,
      jobs: new Jobs(metadata, clock),
      tagLocks: new TagLocks(),
      protection: new Protection([]),
      sourceOf: () => config,
      upstreamOf: () => upstream,
    })
    const { fingerprint } = rules
    this.parts = {
      ...rules,
      config,
      upstream,
      copier: { copy: (it) => this.#copy(it), plan: () => Promise.reject(new Error('no plans')) },
      journal,
      metadata,
      owners,
      space,
      clock,
      sleep: async (ms) => {
        this.onSleep(ms)
        clock.advance(ms)
      },
      logger,
      prune: config.prune.isEnabled
        ? new PruneRun({ prune, config, fingerprint, journal, logger })
        : undefined,
      metrics: new SyncCounters(),
      ...some,
    }
  }

  get state(): SyncStateRow {
    return this.journal.state(this.config.name) ?? { isPaused: false, hasTick: false }
  }

  /** One run, with what a runner keeps of it. */
  async run(
    request: Partial<SyncRequest> = {},
    soft = new AbortController().signal,
  ): Promise<RunEnd & { readonly run: SourceRun }> {
    this.upstream.asked.length = 0
    this.copied.length = 0
    const keep = async (some: Partial<SyncStateRow>) => {
      this.onKeep(some)
      await this.journal.putState(this.config.name, { ...this.state, ...some })
    }
    const run = new SourceRun(this.parts, {
      request: { by: 'test', ...request },
      isScheduled: false,
      hard: new AbortController().signal,
      soft,
      onProgress: () => undefined,
      keep,
    })
    const end = await run.run()
    if (run.tally.isListingComplete) {
      const listedFingerprint = this.parts.fingerprint
      await this.journal.putState(this.config.name, { ...this.state, listedFingerprint })
    }
    return { ...end, run }
  }

  /** `NAME:TAG` of what is here, with the mark of its image where one of these fits. */
  get here(): string[] {
    return this.metadata
      .entries('tags', [], undefined, 1_000)
      .map(({ key }) => `${key[0]}:${key[1]}`)
  }

  digestHere(name: string, tag: string): Digest | undefined {
    return this.metadata.get('tags', [name, tag] as never)?.digest
  }

  /** Somebody else's hand. */
  async push(name: string, tag: string, mark: string | number): Promise<void> {
    await this.#move(name, tag, imageOf(mark), 'someone', [])
  }

  async #copy(it: TagCopy): Promise<CopyResult> {
    const { repository, tag, local, digest } = it
    this.copied.push(`${repository}:${tag}`)
    const key = { source: this.config.name, repository, tag }
    const at = this.clock.now()
    const fault = this.copyFault(it)
    if (fault !== undefined) {
      const before = this.journal.tag(key)
      const isToWait = fault.reason === 'no-space' || fault.reason === 'rate-limited'
      if (fault.outcome !== 'gone' && !isToWait) {
        await this.journal.noteTag(key, {
          ...before,
          local,
          outcome: fault.outcome ?? 'failed',
          at,
          attempts: (before?.attempts ?? 0) + 1,
          upstream: digest,
          reason: fault.reason ?? 'timeout',
          nextRetryAt: at + 60_000,
        })
      }
      return { outcome: 'failed', reason: 'timeout', counts: noCounts(), ...fault }
    }
    const row = { local, outcome: 'copied', at, attempts: 0, upstream: digest, wrote: digest }
    const noted = this.journal.withMove(key, { ...row, referrersCheckedAt: at })
    await this.#move(local, tag, digest, `sync:${this.config.name}`, [noted.change])
    noted.written()
    return { outcome: 'copied', counts: noCounts() }
  }

  async #move(
    name: string,
    tag: string,
    digest: Digest,
    by: string,
    more: Parameters<MemoryMetadataStore['commit']>[0]['changes'],
  ): Promise<void> {
    const key = [name, tag] as never
    const at = this.clock.now()
    const move = {
      change: 'move-tag',
      in: 'tags',
      key,
      digest,
      at,
      by,
      isImmutable: false,
    } as const
    await this.metadata.commit({ checks: [], changes: [move, ...more] })
  }
}
