/**
 * @module Any registry as a source: repositories by name or from its catalog, tags from their list, and
 * digests by HEAD, for those tags alone whose digest is wanted. Google's registries say digests in the list.
 */
import { type Digest, parseDigest } from '../../registry/digest.ts'
import { digestOf } from '../../registry/hasher.ts'
import { manifestBytesMax } from '../../registry/limits.ts'
import type { Clock } from '../../runtime/clock.ts'
import { type Answer, headerOf } from '../../upstream/client.ts'
import { isHeadUnknown, UpstreamError } from '../../upstream/error.ts'
import { nextQuery } from '../../upstream/link.ts'
import type { Upstream } from '../../upstream/upstream.ts'
import {
  type ListedRepository,
  type ListedTag,
  SyncError,
  type SyncUpstream,
  type TagsWanted,
} from '../port.ts'
import { Asking, pagesMax, type Wanted } from './asking.ts'
import { fieldsOf, type JsonPage, textOf } from './json-page.ts'
import { endless, ListedNames } from './listed-names.ts'

/** Sizes of a page, tried in turn where the registry refuses one; undefined: as it likes. */
const PAGE_SIZES: readonly (number | undefined)[] = [1_000, 100, undefined]

const catalogScope = 'registry:catalog:*'

/** What a GET of a manifest accepts, and so what its HEAD has to be of. */
const manifestTypes = [
  'application/vnd.oci.image.index.v1+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.docker.distribution.manifest.v2+json',
  '*/*;q=0.1',
].join(', ')

export interface RegistrySourceOptions {
  readonly upstream: Upstream
  readonly clock: Clock
  /** Whole names; undefined: those of the catalog. */
  readonly repositories: readonly string[] | undefined
  /** Of the catalog: the repositories whose first part is one of them. Empty: all. */
  readonly organizations?: readonly string[]
  /** The path of the upstream's URL (`team/`), which catalogs put before their names. */
  readonly namePrefix?: string
}

interface NamedPage {
  readonly names: readonly string[]
  readonly json: JsonPage
}

export class RegistrySource implements SyncUpstream {
  readonly tellsTimes = false
  readonly #options: RegistrySourceOptions
  readonly #asking: Asking

  constructor(options: RegistrySourceOptions) {
    this.#options = options
    this.#asking = new Asking(options.upstream, options.clock)
  }

  /** A registry that wants to know who asks learns it here, so that its catalog is not nobody's. */
  async probe(signal: AbortSignal): Promise<void> {
    try {
      const wanted: Wanted = { method: 'GET', path: '/v2/', class: 'list', scope: '' }
      await this.#asking.bytes(wanted, signal)
    } catch (error) {
      if (!(error instanceof UpstreamError)) throw error
      if (error.kind === 'auth') {
        throw new SyncError('credentials', error.message, false, { cause: error })
      }
      // Many a registry says no to this and yes to what is wanted of it.
      if (!error.isRefusal && error.kind !== 'garbage') throw error
    }
  }

  async *repositories(signal: AbortSignal): AsyncGenerator<readonly ListedRepository[]> {
    const { repositories, namePrefix = '', organizations = [] } = this.#options
    if (repositories !== undefined) {
      yield [...new Set(repositories)].map((name) => ({ name }))
      return
    }
    await this.probe(signal)
    const isWanted = (name: string) =>
      organizations.length === 0 || organizations.some((it) => name.startsWith(`${it}/`))
    for await (const { names } of this.#catalog(signal)) {
      const own = names
        .filter((name) => name.startsWith(namePrefix))
        .map((name) => name.slice(namePrefix.length))
        .filter((name) => name !== '' && isWanted(name))
      if (own.length > 0) yield own.map((name) => ({ name }))
    }
  }

  async *tags(repository: string, { signal }: TagsWanted): AsyncGenerator<readonly ListedTag[]> {
    const wanted = (query: string): Wanted => ({ repository, tail: `tags/list${query}` })
    for await (const { names, json } of this.#pages('tags', wanted, signal)) {
      const known = json.has('manifest') ? await digestsOf(json) : new Map<string, ListedTag>()
      if (names.length > 0) yield names.map((tag) => known.get(tag) ?? { tag })
    }
  }

  async tag(repository: string, tag: string, signal: AbortSignal): Promise<ListedTag | undefined> {
    try {
      const { upstream } = this.#options
      const ask = { repository, tail: `manifests/${tag}`, ...this.#asking.fieldsOf(signal) }
      const headers = { Accept: manifestTypes }
      const answer = await upstream.ask({ ...ask, headers, method: 'HEAD' })
      answer.body.abort()
      const digest = saidDigest(answer)
      if (digest !== undefined) return { tag, digest }
    } catch (error) {
      const isMissing = error instanceof UpstreamError && error.kind === 'missing'
      if (!isMissing && !isHeadUnknown(error)) throw error
    }
    return await this.#tagByGet(repository, tag, signal)
  }

  /** What a HEAD leaves open: the digest, or which of tag and repository is not there. */
  async #tagByGet(
    repository: string,
    tag: string,
    signal: AbortSignal,
  ): Promise<ListedTag | undefined> {
    const wanted = { repository, tail: `manifests/${tag}`, headers: { Accept: manifestTypes } }
    try {
      const { bytes } = await this.#asking.bytes(wanted, signal, manifestBytesMax)
      return { tag, digest: digestOf('sha256', bytes) }
    } catch (error) {
      if (!isGoneTag(error)) throw error
    }
    // Many say of a repository that is not there the same as of a tag: that is no word on the tag.
    await this.#asking.page({ repository, tail: 'tags/list?n=1' }, signal)
    return undefined
  }

  async *#catalog(signal: AbortSignal): AsyncGenerator<NamedPage> {
    for (const scope of [catalogScope, '']) {
      const wanted = (query: string): Wanted => {
        return { method: 'GET', path: `/v2/_catalog${query}`, class: 'list', scope }
      }
      try {
        yield* this.#pages('repositories', wanted, signal)
        return
      } catch (error) {
        if (scope !== '' && isBadScope(error)) continue
        throw withoutCatalog(error)
      }
    }
  }

  /** Pages with what no page before had. */
  async *#pages(
    member: 'repositories' | 'tags',
    wanted: (query: string) => Wanted,
    signal: AbortSignal,
  ): AsyncGenerator<NamedPage> {
    for (const size of PAGE_SIZES) {
      const pages = this.#pagesOf(member, size, wanted, signal)
      let hasBegun = false
      try {
        for await (const page of pages) {
          hasBegun = true
          yield page
        }
        return
      } catch (error) {
        // A refusal of the size, or of sizes at all; what it is of, only the next attempt shows.
        const isOfSize =
          error instanceof UpstreamError && error.status === 400 && !isBadScope(error)
        if (hasBegun || !isOfSize || size === undefined) throw error
      }
    }
  }

  async *#pagesOf(
    member: string,
    size: number | undefined,
    wanted: (query: string) => Wanted,
    signal: AbortSignal,
  ): AsyncGenerator<NamedPage> {
    const found = new ListedNames()
    const asked = new Set<string>()
    let query: string | undefined = size === undefined ? '' : `?n=${size}`
    let isGuess = false
    while (query !== undefined) {
      if (asked.has(query)) throw endless('its pages lead in a circle')
      if (asked.size >= pagesMax) throw endless(`there are more than ${pagesMax} pages`)
      asked.add(query)
      const { json, headers } = await this.#asking.page(wanted(query), signal)
      const names: string[] = []
      let count = 0
      let last = ''
      for await (const entry of json.list(member)) {
        count += 1
        const name = textOf(entry, 512)
        if (name === undefined) continue
        last = name
        if (found.add(name)) names.push(name)
      }
      yield { names, json }
      const next = nextQuery(headerOf(headers, 'link'))
      if (next !== undefined && count > 0 && names.length === 0 && !isGuess) {
        throw endless('a page repeats what the ones before it had')
      }
      // A page that is full and leads nowhere may still not be the last one.
      isGuess = next === undefined && size !== undefined && count >= size && names.length > 0
      query = isGuess ? `?n=${size}&last=${encodeURIComponent(last)}` : next
    }
  }
}

/** A token server that knows no catalogs: Quay. */
function isBadScope(error: unknown): boolean {
  if (!(error instanceof UpstreamError) || error.status !== 400) return false
  return error.kind === 'auth' || error.kind === 'hidden'
}

function withoutCatalog(error: unknown): unknown {
  if (!(error instanceof UpstreamError)) return error
  const { kind, status, host = 'upstream' } = error
  const isNone = error.isRefusal || status === 501
  if (!isNone) return error
  const reason = kind === 'hidden' || kind === 'denied' ? 'denied' : 'upstream-error'
  const message = `${host} gives no catalog (${status}): name what is wanted in \`repositories\``
  return new SyncError(reason, message, false, { cause: error })
}

/** Whether the registry itself says that there is no such tag. */
function isGoneTag(error: unknown): boolean {
  if (!(error instanceof UpstreamError) || error.kind !== 'missing') return false
  return !error.isElsewhere && error.code !== 'NAME_UNKNOWN'
}

function saidDigest({ headers }: Answer): Digest | undefined {
  const parsed = parseDigest(headerOf(headers, 'docker-content-digest') ?? '')
  return parsed.ok ? parsed.value : undefined
}

/** Google's map of manifests: by tag. */
async function digestsOf(json: JsonPage): Promise<Map<string, ListedTag>> {
  const byTag = new Map<string, ListedTag>()
  for await (const [name, value] of json.object('manifest')) {
    const digest = parseDigest(name)
    const { tag: tags, timeUploadedMs } = fieldsOf(value)
    if (!digest.ok || !Array.isArray(tags)) continue
    const ms = Number(textOf(timeUploadedMs, 16))
    const pushed = Number.isSafeInteger(ms) && ms > 0 ? { pushedAt: ms } : {}
    for (const entry of tags as unknown[]) {
      const tag = textOf(entry, 128)
      if (tag !== undefined) byTag.set(tag, { tag, digest: digest.value, ...pushed })
    }
  }
  return byTag
}
