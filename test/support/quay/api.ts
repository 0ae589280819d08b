/** @module `/api/v1` of the stand-in of Quay: repositories, tags, organisations, users. */
import type { OAuthToken, QuayAnswer } from './auth.ts'
import type { QuayModel, QuayRepository, QuayTag } from './model.ts'
import type { QuaySwitches } from './switches.ts'

const pageRows = 100
const pageTokenSeconds = 2 * 24 * 3600

export interface ApiRequest {
  readonly path: string
  readonly query: URLSearchParams
  readonly caller: OAuthToken | undefined
  readonly now: number
}

export class QuayApi {
  readonly #model: QuayModel
  readonly #switches: QuaySwitches

  constructor(model: QuayModel, switches: QuaySwitches) {
    this.#model = model
    this.#switches = switches
  }

  answer(request: ApiRequest): QuayAnswer {
    const { path, caller } = request
    if (path === '/api/v1/repository') return this.#repositories(request)
    const tags = /^\/api\/v1\/repository\/([^/]+\/.+)\/tag\/$/.exec(path)
    if (tags !== null) return this.#tags(request, tags[1]!)
    const organization = /^\/api\/v1\/organization\/([^/]+)$/.exec(path)
    if (organization !== null) return this.#namespace(organization[1]!, 'organization')
    const user = /^\/api\/v1\/users\/([^/]+)$/.exec(path)
    if (user !== null) return this.#namespace(user[1]!, 'user')
    if (path === '/api/v1/user/') {
      if (caller?.scopes.includes('user:read') !== true) {
        return apiError(401, 'invalid_token', 'Requires authentication')
      }
      const names = [...this.#model.namespaces.keys()]
      return {
        status: 200,
        json: { username: caller.user, organizations: names.map((name) => ({ name })) },
      }
    }
    return apiError(404, 'not_found', 'Not Found')
  }

  #namespace(name: string, kind: 'organization' | 'user'): QuayAnswer {
    const known = this.#model.namespaces.get(name)
    if (known?.kind !== kind) return apiError(404, 'not_found', 'Not Found')
    return { status: 200, json: kind === 'organization' ? { name } : { username: name } }
  }

  #repositories({ query, caller, now }: ApiRequest): QuayAnswer {
    const namespace = query.get('namespace') ?? undefined
    const isPublic = query.get('public') === 'true'
    if (namespace === undefined && !isPublic && query.get('starred') !== 'true') {
      return apiError(400, 'invalid_request', 'namespace, public or starred must be given')
    }
    const visitor = caller?.scopes.includes('repo:read') === true ? caller.user : undefined
    const imagesAlone = query.get('repo_kind') === 'image'
    const all = this.#model.visible(namespace, visitor, isPublic, imagesAlone)
    const from = rowOf(query.get('next_page'), now)
    const rows = all.slice(from, from + pageRows)
    const at = now - this.#switches.lagSeconds
    const isTimed = query.get('last_modified') === 'true'
    const json = {
      repositories: rows.map((it) => ({
        namespace: it.namespace,
        name: it.name,
        description: null,
        is_public: it.isPublic,
        kind: it.kind,
        state: it.state,
        is_starred: false,
        ...(isTimed ? { last_modified: it.liveAt(at)[0]?.startTs ?? null } : {}),
      })),
      ...(from + pageRows < all.length ? { next_page: tokenOf(from + pageRows, now) } : {}),
    }
    this.#switches.onRepositoryPage?.(rows.length)
    return { status: 200, json }
  }

  #tags({ query, caller, now }: ApiRequest, path: string): QuayAnswer {
    const repository = this.#model.repositories.get(path)
    const refused = this.#refusalOf(path, repository, caller)
    if (refused !== undefined) return refused
    const filter = query.get('filter_tag_name')
    const wanted = filter === null ? undefined : /^(like|eq):(.+)$/.exec(filter)
    if (wanted === null) {
      return apiError(400, 'invalid_request', 'Invalid syntax for filter_tag_name')
    }
    const limit = Math.min(Math.max(1, Number(query.get('limit') ?? 50) || 50), 100)
    const page = Math.max(1, Number(query.get('page') ?? 1) || 1)
    const at = now - this.#switches.lagSeconds
    const specific = query.get('specificTag')
    const isActive = query.get('onlyActiveTags') === 'true'
    let all = isActive
      ? repository!.liveAt(at)
      : repository!.everyTag.filter((it) => it.startTs <= at)
    if (specific !== null) all = all.filter(({ name }) => name === specific)
    if (wanted?.[1] === 'eq') all = all.filter(({ name }) => name === wanted[2])
    if (wanted?.[1] === 'like') all = all.filter(({ name }) => name.includes(wanted[2]!))
    const from = (page - 1) * limit
    const json = {
      tags: all.slice(from, from + limit).map((tag) => this.#entry(repository!, tag)),
      page,
      has_additional: from + limit < all.length,
    }
    this.#switches.onTagPage?.(path, page)
    return { status: 200, json }
  }

  #refusalOf(
    path: string,
    repository: QuayRepository | undefined,
    caller: OAuthToken | undefined,
  ): QuayAnswer | undefined {
    if (repository?.isPublic === true) return undefined
    const mayRead = caller?.scopes.includes('repo:read') === true
    if (caller !== undefined && mayRead) {
      if (repository?.readers.has(caller.user) === true) return undefined
      const { admins } = this.#model.namespaces.get(path.slice(0, path.indexOf('/'))) ?? {}
      if (repository === undefined && admins?.has(caller.user) === true) {
        return apiError(404, 'not_found', 'Not Found')
      }
    }
    if (caller === undefined) return apiError(401, 'invalid_token', 'Requires authentication')
    return apiError(403, 'insufficient_scope', 'Unauthorized')
  }

  #entry(repository: QuayRepository, tag: QuayTag): object {
    const manifest = repository.manifests.get(tag.digest)
    const isList = (manifest?.children.length ?? 0) > 0
    const entry = {
      name: tag.name,
      reversion: false,
      start_ts: tag.startTs,
      manifest_digest: tag.digest,
      is_manifest_list: isList,
      size: isList ? null : (manifest?.bytes.byteLength ?? null),
      last_modified: rfc2822(tag.startTs),
      ...(tag.endTs === undefined ? {} : { end_ts: tag.endTs, expiration: rfc2822(tag.endTs) }),
    }
    if (this.#switches.isOld) return entry
    const children = manifest?.children ?? []
    const present = children.filter((child) => repository.manifests.has(child))
    return {
      ...entry,
      immutable: tag.isImmutable,
      ...(isList
        ? {
            is_sparse: present.length < children.length,
            child_manifest_count: children.length,
            present_child_count: present.length,
            child_manifests_presence: Object.fromEntries(
              children.map((child) => [child, repository.manifests.has(child)]),
            ),
          }
        : {}),
    }
  }
}

/** `Thu, 21 Aug 2025 07:06:40 -0000`. */
export function rfc2822(seconds: number): string {
  return new Date(seconds * 1000).toUTCString().replace('GMT', '-0000')
}

function apiError(status: number, type: string, message: string): QuayAnswer {
  const json = {
    detail: message,
    error_message: message,
    error_type: type,
    title: type,
    type: `https://quay.internal/api/v1/error/${type}`,
    status,
  }
  const challenge = status === 401 ? { 'WWW-Authenticate': `Bearer error="${type}"` } : {}
  return { status, json, headers: challenge }
}

/** Opaque to the caller; one that is bad or too old leads to the beginning again. */
function tokenOf(row: number, now: number): string {
  return Buffer.from(`${row} ${now} page`).toString('base64url')
}

function rowOf(token: string | null, now: number): number {
  const match = /^(\d+) (\d+) page$/.exec(Buffer.from(token ?? '', 'base64url').toString())
  if (match === null || now - Number(match[2]) > pageTokenSeconds) return 0
  return Number(match[1])
}
