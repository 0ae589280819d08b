/**
 * @module Lists of mirrored repositories: tags upstream and here as one, and the referrers of a
 * manifest. Both are asked for at most once a minute. While upstream fails, a list that was whole once
 * is listed with its age; what is not known is never listed as if there were none.
 */

import type { Page, PageRequest } from '../distribution/discovery.ts'
import { dropReferrers, putReferrers } from '../metadata/edits.ts'
import { keyPages, listKeys } from '../metadata/scan.ts'
import type { ReferrerRow } from '../metadata/schema.ts'
import { type Digest, parseDigest } from '../registry/digest.ts'
import { pageEntriesMax } from '../registry/limits.ts'
import type { RepositoryName } from '../registry/name.ts'
import { unwrap } from '../registry/result.ts'
import { BoundedMap } from '../runtime/bounded-map.ts'
import { SingleFlight } from '../runtime/single-flight.ts'
import { toUpstreamError, UpstreamError } from '../upstream/error.ts'
import { fetchReferrers } from '../upstream/referrer-lists.ts'
import { checkWaitMs, type MirrorContext } from './context.ts'
import type { Mirror } from './mirror.ts'
import type { MirroredRepository } from './mirrored-repository.ts'
import { NegativeCache } from './negative-cache.ts'
import { mergeAfter } from './sorted.ts'
import { fetchTags, type TagList } from './tag-lists.ts'

/** How long a list counts as fresh, ms. */
const freshMs = 60_000

/** Lists of tags kept in memory, and manifests whose referrers are known. */
const tagListsMax = 256
const subjectsMax = 10_000

/** Referrers written in one transaction. */
const rowsAtOnce = 200

interface KnownTags extends TagList {
  readonly at: number
}

interface KnownReferrers {
  readonly at: number
  /** Whether upstream keeps such a list at all. */
  readonly isKept: boolean
}

/** Why a list is not what upstream would say now. */
export interface Stale {
  readonly why: string
  /** When it was whole; undefined where it never was. */
  readonly ageSeconds: number | undefined
}

export type Referrers =
  /** In the metadata. */
  | { readonly kind: 'known'; readonly stale: Stale | undefined }
  /** Upstream has no list of referrers, in no form. */
  | { readonly kind: 'none' }

export class MirrorLists {
  readonly #context: MirrorContext
  readonly #tags = new BoundedMap<RepositoryName, KnownTags>(tagListsMax)
  readonly #referrers = new BoundedMap<string, KnownReferrers>(subjectsMax)
  readonly #asking = new SingleFlight<void>()
  readonly #refused: NegativeCache

  constructor(context: MirrorContext) {
    this.#context = context
    this.#refused = new NegativeCache(context.clock)
  }

  /** Tags of upstream and of this registry, in byte order. Throws an `UpstreamError`. */
  async tags(
    repository: MirroredRepository,
    { count, last }: PageRequest,
    deadline: number,
  ): Promise<Page<string> & { readonly stale: Stale | undefined }> {
    const { metadata } = this.#context
    const before = this.#tags.get(repository.name)
    let stale: Stale | undefined
    if (!this.#isFresh(before)) {
      const ask = () => this.#askTags(repository, deadline)
      try {
        stale = await this.#settle(repository.mirror, `tags ${repository.name}`, ask, before?.at)
      } catch (error) {
        if (!this.#isOurs(repository, error)) throw error
      }
    }
    const known = this.#tags.get(repository.name)
    if (known?.isCut === true) stale ??= { why: 'upstream has more tags', ageSeconds: undefined }
    const limit = Math.min(count ?? pageEntriesMax, pageEntriesMax)
    if (limit === 0) return { entries: [], next: undefined, stale }
    const own = await listKeys(metadata, 'tags', [repository.name], last, limit + 1)
    const names = own.map(([, tag]) => tag)
    const merged = mergeAfter(known?.tags ?? [], names, last, limit + 1)
    const entries = merged.slice(0, limit)
    return { entries, next: merged.length > limit ? entries.at(-1) : undefined, stale }
  }

  /** Where clients push, a repository that upstream does not have is all here. */
  #isOurs(repository: MirroredRepository, error: unknown): boolean {
    const isHere = this.#context.metadata.get('repositories', repository.name) !== undefined
    const isMissing = error instanceof UpstreamError && error.kind === 'missing'
    return isMissing && isHere && repository.mirror.config.push === 'allow'
  }

  /** Sees to it that upstream's referrers of a manifest are in the metadata. Throws an `UpstreamError`. */
  async referrers(
    repository: MirroredRepository,
    subject: Digest,
    deadline: number,
  ): Promise<Referrers> {
    const { metadata } = this.#context
    const key = `${repository.name}@${subject}`
    const before = this.#referrers.get(key)
    const hasRows = () =>
      metadata.keys('referrers', [repository.name, subject], undefined, 1).length > 0
    let stale: Stale | undefined
    if (!this.#isFresh(before)) {
      const ask = () => this.#askReferrers(repository, subject, deadline)
      // Rows of an earlier run are something; that there are none is known by whoever has asked.
      const knownAt = before?.isKept === true ? before.at : undefined
      stale = await this.#settle(repository.mirror, `referrers ${key}`, ask, knownAt, hasRows())
    }
    // Where clients push, what upstream knows nothing of is all here.
    const isOurs =
      repository.mirror.config.push === 'allow' &&
      metadata.get('manifests', [repository.name, subject]) !== undefined
    const isKept = isOurs || this.#referrers.get(key)?.isKept === true || hasRows()
    return isKept ? { kind: 'known', stale } : { kind: 'none' }
  }

  #isFresh(known: { readonly at: number } | undefined): boolean {
    return known !== undefined && this.#context.clock.monotonic() - known.at <= freshMs
  }

  /**
   * Asks, or waits for who does: only a moment where there is something to list. Throws where there is
   * not, and where upstream has said a moment ago that it gives nothing.
   */
  async #settle(
    mirror: Mirror,
    key: string,
    ask: () => Promise<void>,
    knownAt: number | undefined,
    hasSomething = knownAt !== undefined,
  ): Promise<Stale | undefined> {
    const { clock } = this.#context
    const refusal = this.#refused.get(key)
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<'slow'>((resolve) => {
      if (hasSomething) timer = setTimeout(() => resolve('slow'), checkWaitMs)
    })
    let why: string
    try {
      if (refusal !== undefined) {
        mirror.stats.negative += 1
        throw refusal
      }
      const asking = this.#asking.run(key, ask)
      const outcome = await Promise.race([asking, late])
      asking.catch(() => undefined)
      if (outcome === undefined) return undefined
      why = outcome
    } catch (error) {
      const known = toUpstreamError(error, mirror.name)
      this.#refused.note(key, known)
      if (!hasSomething) throw known
      why = known.kind
    } finally {
      clearTimeout(timer)
    }
    mirror.stats.stale += 1
    const age = knownAt === undefined ? undefined : (clock.monotonic() - knownAt) / 1000
    return { why, ageSeconds: age === undefined ? undefined : Math.round(age) }
  }

  async #askTags(repository: MirroredRepository, deadline: number): Promise<void> {
    const list = await fetchTags(repository, deadline)
    this.#tags.set(repository.name, { ...list, at: this.#context.clock.monotonic() })
  }

  async #askReferrers(
    repository: MirroredRepository,
    subject: Digest,
    deadline: number,
  ): Promise<void> {
    const { rows, isKept } = await fetchReferrers(repository, subject, deadline)
    await this.#put(repository, subject, rows)
    await this.#dropOthers(repository, subject, new Set(rows.map(({ digest }) => digest)))
    const known = { at: this.#context.clock.monotonic(), isKept }
    this.#referrers.set(`${repository.name}@${subject}`, known)
  }

  async #put(
    repository: MirroredRepository,
    subject: Digest,
    rows: readonly ReferrerRow[],
  ): Promise<void> {
    for (let from = 0; from < rows.length; from += rowsAtOnce) {
      const some = rows
        .slice(from, from + rowsAtOnce)
        .map((row) => [unwrap(parseDigest(row.digest)), row] as const)
      const changes = putReferrers(repository.name, subject, some)
      await this.#context.metadata.commit({ checks: [], changes })
    }
  }

  /** What upstream does not list any more goes, unless its manifest is here. */
  async #dropOthers(
    repository: MirroredRepository,
    subject: Digest,
    named: ReadonlySet<string>,
  ): Promise<void> {
    const { metadata } = this.#context
    for await (const keys of keyPages(metadata, 'referrers', [repository.name, subject])) {
      const others = keys
        .map(([, , digest]) => digest)
        .filter((digest) => !named.has(digest))
        .filter((digest) => metadata.get('manifests', [repository.name, digest]) === undefined)
      const changes = dropReferrers(repository.name, subject, others)
      if (changes.length > 0) await metadata.commit({ checks: [], changes })
    }
  }
}
