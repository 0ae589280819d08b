/**
 * @module Harbor as a source, by its API: repositories of a project, tags with digests a hundred artifacts a
 * request. Its times are not used: a tag that is put onto an older artifact changes none of them.
 */
import { parseDigest } from '../../registry/digest.ts'
import type { Clock } from '../../runtime/clock.ts'
import { headerOf } from '../../upstream/client.ts'
import { UpstreamError } from '../../upstream/error.ts'
import { nextQuery } from '../../upstream/link.ts'
import { basicHeader, type Credential } from '../../upstream/tokens.ts'
import type { Upstream } from '../../upstream/upstream.ts'
import {
  type ListedRepository,
  type ListedTag,
  SyncError,
  type SyncUpstream,
  type TagsWanted,
} from '../port.ts'
import { Asking, type Page, pagesMax } from './asking.ts'
import { fieldsOf, type JsonPage, msOfDate, textOf } from './json-page.ts'
import { endless, ListedNames } from './listed-names.ts'
import { RegistrySource } from './registry.ts'

/** Entries of one page; Harbor gives no more. */
const entriesAtOnce = 100

export interface HarborSourceOptions {
  /** Asks `/v2` as well: the same user is known there. */
  readonly upstream: Upstream
  readonly clock: Clock
  /** Sent with every request of the API, which shows nobody what is public and does not ask who it is. */
  readonly credential: Credential | undefined
  /** Projects that are listed whole. */
  readonly organizations: readonly string[]
  /** Whole names beside those. */
  readonly repositories: readonly string[]
}

export class HarborSource implements SyncUpstream {
  readonly tellsTimes = false
  readonly #options: HarborSourceOptions
  readonly #asking: Asking
  readonly #registry: RegistrySource

  constructor(options: HarborSourceOptions) {
    this.#options = options
    const { upstream, clock, repositories } = options
    this.#asking = new Asking(upstream, clock)
    this.#registry = new RegistrySource({ upstream, clock, repositories })
  }

  /** Nobody is asked for a login by what is public, so the user is asked for itself. */
  async probe(signal: AbortSignal): Promise<void> {
    if (this.#options.credential === undefined) return
    try {
      await this.#page('users/current', signal)
    } catch (error) {
      // Robots are not users: those that are known are told that it is not there, or not theirs.
      const status = error instanceof UpstreamError ? error.status : undefined
      if (status === 403 || status === 404 || status === 412) return
      if (status !== 401) throw error
      const message = (error as UpstreamError).message
      throw new SyncError('credentials', message, false, { cause: error })
    }
  }

  async *repositories(signal: AbortSignal): AsyncGenerator<readonly ListedRepository[]> {
    const { organizations, repositories } = this.#options
    const seen = new ListedNames()
    for (const project of new Set(organizations)) {
      const path = `projects/${encodeURIComponent(project)}/repositories`
      try {
        for await (const page of this.#pages(path, '', signal)) {
          const found: ListedRepository[] = []
          for await (const entry of page.list('')) {
            const name = textOf(fieldsOf(entry)['name'])
            if (name?.startsWith(`${project}/`) === true && seen.add(name)) found.push({ name })
          }
          if (found.length > 0) yield found
        }
      } catch (error) {
        const isMissing = error instanceof UpstreamError && error.kind === 'missing'
        if (!isMissing) throw error
        throw new SyncError('organization-not-found', `there is no project ${project}`, false, {
          cause: error,
        })
      }
    }
    const named = [...new Set(repositories)].filter((name) => !seen.has(name))
    if (named.length > 0) yield named.map((name) => ({ name }))
  }

  async *tags(repository: string, wanted: TagsWanted): AsyncGenerator<readonly ListedTag[]> {
    const slash = repository.indexOf('/')
    const project = encodeURIComponent(repository.slice(0, slash))
    // Twice: the first is taken off before Harbor's own routes see it.
    const name = encodeURIComponent(encodeURIComponent(repository.slice(slash + 1)))
    const path = `projects/${project}/repositories/${name}/artifacts`
    const query = '&with_tag=true&q=tags%3D*&sort=-push_time'
    const seen = new ListedNames()
    try {
      for await (const page of this.#pages(path, query, wanted.signal)) {
        const found: ListedTag[] = []
        for await (const entry of page.list('')) found.push(...tagsOf(entry, seen))
        if (found.length > 0) yield found
      }
    } catch (error) {
      // Proxies that read the slash are common; the list of `/v2` has no such slash.
      if (seen.size > 0 || !isOfPath(error)) throw error
      yield* this.#registry.tags(repository, wanted)
    }
  }

  /** By HEAD of `/v2`, which Harbor does not count. */
  tag(repository: string, tag: string, signal: AbortSignal): Promise<ListedTag | undefined> {
    return this.#registry.tag(repository, tag, signal)
  }

  async *#pages(path: string, query: string, signal: AbortSignal): AsyncGenerator<JsonPage> {
    let before = ''
    let listed = 0
    for (let page = 1; page <= pagesMax; page += 1) {
      const { json, headers } = await this.#api(
        `${path}?page=${page}&page_size=${entriesAtOnce}${query}`,
        signal,
      )
      let count = 0
      let first = ''
      for await (const entry of json.list('')) {
        count += 1
        if (count === 1) first = JSON.stringify(entry)
      }
      if (count > 0 && first === before) {
        throw endless('a page repeats the one before')
      }
      before = first
      yield json
      // Pages may be smaller than they were asked for: proxies take the size off.
      listed += count
      const total = Number(headerOf(headers, 'x-total-count') ?? 0)
      const hasMore = nextQuery(headerOf(headers, 'link')) !== undefined || listed < total
      if (count === 0 || (count < entriesAtOnce && !hasMore)) return
    }
    throw endless(`there are more than ${pagesMax} pages`)
  }

  /** Where the credential has ended, that is what is said, and not that this is refused. */
  async #api(path: string, signal: AbortSignal): Promise<Page> {
    try {
      return await this.#page(path, signal)
    } catch (error) {
      if (error instanceof UpstreamError && error.status === 401) await this.probe(signal)
      throw error
    }
  }

  async #page(path: string, signal: AbortSignal): Promise<Page> {
    const { credential } = this.#options
    const basic = credential === undefined ? undefined : await basicHeader(credential)
    const ownHeaders = basic === undefined ? {} : { Authorization: basic }
    const wanted = { method: 'GET', path: `/api/v2.0/${path}`, class: 'api', scope: '' } as const
    return await this.#asking.page({ ...wanted, ownHeaders }, signal)
  }
}

/** The tags of an artifact that were not seen before. */
function tagsOf(entry: unknown, seen: ListedNames): ListedTag[] {
  const { digest: text, tags } = fieldsOf(entry)
  const digest = parseDigest(textOf(text) ?? '')
  if (!Array.isArray(tags)) return []
  const found: ListedTag[] = []
  for (const fields of (tags as unknown[]).map(fieldsOf)) {
    const tag = textOf(fields['name'])
    if (tag === undefined || !seen.add(tag)) continue
    const pushedAt = msOfDate(fields['push_time'])
    found.push({
      tag,
      ...(digest.ok ? { digest: digest.value } : {}),
      ...(pushedAt === undefined ? {} : { pushedAt }),
    })
  }
  return found
}

/** What the path of a repository with slashes is answered by a proxy that has read them. */
function isOfPath(error: unknown): boolean {
  if (!(error instanceof UpstreamError)) return false
  return error.kind === 'missing' || error.kind === 'rejected' || error.kind === 'garbage'
}
