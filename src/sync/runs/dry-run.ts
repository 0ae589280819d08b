/**
 * @module What a run would do: it goes the way of a run to the point of writing.
 */
import { isLiteral } from '../../registry/literal.ts'
import type { RepositoryName } from '../../registry/name.ts'
import { UpstreamError } from '../../upstream/error.ts'
import type { ListedRepository } from '../port.ts'
import { ownedTag } from '../prune/owned.ts'
import { passesWanted } from '../prune/pass.ts'
import { compilePatterns } from '../selection/repositories.ts'
import { followedDigest } from '../selection/tags.ts'
import { isCredentialRefused, toSyncError } from '../sources/failures.ts'
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
  /** Names of upstream, where all of them are looked at. */
  readonly #seen = new Set<string>()
  #omitted = 0
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
          this.#seen.add(listed.name)
          if (this.#isRepository(listed.name)) await this.#repository(listed, false)
        }
      }
      await this.#missedRepositories()
    }
    return this.#plan(id)
  }

  #plan(id: string): SyncPlan {
    const { freeBytes, reserveBytes } = this.#parts.space
    const free = Math.max(0, freeBytes - reserveBytes)
    return {
      plan: id,
      bytes: this.#bytes,
      requests: this.#requests,
      items: this.#items,
      ...(this.#omitted === 0 ? {} : { omitted: this.#omitted }),
      ...(Number.isFinite(free) ? { freeBytes: free } : {}),
    }
  }

  async #repository(listed: ListedRepository, isAsked: boolean): Promise<void> {
    this.#signal.throwIfAborted()
    const isFull = this.#request.isFull === true
    const placed = placeOf(this.#parts, listed, { isFull, isAsked })
    const whole = { repository: listed.name, tag: '' }
    if (placed.kind === 'bad-name') this.#add({ ...whole, action: 'skipped', reason: 'bad-name' })
    if (placed.kind === 'collision') this.#add({ ...whole, action: 'failed', reason: 'collision' })
    if (placed.kind !== 'due') return
    try {
      const list = await listTags(this.#parts, placed, this.#signal)
      await this.#tags(placed, list)
      await this.#missedTags(placed, list)
    } catch (error) {
      this.#failed(listed.name, '', error)
      const isMissing = error instanceof UpstreamError && error.kind === 'missing'
      if (isMissing) await this.#missed(listed.name, undefined, () => 'repository-gone')
    }
  }

  /** Throws where nothing more can be asked. */
  #failed(repository: string, tag: string, error: unknown): void {
    this.#signal.throwIfAborted()
    if (isCredentialRefused(error)) throw error
    this.#add({ repository, tag, action: 'failed', reason: toSyncError(error).reason })
  }

  /** What a list that is whole has not. An empty one proves nothing. */
  async #missedTags({ repository, local }: Place, list: TagList): Promise<void> {
    const { isFull, names: listed } = list
    if (!isFull || listed === undefined || listed.size === 0) return
    const selected = new Set<string>(list.selected.map(({ tag }) => tag))
    await this.#missed(repository, local, (tag) => {
      if (!listed.has(tag)) return 'gone'
      return selected.has(tag) ? undefined : 'unselected'
    })
  }

  /** Repositories that the source has copied, and upstream lists no longer. */
  async #missedRepositories(): Promise<void> {
    const { journal, config, selection } = this.#parts
    if (this.#seen.size === 0) return
    for await (const { repository } of journal.repositories(config.name)) {
      if (this.#seen.has(repository) || !this.#isRepository(repository)) continue
      const rule = selection.isSelected(repository) ? 'repository-gone' : 'unselected'
      await this.#missed(repository, undefined, () => rule)
    }
  }

  async #missed(
    repository: string,
    local: RepositoryName | undefined,
    missedBy: MissedBy,
  ): Promise<void> {
    if (!this.#parts.config.prune.isEnabled) return
    for await (const item of pruneItems(this.#parts, repository, local, missedBy)) {
      if (this.#isTag(item.tag)) this.#add(item)
    }
  }

  async #tags(place: Place, list: TagList): Promise<void> {
    const { repository } = place
    if (list.isShort) {
      return this.#add({ repository, tag: '', action: 'failed', reason: 'minimum' })
    }
    for (const work of worksOf(this.#parts, place, list)) {
      this.#signal.throwIfAborted()
      if (!this.#isTag(work.tag)) continue
      try {
        await this.#tag(place, list, work)
      } catch (error) {
        this.#failed(repository, work.tag, error)
      }
    }
  }

  async #tag(place: Place, { named }: TagList, { tag, listed, ...work }: TagWork): Promise<void> {
    const { upstream, config, copier } = this.#parts
    const { repository, local } = place
    const digest = listed.digest ?? (await upstream.tag(repository, tag, this.#signal))?.digest
    const { expiresAt } = listed
    const common = {
      repository,
      tag,
      ...(expiresAt === undefined ? {} : { upstreamExpiresAt: expiresAt }),
    }
    if (digest === undefined) return this.#add({ ...common, action: 'gone', reason: 'gone' })
    const isForced = this.#request.isForced === true
    const state = stateOf(this.#parts, place, { tag, listed, ...work }, digest, { isForced })
    if (state.kind === 'settled' || state.kind === 'echo') return
    if (state.kind === 'too-early') {
      return this.#add({ ...common, action: 'wait', reason: 'too-early' })
    }
    const { action, reason, message, bytes, requests } = await copier.plan({
      repository,
      tag,
      digest,
      local,
      platforms: config.platforms,
      attached: state.attached,
      kinds: config.referrers,
      isSparse: listed.isSparse === true,
      listing: named,
      onChange: config.onChange,
      overwrite: config.overwrites,
      signal: this.#signal,
    })
    this.#bytes += bytes
    this.#requests += requests
    if (action === 'unchanged') return
    this.#add({ ...common, action, reason: reason ?? message ?? 'selected' })
  }

  #add(item: SyncPlanItem): void {
    if (this.#items.length < itemsMax) this.#items.push(item)
    else this.#omitted += 1
  }
}

/** Undefined: everything fits. */
export function fitsAny(patterns: readonly string[] | undefined): (text: string) => boolean {
  if (patterns === undefined) return () => true
  const names = new Set(patterns.filter(isLiteral))
  const globs = compilePatterns(patterns.filter((one) => !isLiteral(one)))
  return (text) => names.has(text) || globs.some(({ fits }) => fits(text))
}

/** Why a tag of the source's own is missed; undefined: it is not. */
type MissedBy = (tag: string) => 'gone' | 'unselected' | 'repository-gone' | undefined

/**
 * Candidates of a prune of one repository: nothing is counted, and upstream is not asked for each of them, as a run would.
 * `local`: where its tags lie now; undefined: wherever they were written.
 */
async function* pruneItems(
  { journal, metadata, config }: RunParts,
  repository: string,
  local: RepositoryName | undefined,
  missedBy: MissedBy,
): AsyncGenerator<SyncPlanItem> {
  for await (const { tag, row } of journal.tags(config.name, repository)) {
    // What is attached goes with its subject.
    if (followedDigest(tag) !== undefined) continue
    if (local !== undefined && row.local !== local) continue
    const rule = missedBy(tag)
    if (rule === undefined || (rule === 'unselected' && !config.prune.removesUnselected)) continue
    if (ownedTag(metadata, config.name, tag, row) === undefined) continue
    const passes = row.missing?.passes ?? 0
    const reason = `${rule}: missed by ${passes} of ${passesWanted} full passes`
    yield { repository, tag, action: 'prune', reason }
  }
}
