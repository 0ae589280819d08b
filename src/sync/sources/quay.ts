/**
 * @module Quay as a source, by its API: repositories with the time of their last tag, tags with digests and
 * times. Manifests are never asked for to learn a digest: Quay counts that as a pull.
 */
import { parseDigest } from '../../registry/digest.ts'
import type { Clock } from '../../runtime/clock.ts'
import { UpstreamError } from '../../upstream/error.ts'
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
import { fieldsOf, msOfSeconds, textOf } from './json-page.ts'
import { endless, ListedNames } from './listed-names.ts'

/** Tags of one page; Quay gives no more. */
const tagsAtOnce = 100

/** Pages in a row that hold nothing new before a list counts as endless. */
const stalePagesMax = 3

/** For how long a token that was good is not asked about again, ms. */
const goodForMs = 10_000

/** 401 is what an end of the token looks like: only what was said after another one counts, and not for long. */
const goodAfter401Ms = 1_000

export interface QuaySourceOptions {
  /** Asks with the OAuth token as Bearer, or with nothing. */
  readonly api: Upstream
  readonly clock: Clock
  /** The host as tokens name it: the URL's, with its port. */
  readonly host: string
  /** Basic `$oauthtoken`, which tells whether the token is good; undefined: nobody in particular asks. */
  readonly oauth: Credential | undefined
  /** Namespaces that are listed whole. */
  readonly organizations: readonly string[]
  /** Whole names beside those. */
  readonly repositories: readonly string[]
}

export class QuaySource implements SyncUpstream {
  readonly tellsTimes = true
  readonly #options: QuaySourceOptions
  readonly #asking: Asking
  /** When the token was good last, by the monotonic clock. */
  #goodAt: number | undefined
  #goodAfter401At: number | undefined

  constructor(options: QuaySourceOptions) {
    this.#options = options
    this.#asking = new Asking(options.api, options.clock)
  }

  /** The API takes a bad token for nobody's and shows what is public, without a word. Logins do not. */
  async probe(signal: AbortSignal): Promise<void> {
    const { oauth, host } = this.#options
    const basic = oauth === undefined ? undefined : await basicHeader(oauth)
    if (basic === undefined) return
    const path = `/v2/auth?service=${encodeURIComponent(host)}`
    const ownHeaders = { Authorization: basic }
    try {
      const wanted = { method: 'GET', path, class: 'api', scope: '', ownHeaders } as const
      await this.#asking.page(wanted, signal)
      this.#goodAt = this.#options.clock.monotonic()
    } catch (error) {
      if (!(error instanceof UpstreamError) || !error.isRefusal) throw error
      const words = error.words === undefined ? '' : `: ${error.words}`
      throw new SyncError('credentials', `${host} refuses the token${words}`, false, {
        cause: error,
      })
    }
  }

  /** Throws `credentials` when the token has ended. */
  async #requireGood(signal: AbortSignal, isAfter401 = false): Promise<void> {
    const { clock, oauth } = this.#options
    const [at, forMs] = isAfter401
      ? [this.#goodAfter401At, goodAfter401Ms]
      : [this.#goodAt, goodForMs]
    if (oauth === undefined || (at !== undefined && clock.monotonic() < at + forMs)) return
    await this.probe(signal)
    if (isAfter401) this.#goodAfter401At = this.#goodAt
  }

  async *repositories(signal: AbortSignal): AsyncGenerator<readonly ListedRepository[]> {
    const { organizations, repositories, clock } = this.#options
    const seen = new ListedNames()
    const begunAt = clock.monotonic()
    for (const organization of new Set(organizations)) {
      let count = 0
      for await (const page of this.#repositoriesOf(organization, seen, signal)) {
        count += page.length
        if (page.length > 0) yield page
      }
      if (count === 0) await this.#requireNamespace(organization, signal)
    }
    // A token that ends meanwhile makes the rest of the list nobody's, without a word.
    if (clock.monotonic() >= begunAt + goodForMs) await this.#requireGood(signal)
    const named = [...new Set(repositories)].filter((name) => !seen.has(name))
    if (named.length > 0) yield named.map((name) => ({ name }))
  }

  async *#repositoriesOf(
    namespace: string,
    seen: ListedNames,
    signal: AbortSignal,
  ): AsyncGenerator<readonly ListedRepository[]> {
    const query = new URLSearchParams({
      namespace,
      public: 'true',
      last_modified: 'true',
      repo_kind: 'image',
    })
    for (let pages = 1; ; pages += 1) {
      const { json } = await this.#api(`repository?${query}`, signal)
      const found: ListedRepository[] = []
      let count = 0
      for await (const entry of json.list('repositories')) {
        count += 1
        const repository = repositoryOf(entry, namespace)
        if (repository === undefined) continue
        // A cursor that is bad or too old leads to the first page again, without a word.
        if (seen.add(repository.name)) found.push(repository)
        else if (count === 1) throw endless(`the pages of ${namespace} begin again`)
      }
      yield found
      const next = textOf(json.value('next_page'), 4096)
      if (next === undefined) return
      if (query.get('next_page') === next) throw endless(`a page of ${namespace} leads to itself`)
      if (pages >= pagesMax) throw endless(`there are more than ${pages} pages of ${namespace}`)
      query.set('next_page', next)
    }
  }

  /** An empty list is said of a namespace that is not there as well. */
  async #requireNamespace(name: string, signal: AbortSignal): Promise<void> {
    for (const kind of ['organization', 'users']) {
      try {
        await this.#api(`${kind}/${encodeURIComponent(name)}`, signal)
        return
      } catch (error) {
        if (!(error instanceof UpstreamError) || error.kind !== 'missing') throw error
      }
    }
    const { host } = this.#options
    throw new SyncError('organization-not-found', `${host} has no organization or user ${name}`)
  }

  async *tags(
    repository: string,
    { since = Number.NEGATIVE_INFINITY, signal }: TagsWanted,
  ): AsyncGenerator<readonly ListedTag[]> {
    const seen = new ListedNames()
    let stalePages = 0
    for (let page = 1; page <= pagesMax; page += 1) {
      const query = `onlyActiveTags=true&limit=${tagsAtOnce}&page=${page}`
      const { json } = await this.#tagPage(repository, query, signal)
      const found: ListedTag[] = []
      let oldest = Number.POSITIVE_INFINITY
      for await (const entry of json.list('tags')) {
        const tag = tagOf(entry)
        if (tag === undefined) continue
        oldest = Math.min(oldest, tag.pushedAt ?? oldest)
        // A push between two pages moves a tag onto the next one; the first that came is the newest.
        if (seen.add(tag.tag)) found.push(tag)
      }
      if (found.length > 0) yield found
      if (json.value('has_additional') !== true || oldest < since) return
      stalePages = found.length === 0 ? stalePages + 1 : 0
      if (stalePages === stalePagesMax) {
        throw endless(`pages of ${repository} repeat what the ones before them had`)
      }
    }
    throw endless(`there are more than ${pagesMax} pages of ${repository}`)
  }

  async tag(repository: string, tag: string, signal: AbortSignal): Promise<ListedTag | undefined> {
    const query = new URLSearchParams({
      onlyActiveTags: 'true',
      limit: String(tagsAtOnce),
      specificTag: tag,
    })
    const { json } = await this.#tagPage(repository, String(query), signal)
    let others = 0
    for await (const entry of json.list('tags')) {
      const found = tagOf(entry)
      if (found?.tag === tag) return found
      others += 1
    }
    // Whoever answers with other tags has not understood what was asked.
    if (others > 0) {
      throw new UpstreamError('garbage', 'upstream lists tags that were not asked for')
    }
    return undefined
  }

  #tagPage(repository: string, query: string, signal: AbortSignal): Promise<Page> {
    const path = repository.split('/').map(encodeURIComponent).join('/')
    return this.#api(`repository/${path}/tag/?${query}`, signal)
  }

  async #api(path: string, signal: AbortSignal): Promise<Page> {
    const wanted = { method: 'GET', path: `/api/v1/${path}`, class: 'api', scope: '' } as const
    // Without a token nobody in particular asks: Quay gives tokens of `/v2/auth` to nobody but users.
    const isOpen = this.#options.oauth === undefined
    try {
      return await this.#asking.page({ ...wanted, isOpen, isJudgedByAsker: true }, signal)
    } catch (error) {
      // The API says of no refusal whether it is for the token: a bad one is nobody's.
      if (error instanceof UpstreamError && isOfToken(error)) {
        await this.#requireGood(signal, error.status === 401)
      }
      throw error
    }
  }
}

/** What nobody is answered of a private repository. 403 is for those who are known. */
function isOfToken({ status }: UpstreamError): boolean {
  return status === 401 || status === 404
}

function repositoryOf(entry: unknown, namespace: string): ListedRepository | undefined {
  const fields = fieldsOf(entry)
  const name = textOf(fields['name'])
  if (name === undefined || fields['namespace'] !== namespace) return undefined
  if (fields['kind'] === 'application') return undefined
  const { last_modified: modified } = fields
  // Null: there is no live tag, so none was set at any time.
  const changedAt = modified === null ? 0 : msOfSeconds(modified)
  return { name: `${namespace}/${name}`, ...(changedAt === undefined ? {} : { changedAt }) }
}

function tagOf(entry: unknown): ListedTag | undefined {
  const fields = fieldsOf(entry)
  const tag = textOf(fields['name'], 128)
  if (tag === undefined) return undefined
  const digest = parseDigest(textOf(fields['manifest_digest']) ?? '')
  const [pushedAt, expiresAt] = [msOfSeconds(fields['start_ts']), msOfSeconds(fields['end_ts'])]
  return {
    tag,
    ...(digest.ok ? { digest: digest.value } : {}),
    ...(pushedAt === undefined ? {} : { pushedAt }),
    ...(expiresAt === undefined ? {} : { expiresAt }),
    ...(fields['is_sparse'] === true ? { isSparse: true } : {}),
  }
}
