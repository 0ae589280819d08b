/**
 * @module What a run would do: it goes the way of a run to the point of writing.
 */
import { isLiteral } from '../../registry/literal.ts'
import type { ListedRepository } from '../port.ts'
import { compilePatterns } from '../selection/repositories.ts'
import { toSyncError } from '../sources/failures.ts'
import type { SyncPlan, SyncPlanItem, SyncRequest } from '../syncs.ts'
import type { RunParts } from './parts.ts'
import { type Place, placeOf } from './place.ts'
import { listTags, stateOf, type TagList, type TagWork, worksOf } from './tag-list.ts'

/** Items that are kept of a plan. */
const itemsMax = 10_000

export class DryRun {
  readonly #parts: RunParts
  readonly #request: SyncRequest
  readonly #signal: AbortSignal
  readonly #isRepository: (name: string) => boolean
  readonly #isTag: (tag: string) => boolean
  readonly #items: SyncPlanItem[] = []
  #bytes = 0
  #requests = 0

  /** Throws on patterns of the request that are none. */
  constructor(parts: RunParts, request: SyncRequest, signal: AbortSignal) {
    this.#parts = parts
    this.#request = request
    this.#signal = signal
    this.#isRepository = fitsAny(request.repositories)
    this.#isTag = fitsAny(request.tags)
  }

  /** Throws when the source cannot be asked. */
  async plan(id: string): Promise<SyncPlan> {
    const { upstream } = this.#parts
    await upstream.probe(this.#signal)
    const { repositories } = this.#request
    if (repositories?.every(isLiteral) === true) {
      for (const name of repositories) await this.#repository({ name }, true)
    } else {
      for await (const page of upstream.repositories(this.#signal)) {
        for (const listed of page) {
          if (this.#isRepository(listed.name)) await this.#repository(listed, false)
        }
      }
    }
    return { plan: id, bytes: this.#bytes, requests: this.#requests, items: this.#items }
  }

  async #repository(listed: ListedRepository, isAsked: boolean): Promise<void> {
    this.#signal.throwIfAborted()
    const isFull = this.#request.isFull === true
    const placed = placeOf(this.#parts, listed, { isFull, isAsked })
    if (placed.kind === 'bad-name') this.#add(listed.name, '', 'skipped', 'bad-name')
    if (placed.kind === 'collision') this.#add(listed.name, '', 'failed', 'collision')
    if (placed.kind !== 'due') return
    try {
      await this.#tags(placed, await listTags(this.#parts, placed, this.#signal))
    } catch (error) {
      this.#signal.throwIfAborted()
      this.#add(listed.name, '', 'failed', toSyncError(error).reason)
    }
  }

  async #tags(place: Place, list: TagList): Promise<void> {
    const { repository } = place
    if (list.selection.isShort) return this.#add(repository, '', 'failed', 'minimum')
    for (const work of worksOf(this.#parts, place, list)) {
      this.#signal.throwIfAborted()
      if (this.#isTag(work.tag)) await this.#tag(place, list, work)
    }
  }

  async #tag(place: Place, { named }: TagList, { tag, listed, ...work }: TagWork): Promise<void> {
    const { upstream, config, copier } = this.#parts
    const { repository, local } = place
    const digest = listed.digest ?? (await upstream.tag(repository, tag, this.#signal))?.digest
    if (digest === undefined) return this.#add(repository, tag, 'gone', 'gone')
    const isForced = this.#request.isForced === true
    const state = stateOf(this.#parts, place, { tag, listed, ...work }, digest, { isForced })
    if (state.kind === 'settled') return
    if (state.kind === 'too-early') return this.#add(repository, tag, 'wait', 'too-early')
    const { action, reason, message, bytes, requests } = await copier.plan({
      repository,
      tag,
      digest,
      local,
      platforms: config.platforms,
      attached: state.attached,
      listing: named,
      onChange: config.onChange,
      overwrite: config.overwrites,
      signal: this.#signal,
    })
    this.#bytes += bytes
    this.#requests += requests
    if (action !== 'unchanged') this.#add(repository, tag, action, reason ?? message ?? 'selected')
  }

  #add(repository: string, tag: string, action: string, reason: string): void {
    if (this.#items.length < itemsMax) this.#items.push({ repository, tag, action, reason })
  }
}

/** Undefined: everything fits. */
export function fitsAny(patterns: readonly string[] | undefined): (text: string) => boolean {
  if (patterns === undefined) return () => true
  const names = new Set(patterns.filter(isLiteral))
  const globs = compilePatterns(patterns.filter((one) => !isLiteral(one)))
  return (text) => names.has(text) || globs.some(({ fits }) => fits(text))
}
