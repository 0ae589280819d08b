/**
 * @module One run of a source: the credential is probed, repositories are listed page by page, and each is
 * copied while the next are listed. One that fails keeps none of the others. A source with a history of its own
 * tells what changed instead; then nothing else is looked at.
 */

import { setMaxListeners } from 'node:events'
import type { SyncStateRow } from '../../metadata/rows/upstream.ts'
import { isLiteral } from '../../registry/literal.ts'
import { nextTurn } from '../../runtime/next-turn.ts'
import { Semaphore } from '../../runtime/semaphore.ts'
import { UpstreamError } from '../../upstream/error.ts'
import { type ChangedRepository, type ListedRepository, SyncError } from '../port.ts'
import { isUnanswered, toSyncError } from '../sources/failures.ts'
import type { SyncRequest, SyncResult } from '../syncs.ts'
import { fitsAny } from './dry-run.ts'
import { History } from './history.ts'
import type { RunParts } from './parts.ts'
import { type Placed, placeOf } from './place.ts'
import { RepositoryRun } from './repository-run.ts'
import { openScope, patiently, type RunScope } from './scope.ts'
import { hasShrunk } from './shrinks.ts'
import { Tally } from './tally.ts'
import { withLeft } from './told.ts'

/** Repositories in work. */
const repositoriesAtOnce = 16

/** Repositories that are looked at in one turn of the event loop. */
const repositoriesPerTurn = 500

/** Warnings of one run: one upstream can have many repositories that it does not give. */
const warningsMax = 100

export interface RunHow {
  readonly request: SyncRequest
  /** It keeps to the windows. */
  readonly isScheduled: boolean
  /** Ends a copy in its middle: the server stops. Ends `soft` as well. */
  readonly hard: AbortSignal
  /** Lets the current tags end. */
  readonly soft: AbortSignal
  /** Called now and then. */
  readonly onProgress: () => void
  /** Keeps what later runs go by. On disk when it resolves. */
  readonly keep: (some: Partial<SyncStateRow>) => Promise<void>
}

export interface RunEnd {
  readonly result: SyncResult
  readonly message?: string
  /** The credential was refused. */
  readonly isRefused: boolean
  /** No host answered. */
  readonly isDown: boolean
}

export class SourceRun {
  readonly tally: Tally
  readonly #parts: RunParts
  readonly #how: RunHow
  readonly #scope: RunScope
  readonly #isAsked: ((name: string) => boolean) | undefined
  /** Names of this list. */
  readonly #seen = new Set<string>()
  readonly #selected = new Set<string>()
  /** Whether each repository that has ended is as it should be. */
  readonly #ends = new Map<string, boolean>()
  readonly #later: { readonly name: string; readonly run: RepositoryRun }[] = []
  readonly #places = new Semaphore(repositoriesAtOnce)
  readonly #running = new Set<Promise<void>>()
  /** Ends the run, as it cannot go on. */
  readonly #ending = new AbortController()
  #fatal: SyncError | undefined
  #message: string | undefined
  #warned = 0

  /** Throws on patterns of the request that are none. */
  constructor(parts: RunParts, how: RunHow) {
    const { request, soft, hard } = how
    this.#parts = parts
    this.#how = how
    this.tally = new Tally(parts.clock, parts.metrics, parts.config.name)
    parts.prune?.begin()
    const ends = AbortSignal.any([soft, this.#ending.signal])
    // Every tag and request in work listens; none stays.
    setMaxListeners(0, ends)
    this.#scope = openScope(parts, this.tally, {
      windows: how.isScheduled ? parts.config : undefined,
      hard,
      soft: ends,
      isForced: request.isForced === true,
      isAskedTag: request.tags && fitsAny(request.tags),
      end: (error) => this.#end(error),
    })
    this.#isAsked = request.repositories && fitsAny(request.repositories)
  }

  /** Never rejects. */
  async run(): Promise<RunEnd> {
    try {
      await this.#run()
      if (this.#how.soft.aborted) return ended('cancelled')
      return ended(this.#hasAll() ? 'ok' : 'partial', this.#message)
    } catch (error) {
      await Promise.allSettled(this.#running)
      if (this.#how.soft.aborted) return ended('cancelled')
      return this.#failure(this.#fatal ?? error)
    } finally {
      this.#parts.prune?.end()
      await this.#parts.journal.flush().catch(() => undefined)
      this.#how.onProgress()
    }
  }

  #failure(error: unknown): RunEnd {
    const { reason, message } = toSyncError(error)
    const isRefused = reason === 'credentials'
    const isDown =
      reason === 'unreachable' || (this.tally.phase === 'probing' && isUnanswered(error))
    // What was listed before is copied all the same.
    const result = this.tally.synced > 0 && !isRefused ? 'partial' : 'failed'
    return { result, message: `${reason}: ${message}`, isRefused, isDown }
  }

  #end(error: SyncError): void {
    this.#fatal ??= error
    this.#ending.abort(error)
  }

  #hasAll(): boolean {
    const isConflict = this.#parts.config.onChange === 'fail' && this.tally.counts.conflict > 0
    return this.tally.isWhole && !isConflict
  }

  async #run(): Promise<void> {
    await this.#probe()
    const history = this.#history()
    const from = await history?.follow()
    this.#message = from?.message
    if (from?.isFull === false) {
      this.tally.isListingComplete = true
      return
    }
    const startedAt = this.#parts.clock.now()
    this.tally.phase = 'listing'
    this.#seen.clear()
    // What the history told of may be gone by now.
    this.#selected.clear()
    await this.#repositories()
    await this.#shrinks()
    this.tally.isListingComplete = true
    await this.#ended()
    await this.#prune()
    await history?.keep({ fullPassAt: startedAt }, from?.cursor)
  }

  /** A host that does not answer here has no run that could wait for it. */
  async #probe(): Promise<void> {
    const { upstream } = this.#parts
    const { soft } = this.#scope
    await patiently(this.#scope, () => upstream.probe(soft), false)
  }

  /** Undefined: the source has none, or only some of it is asked for. */
  #history(): History | undefined {
    const { request } = this.#how
    const isWhole = request.repositories === undefined && request.tags === undefined
    if (this.#parts.upstream.changes === undefined || !isWhole) return undefined
    return new History(this.#scope, {
      isFull: request.isFull === true,
      look: (name, told) => this.#lookAtTold(name, told),
      ended: () => this.#ended(),
      keep: this.#how.keep,
      seen: this.#seen,
    })
  }

  /** All that was begun has ended, with its second try. */
  async #ended(): Promise<void> {
    const { soft } = this.#scope
    this.tally.phase = 'copying'
    await Promise.all(this.#running)
    soft.throwIfAborted()
    await this.#again()
    soft.throwIfAborted()
  }

  async #lookAtTold(name: string, changed: ChangedRepository | undefined): Promise<void> {
    const { isForced } = this.#scope
    const told = await withLeft(this.#parts, name, changed, isForced)
    if (told !== undefined) return await this.#look({ name }, true, told)
    // It failed, and it is too early to list it again.
    const { unfinished } = this.#parts.journal.repository(this.#parts.config.name, name) ?? {}
    if (unfinished === undefined || !this.#parts.selection.isSelected(name)) return
    this.#count(name)
    this.#finished(name, false)
    const { reason, attempts, retryAt } = unfinished
    const message = 'the repository failed before, and is listed again later'
    this.tally.fault({ repository: name, reason, message, attempts, nextRetryAt: retryAt })
  }

  /** Repositories that are named in full need no list. */
  async #repositories(): Promise<void> {
    const { repositories } = this.#how.request
    const { upstream } = this.#parts
    if (repositories?.every(isLiteral) === true) {
      for (const name of repositories) await this.#look({ name }, true)
      return
    }
    await patiently(this.#scope, () => this.#list())
    if (this.#seen.size > 0 || !(await this.#hasContent())) return
    await patiently(this.#scope, () => upstream.probe(this.#scope.soft))
    await patiently(this.#scope, () => this.#list())
    if (this.#seen.size > 0) return
    throw new SyncError('suspicious-listing', 'upstream lists no repositories, but had some')
  }

  async #hasContent(): Promise<boolean> {
    for await (const _ of this.#parts.journal.repositories(this.#parts.config.name)) return true
    return false
  }

  async #list(): Promise<void> {
    let looked = 0
    for await (const page of this.#parts.upstream.repositories(this.#scope.soft)) {
      for (const listed of page) {
        if (this.#isAsked?.(listed.name) !== false) await this.#look(listed, false)
        looked += 1
        if (looked % repositoriesPerTurn === 0) await nextTurn()
      }
      this.#how.onProgress()
    }
  }

  /** More than half of the repositories are gone: the credential may be. */
  async #shrinks(): Promise<void> {
    const { upstream, journal, config, fingerprint } = this.#parts
    if (this.#isAsked !== undefined) return
    const state = journal.state(config.name)
    const before = state?.listedFingerprint === fingerprint ? state.repositories : undefined
    const now = this.#selected.size
    if (now === before) return
    if (hasShrunk(before, now)) {
      await patiently(this.#scope, () => upstream.probe(this.#scope.soft))
      const what = `upstream lists ${now} repositories, where it listed ${before}`
      await this.#scope.shrunk('', what)
    }
    await this.#how.keep({ repositories: now })
  }

  /** Begins to copy it, as soon as there is a place for it. */
  async #look(
    listed: ListedRepository,
    isAsked: boolean,
    told?: Awaited<ReturnType<typeof withLeft>>,
  ): Promise<void> {
    const { soft } = this.#scope
    soft.throwIfAborted()
    const { name } = listed
    // A list that had to be begun again.
    if (this.#seen.has(name)) return
    this.#seen.add(name)
    const isFull = this.#how.request.isFull === true
    const placed = placeOf(this.#parts, listed, { isFull, isAsked })
    if (placed.kind === 'not-selected') return
    if (placed.kind === 'bad-name') {
      this.tally.add('skipped')
      return
    }
    this.#count(name)
    if (placed.kind === 'unchanged') return this.#finished(name, true)
    if (placed.kind === 'collision') {
      this.#failed(name, new SyncError('collision', placed.message))
      return
    }
    const give = await this.#places.take(soft)
    const run = new RepositoryRun(this.#scope, placed, told)
    const one = this.#one(placed, run).finally(() => {
      give()
      this.#running.delete(one)
      this.#how.onProgress()
    })
    this.#running.add(one)
  }

  /** Never rejects. */
  async #one(place: Extract<Placed, { kind: 'due' }>, run: RepositoryRun): Promise<void> {
    const name = place.repository
    try {
      await run.run()
      if (run.hasMore) this.#later.push({ name, run })
      else await run.settle()
      this.#finished(name, true)
      this.#scope.refusals.ok()
    } catch (error) {
      await this.#stopped(place, run, error)
    }
  }

  async #stopped(
    { repository, local }: Extract<Placed, { kind: 'due' }>,
    run: RepositoryRun,
    error: unknown,
  ): Promise<void> {
    const { soft, refusals } = this.#scope
    if (soft.aborted) return
    const { prune, owners, journal, config } = this.#parts
    const failure = await refusals.judge(toSyncError(error))
    if (soft.aborted) return
    const isMissing = error instanceof UpstreamError && error.kind === 'missing'
    try {
      if (isMissing) {
        prune?.afterMissing(repository, local)
        // A name that a hook or an operator got wrong keeps nobody from it.
        const isKnown = journal.repository(config.name, repository)?.fullPassAt !== undefined
        if (!isKnown) owners.release(local, { source: config.name, repository })
        await run.isGone()
      } else await run.leave(failure)
    } catch (inner) {
      this.#end(toSyncError(inner))
      return
    }
    if (isMissing && run.isTold) {
      // As its history says: what becomes of its tags here, only a full pass may decide.
      this.tally.add('gone')
      this.#finished(repository, true)
    } else this.#failed(repository, failure)
  }

  #failed(repository: string, { reason, message }: SyncError): void {
    const { logger, config } = this.#parts
    this.#finished(repository, false)
    this.tally.fault({ repository, reason, message, attempts: 1 })
    this.#warned += 1
    // With more of them the failures of the run say it, and its sums.
    const level = this.#warned > warningsMax ? 'debug' : 'warn'
    logger[level]({ sync: config.name, repository, reason, message }, 'repository is not copied')
  }

  /** A repository may be looked at twice: by the history, and in a full pass. It counts once. */
  #count(name: string): void {
    if (!this.#selected.has(name) && !this.#ends.has(name)) this.tally.repositories += 1
    this.#selected.add(name)
  }

  #finished(name: string, isWell: boolean): void {
    const before = this.#ends.get(name)
    this.#ends.set(name, isWell)
    if (before === isWell) return
    if (before === true) this.tally.synced -= 1
    if (before === false) this.tally.failed -= 1
    if (isWell) this.tally.synced += 1
    else this.tally.failed += 1
  }

  async #again(): Promise<void> {
    for (const { name, run } of this.#later.splice(0)) {
      try {
        await run.again()
        await run.settle()
      } catch (error) {
        this.#scope.soft.throwIfAborted()
        const failure = toSyncError(error)
        await run.leave(failure)
        this.#failed(name, failure)
      }
    }
  }

  async #prune(): Promise<void> {
    const { prune, config } = this.#parts
    const { request } = this.#how
    const { soft } = this.#scope
    if (prune === undefined || request.isResumed === true) return
    if (this.#isAsked !== undefined || request.tags !== undefined) return
    soft.throwIfAborted()
    this.tally.phase = 'pruning'
    const pruned = await prune.afterFullPass({
      source: config.name,
      startedAt: this.tally.startedAt,
      repositories: this.#selected,
      isPlanOnly: request.plansPrune === true,
      signal: soft,
    })
    this.tally.add('pruned', pruned)
  }
}

function ended(result: SyncResult, message?: string): RunEnd {
  return { result, ...(message === undefined ? {} : { message }), isRefused: false, isDown: false }
}
