/**
 * @module Docker Hub as a source, by the API of its web site: repositories with the time of their last change,
 * tags with digests. Its pulls are counted, so digests are never asked for by GET.
 */
import { parseDigest } from '../../registry/digest.ts'
import type { Clock } from '../../runtime/clock.ts'
import { UpstreamError } from '../../upstream/error.ts'
import type { Upstream } from '../../upstream/upstream.ts'
import {
  type ListedRepository,
  type ListedTag,
  SyncError,
  type SyncUpstream,
  type TagsWanted,
} from '../port.ts'
import { Asking, type Page, pagesMax } from './asking.ts'
import { fieldsOf, msOfDate, textOf } from './json-page.ts'
import { endless, ListedNames } from './listed-names.ts'
import { RegistrySource } from './registry.ts'

const entriesAtOnce = 100

/** Tokens live for ten minutes. */
const tokenMs = 9 * 60_000

/** A refused password is not sent again for so long, ms: Hub locks accounts for it. */
const refusedMs = 15 * 60_000

export interface DockerHubSourceOptions {
  /** Of `https://hub.docker.com`, without credentials. */
  readonly api: Upstream
  /** Of `https://registry-1.docker.io`. */
  readonly registry: Upstream
  readonly clock: Clock
  /** The user, and what reads its password or token. */
  readonly login:
    | { readonly identifier: string; readonly readSecret: () => Promise<string> }
    | undefined
  readonly organizations: readonly string[]
  /** Whole names beside those. */
  readonly repositories: readonly string[]
}

export class DockerHubSource implements SyncUpstream {
  readonly tellsTimes = true
  readonly #options: DockerHubSourceOptions
  readonly #asking: Asking
  readonly #registry: RegistrySource
  #token: { readonly header: string; readonly until: number } | undefined
  #refused: { readonly error: SyncError; readonly until: number } | undefined

  constructor(options: DockerHubSourceOptions) {
    this.#options = options
    const { api, registry, clock, repositories } = options
    this.#asking = new Asking(api, clock)
    this.#registry = new RegistrySource({ upstream: registry, clock, repositories })
  }

  async probe(signal: AbortSignal): Promise<void> {
    await this.#authorization(signal)
  }

  async *repositories(signal: AbortSignal): AsyncGenerator<readonly ListedRepository[]> {
    const { organizations, repositories } = this.#options
    const seen = new ListedNames()
    for (const organization of new Set(organizations)) {
      const path = `namespaces/${encodeURIComponent(organization)}/repositories`
      try {
        for await (const page of this.#results(path, signal)) {
          const found = page
            .map((entry) => repositoryOf(entry, organization))
            .filter((it) => it !== undefined && seen.add(it.name)) as ListedRepository[]
          if (found.length > 0) yield found
        }
      } catch (error) {
        if (!(error instanceof UpstreamError) || error.kind !== 'missing') throw error
        const message = `Docker Hub has no namespace ${organization}`
        throw new SyncError('organization-not-found', message, false, { cause: error })
      }
    }
    const named = [...new Set(repositories)].filter((name) => !seen.has(name))
    if (named.length > 0) yield named.map((name) => ({ name }))
  }

  async *tags(repository: string, { signal }: TagsWanted): AsyncGenerator<readonly ListedTag[]> {
    const slash = repository.indexOf('/')
    const [namespace, name] = [repository.slice(0, slash), repository.slice(slash + 1)]
    const path = `namespaces/${encodeURIComponent(namespace)}/repositories/${encodeURIComponent(name)}/tags`
    const seen = new ListedNames()
    for await (const page of this.#results(path, signal)) {
      const found: ListedTag[] = []
      for (const tag of page.map(tagOf)) {
        if (tag !== undefined && seen.add(tag.tag)) found.push(tag)
      }
      if (found.length > 0) yield found
    }
  }

  /** By HEAD, which is not counted. */
  tag(repository: string, tag: string, signal: AbortSignal): Promise<ListedTag | undefined> {
    return this.#registry.tag(repository, tag, signal)
  }

  /** Pages as long as one leads on: by the query of its link, whichever host that names. */
  async *#results(path: string, signal: AbortSignal): AsyncGenerator<readonly unknown[]> {
    const asked = new Set<string>()
    let query: string | undefined = `?page_size=${entriesAtOnce}`
    while (query !== undefined) {
      if (asked.has(query) || asked.size >= pagesMax) {
        throw endless('its pages lead in a circle, or are too many')
      }
      asked.add(query)
      const { json } = await this.#api(`/v2/${path}${query}`, signal)
      const entries: unknown[] = []
      for await (const entry of json.list('results')) entries.push(entry)
      yield entries
      const next = textOf(json.value('next'), 4096)
      const from = next?.indexOf('?') ?? -1
      query = from === -1 ? undefined : next!.slice(from)
    }
  }

  async #api(path: string, signal: AbortSignal): Promise<Page> {
    const ask = async () => {
      const header = await this.#authorization(signal)
      const ownHeaders = header === undefined ? {} : { Authorization: header }
      const wanted = { method: 'GET', path, class: 'api', scope: '', ownHeaders } as const
      return await this.#asking.page(wanted, signal)
    }
    try {
      return await ask()
    } catch (error) {
      const isStale = error instanceof UpstreamError && error.status === 401
      if (!isStale || this.#token === undefined) throw error
      this.#token = undefined
      return await ask()
    }
  }

  async #authorization(signal: AbortSignal): Promise<string | undefined> {
    const { login, clock } = this.#options
    if (login === undefined) return undefined
    const now = clock.monotonic()
    if (this.#token !== undefined && now < this.#token.until) return this.#token.header
    if (this.#refused !== undefined && now < this.#refused.until) throw this.#refused.error
    const secret = await login.readSecret()
    const body = JSON.stringify({ identifier: login.identifier, secret })
    const headers = { 'Content-Type': 'application/json' }
    const wanted = { method: 'POST', path: '/v2/auth/token', class: 'api', scope: '' } as const
    try {
      const { json } = await this.#asking.page({ ...wanted, headers, body }, signal)
      const token = textOf(json.value('access_token'), 16 * 1024)
      if (token === undefined || !/^[\x21-\x7e]+$/.test(token)) {
        throw new UpstreamError('garbage', 'Docker Hub gives no token')
      }
      this.#token = { header: `Bearer ${token}`, until: now + tokenMs }
      return this.#token.header
    } catch (error) {
      if (!(error instanceof UpstreamError) || !error.isRefusal) throw error
      const refused = new SyncError('credentials', error.message, false, { cause: error })
      this.#refused = { error: refused, until: now + refusedMs }
      throw refused
    }
  }
}

function repositoryOf(entry: unknown, namespace: string): ListedRepository | undefined {
  const fields = fieldsOf(entry)
  const name = textOf(fields['name'])
  if (name === undefined) return undefined
  const changedAt = msOfDate(fields['last_updated'])
  return { name: `${namespace}/${name}`, ...(changedAt === undefined ? {} : { changedAt }) }
}

function tagOf(entry: unknown): ListedTag | undefined {
  const fields = fieldsOf(entry)
  const tag = textOf(fields['name'])
  if (tag === undefined) return undefined
  const digest = parseDigest(textOf(fields['digest']) ?? '')
  const pushedAt = msOfDate(fields['tag_last_pushed']) ?? msOfDate(fields['last_updated'])
  return {
    tag,
    ...(digest.ok ? { digest: digest.value } : {}),
    ...(pushedAt === undefined ? {} : { pushedAt }),
  }
}
