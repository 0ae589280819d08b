/**
 * @module One run of a source: the credential is probed, repositories are listed page by page, and each is
 * copied while the next are listed. One that fails keeps none of the others.
 */

import { isLiteral } from '../../registry/literal.ts'
import { nextTurn } from '../../runtime/next-turn.ts'
import { Semaphore } from '../../runtime/semaphore.ts'
import { UpstreamError } from '../../upstream/error.ts'
import { type ListedRepository, SyncError } from '../port.ts'
import { toSyncError } from '../sources/failures.ts'
import type { SyncRequest, SyncResult } from '../syncs.ts'
import { fitsAny } from './dry-run.ts'
import { Gate } from './gate.ts'
import type { RunParts } from './parts.ts'
import { type Placed, placeOf } from './place.ts'
import { patiently, RepositoryRun, type RunScope } from './repository-run.ts'
import { Tally } from './tally.ts'

/** Repositories in work. */
const repositoriesAtOnce = 16

/** Repositories that are looked at in one turn of the event loop. */
const repositoriesPerTurn = 500

/** Runs of repositories that are kept for their second try. */
const laterMax = 1_000

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
}

export interface RunEnd {
  readonly result: SyncResult
  readonly message?: string
  /** The credential was refused. */
  readonly isRefused: boolean
}

export class SourceRun {
  readonly tally: Tally
  readonly #parts: RunParts
  readonly #how: RunHow
  readonly #scope: RunScope
  readonly #isAsked: ((name: string) => boolean) | undefined
  readonly #seen = new Set<string>()
  readonly #selected = new Set<string>()
  readonly #later: { readonly name: string; readonly run: RepositoryRun }[] = []
  readonly #places = new Semaphore(repositoriesAtOnce)
  readonly #running = new Set<Promise<void>>()

  /** Throws on patterns of the request that are none. */
  constructor(parts: RunParts, how: RunHow) {
    const { clock, sleep, space, config } = parts
    const { request, soft, hard } = how
    this.#parts = parts
    this.#how = how
    const tally = new Tally(clock, parts.metrics, config.name)
    parts.prune?.begin()
    this.tally = tally
    const onWait = (message: string | undefined) => {
      tally.waiting = message
    }
    const windows = how.isScheduled ? config : undefined
    this.#scope = {
      parts,
      tally,
      gate: new Gate({ clock, sleep, space, windows, signal: soft, onWait }),
      slots: new Semaphore(config.concurrency),
      hard,
      soft,
      isForced: request.isForced === true,
      by: `sync:${config.name}`,
      isAskedTag: request.tags && fitsAny(request.tags),
    }
    this.#isAsked = request.repositories && fitsAny(request.repositories)
  }

  /** Never rejects. */
  async run(): Promise<RunEnd> {
    const { tally } = this
    const { soft } = this.#how
    try {
      await this.#run()
      if (soft.aborted) return { result: 'cancelled', isRefused: false }
      return { result: this.#hasAll() ? 'ok' : 'partial', isRefused: false }
    } catch (error) {
      await Promise.allSettled(this.#running)
      if (soft.aborted) return { result: 'cancelled', isRefused: false }
      const { reason, message } = toSyncError(error)
      const isRefused = reason === 'credentials'
      // What was listed before is copied all the same.
      const hasSome = tally.synced > 0 && !isRefused
      return { result: hasSome ? 'partial' : 'failed', message: `${reason}: ${message}`, isRefused }
    } finally {
      await this.#parts.journal.flush().catch(() => undefined)
      this.#how.onProgress()
    }
  }

  #hasAll(): boolean {
    const isConflict = this.#parts.config.onChange === 'fail' && this.tally.counts.conflict > 0
    return this.tally.isWhole && !isConflict
  }

  async #run(): Promise<void> {
    const { upstream } = this.#parts
    const { soft } = this.#how
    await patiently(this.#scope, () => upstream.probe(soft))
    this.tally.phase = 'listing'
    await this.#repositories()
    this.tally.isListingComplete = true
    this.tally.phase = 'copying'
    await Promise.all(this.#running)
    soft.throwIfAborted()
    await this.#again()
    await this.#prune()
  }

  /** Repositories that are named in full need no list. */
  async #repositories(): Promise<void> {
    const { repositories } = this.#how.request
    if (repositories?.every(isLiteral) === true) {
      for (const name of repositories) await this.#look({ name }, true)
      return
    }
    await patiently(this.#scope, () => this.#list())
    if (this.#seen.size > 0 || !(await this.#hasContent())) return
    await patiently(this.#scope, () => this.#parts.upstream.probe(this.#how.soft))
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
    for await (const page of this.#parts.upstream.repositories(this.#how.soft)) {
      for (const listed of page) {
        if (this.#isAsked?.(listed.name) !== false) await this.#look(listed, false)
        looked += 1
        if (looked % repositoriesPerTurn === 0) await nextTurn()
      }
      this.#how.onProgress()
    }
  }

  /** Begins to copy it, as soon as there is a place for it. */
  async #look(listed: ListedRepository, isAsked: boolean): Promise<void> {
    const { soft, request } = this.#how
    soft.throwIfAborted()
    const { name } = listed
    // A list that had to be begun again.
    if (this.#seen.has(name)) return
    this.#seen.add(name)
    const isFull = request.isFull === true
    const placed = placeOf(this.#parts, listed, { isFull, isAsked })
    if (placed.kind === 'not-selected') return
    if (placed.kind === 'bad-name') {
      this.tally.add('skipped')
      return
    }
    this.tally.repositories += 1
    this.#selected.add(name)
    if (placed.kind === 'unchanged') {
      this.tally.synced += 1
      return
    }
    if (placed.kind === 'collision') {
      this.#failed(name, new SyncError('collision', placed.message))
      return
    }
    const give = await this.#places.take(soft)
    const one = this.#one(placed).finally(() => {
      give()
      this.#running.delete(one)
      this.#how.onProgress()
    })
    this.#running.add(one)
  }

  /** Never rejects. */
  async #one(place: Extract<Placed, { kind: 'due' }>): Promise<void> {
    const run = new RepositoryRun(this.#scope, place)
    const name = place.repository
    try {
      await run.run()
      if (run.hasMore && this.#later.length < laterMax) this.#later.push({ name, run })
      else await run.settle()
      this.tally.synced += 1
    } catch (error) {
      if (this.#how.soft.aborted) return
      const isMissing = error instanceof UpstreamError && error.kind === 'missing'
      if (isMissing) this.#parts.prune?.afterMissing(name, place.local)
      this.#failed(name, error)
    }
  }

  #failed(repository: string, error: unknown): void {
    const { reason, message } = toSyncError(error)
    const { logger, config } = this.#parts
    this.tally.failed += 1
    this.tally.fault({ repository, reason, message, attempts: 1 })
    logger.warn({ sync: config.name, repository, reason, message }, 'repository is not copied')
  }

  async #again(): Promise<void> {
    for (const { name, run } of this.#later.splice(0)) {
      try {
        await run.again()
        await run.settle()
      } catch (error) {
        this.#how.soft.throwIfAborted()
        this.tally.synced -= 1
        this.#failed(name, error)
      }
    }
  }

  async #prune(): Promise<void> {
    const { prune, config } = this.#parts
    const { request, soft } = this.#how
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
