/**
 * @module Lists of mirrored repositories: tags upstream and here as one, and the referrers of a
 * manifest. Both are asked for at most once a minute; while upstream fails, what is known is listed.
 */
import * as v from 'valibot'
import type { Page, PageRequest } from '../distribution/discovery.ts'
import { listKeys } from '../distribution/scan.ts'
import { type Digest, parseDigest } from '../registry/digest.ts'
import { RegistryError } from '../registry/errors.ts'
import { manifestBytesMax, pageEntriesMax } from '../registry/limits.ts'
import { mediaTypes } from '../registry/media-type.ts'
import type { RepositoryName } from '../registry/name.ts'
import { parseTag } from '../registry/tag.ts'
import { SingleFlight } from '../runtime/single-flight.ts'
import type { ReferrerRow } from '../storage/schema.ts'
import type { Change } from '../storage/transaction.ts'
import { checkWaitMs, type MirrorContext, manifestTypes, missMs } from './context.ts'
import { headerOf } from './http-client.ts'
import type { Mirror } from './mirror.ts'
import { toUpstreamError, UpstreamError } from './upstream-error.ts'

/** How long a list counts as fresh, ms. */
const freshMs = 60_000

/** Lists kept in memory, and tags of one of them. */
const listsMax = 256
const tagsMax = 200_000
const listBytesMax = 8 * 1024 * 1024
const pagesMax = 200

interface KnownTags {
  readonly tags: readonly string[]
  readonly at: number
}

const tagsSchema = v.looseObject({ tags: v.nullish(v.array(v.string())) })

const referrersSchema = v.looseObject({
  manifests: v.nullish(
    v.array(
      v.looseObject({
        mediaType: v.string(),
        digest: v.string(),
        size: v.number(),
        artifactType: v.optional(v.string()),
        annotations: v.nullish(v.record(v.string(), v.string())),
      }),
    ),
  ),
})

export class MirrorLists {
  readonly #context: MirrorContext
  readonly #known = new Map<RepositoryName, KnownTags>()
  readonly #referrersAt = new Map<string, number>()
  readonly #asking = new SingleFlight<void>()

  constructor(context: MirrorContext) {
    this.#context = context
  }

  /** Tags of upstream and of this registry, in byte order; `stale` says why upstream's are old. */
  async tags(
    mirror: Mirror,
    repository: RepositoryName,
    { count, last }: PageRequest,
  ): Promise<Page<string> & { readonly stale: string | undefined }> {
    const { metadata, clock } = this.#context
    const isKnown = metadata.get('repositories', repository) !== undefined
    let stale: string | undefined
    const known = this.#known.get(repository)
    if (known === undefined || clock.monotonic() - known.at > freshMs) {
      const asking = this.#asking.run(`tags ${repository}`, () => this.#askTags(mirror, repository))
      stale = await this.#settle(mirror, asking, isKnown || known !== undefined)
      if (stale === 'missing' && !isKnown) {
        throw new RegistryError('NAME_UNKNOWN', { detail: { name: repository } })
      }
    }
    const limit = Math.min(count ?? pageEntriesMax, pageEntriesMax)
    if (limit === 0) return { entries: [], next: undefined, stale }
    const upstream = this.#known.get(repository)?.tags ?? []
    const own = await listKeys(metadata, 'tags', [repository], last, limit + 1)
    const merged = mergeAfter(
      upstream,
      own.map(([, tag]) => tag),
      last,
      limit + 1,
    )
    const entries = merged.slice(0, limit)
    return { entries, next: merged.length > limit ? entries.at(-1) : undefined, stale }
  }

  /** Sees to it that upstream's referrers of a manifest are in the metadata; says why not. */
  async refreshReferrers(
    mirror: Mirror,
    repository: RepositoryName,
    subject: Digest,
  ): Promise<string | undefined> {
    const { metadata, clock } = this.#context
    const key = `${repository}@${subject}`
    const at = this.#referrersAt.get(key)
    if (at !== undefined && clock.monotonic() - at < freshMs) return undefined
    const isKnown = metadata.keys('referrers', [repository, subject], undefined, 1).length > 0
    const asking = this.#asking.run(`referrers ${key}`, () =>
      this.#askReferrers(mirror, repository, subject),
    )
    const has = isKnown || at !== undefined
    const hasSubject = metadata.get('manifests', [repository, subject]) !== undefined
    return this.#settle(mirror, asking, has || hasSubject)
  }

  /** Waits for an answer: only a moment where there is something to list. Throws where there is not. */
  async #settle(
    mirror: Mirror,
    asking: Promise<void>,
    hasSomething: boolean,
  ): Promise<string | undefined> {
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<'slow'>((resolve) => {
      if (hasSomething) timer = setTimeout(() => resolve('slow'), checkWaitMs)
    })
    try {
      const outcome = await Promise.race([asking, late])
      asking.catch(() => undefined)
      if (outcome === undefined) return undefined
      mirror.stats.stale += 1
      return outcome
    } catch (error) {
      const known = toUpstreamError(error, mirror.name)
      if (known.kind === 'missing') return known.kind
      if (!hasSomething) throw known
      mirror.stats.stale += 1
      return known.kind
    } finally {
      clearTimeout(timer)
    }
  }

  async #askTags(mirror: Mirror, repository: RepositoryName): Promise<void> {
    const { clock } = this.#context
    const deadline = clock.monotonic() + missMs
    const found = new Set<string>()
    let tail: string | undefined = `tags/list?n=${pageEntriesMax}`
    for (let page = 0; tail !== undefined && page < pagesMax && found.size < tagsMax; page += 1) {
      const answer = await mirror.upstream.fetch(
        { repository: mirror.upstreamName(repository), tail, deadline },
        listBytesMax,
      )
      const { tags } = parse(tagsSchema, answer.bytes)
      for (const tag of tags ?? []) if (parseTag(tag).ok) found.add(tag)
      tail = nextTail(headerOf(answer.headers, 'link'), 'tags/list')
    }
    this.#known.delete(repository)
    this.#known.set(repository, { tags: [...found].sort(byBytes), at: clock.monotonic() })
    dropOldest(this.#known)
  }

  async #askReferrers(mirror: Mirror, repository: RepositoryName, subject: Digest): Promise<void> {
    const { metadata, clock } = this.#context
    const found = await this.#fetchReferrers(mirror, repository, subject)
    const changes: Change[] = []
    const named = new Set<string>()
    for (const { mediaType, digest: text, size, artifactType, annotations } of found) {
      const digest = parseDigest(text)
      if (!digest.ok || !Number.isSafeInteger(size) || size < 0) continue
      named.add(digest.value)
      const row: ReferrerRow = {
        mediaType,
        digest: digest.value,
        size,
        ...(artifactType === undefined ? {} : { artifactType }),
        ...(annotations == null ? {} : { annotations }),
      }
      changes.push({
        change: 'put',
        in: 'referrers',
        key: [repository, subject, digest.value],
        row,
      })
    }
    for (const key of metadata.keys('referrers', [repository, subject], undefined, 1_000)) {
      // What upstream does not list any more goes, unless its manifest is here.
      const isHere = metadata.get('manifests', [repository, key[2]]) !== undefined
      if (!named.has(key[2]) && !isHere) changes.push({ change: 'delete', in: 'referrers', key })
    }
    if (changes.length > 0) await metadata.commit({ checks: [], changes })
    const key = `${repository}@${subject}`
    this.#referrersAt.delete(key)
    this.#referrersAt.set(key, clock.monotonic())
    dropOldest(this.#referrersAt)
  }

  /** By the referrers API, else by the tag that stands for it in older registries. */
  async #fetchReferrers(mirror: Mirror, repository: RepositoryName, subject: Digest) {
    const upstream = mirror.upstreamName(repository)
    const deadline = this.#context.clock.monotonic() + missMs
    const found: NonNullable<v.InferOutput<typeof referrersSchema>['manifests']> = []
    try {
      let tail: string | undefined = `referrers/${subject}`
      for (let page = 0; tail !== undefined && page < pagesMax; page += 1) {
        const headers = { Accept: mediaTypes.ociIndex }
        const answer = await mirror.upstream.fetch(
          { repository: upstream, tail, headers, deadline },
          manifestBytesMax,
        )
        found.push(...(parse(referrersSchema, answer.bytes).manifests ?? []))
        tail = nextTail(headerOf(answer.headers, 'link'), `referrers/${subject}`)
      }
      return found
    } catch (error) {
      if (toUpstreamError(error, mirror.name).kind !== 'missing') throw error
    }
    try {
      const tail = `manifests/${subject.replace(':', '-')}`
      const headers = { Accept: manifestTypes }
      const answer = await mirror.upstream.fetch(
        { repository: upstream, tail, headers, deadline },
        manifestBytesMax,
      )
      return parse(referrersSchema, answer.bytes).manifests ?? []
    } catch (error) {
      if (toUpstreamError(error, mirror.name).kind !== 'missing') throw error
      return []
    }
  }
}

function parse<S extends v.GenericSchema>(schema: S, bytes: Uint8Array): v.InferOutput<S> {
  try {
    return v.parse(schema, JSON.parse(Buffer.from(bytes).toString('utf8')))
  } catch (error) {
    throw new UpstreamError('garbage', `upstream sends no list: ${(error as Error).message}`)
  }
}

/** The next page's path and query below the repository; only of the same list. */
function nextTail(link: string | undefined, list: string): string | undefined {
  const target = /<([^>]*)>\s*;[^,]*rel="?next"?/i.exec(link ?? '')?.[1]
  if (target === undefined) return undefined
  const query = target.indexOf('?')
  return query === -1 ? undefined : `${list}${target.slice(query)}`
}

function byBytes(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

/** Up to `limit` of both sorted lists after `last`, each once. */
function mergeAfter(
  a: readonly string[],
  b: readonly string[],
  last: string | undefined,
  limit: number,
): string[] {
  let from = 0
  if (last !== undefined) while (from < a.length && a[from]! <= last) from += 1
  return [...new Set([...a.slice(from, from + limit), ...b])].sort(byBytes).slice(0, limit)
}

function dropOldest(map: Map<string, unknown>): void {
  if (map.size <= listsMax) return
  const [oldest] = map.keys()
  map.delete(oldest!)
}
