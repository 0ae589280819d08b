/**
 * @module Lists: `/v2/`, `/v2/_catalog`, `…/tags/list`, `…/referrers/<digest>`, extensions.
 */
import type { Discovery, Page } from '../../distribution/discovery.ts'
import { parseDigest } from '../../registry/digest.ts'
import { pageEntriesMax } from '../../registry/limits.ts'
import { mediaTypes } from '../../registry/media-type.ts'
import type { RepositoryName } from '../../registry/name.ts'
import { unwrap } from '../../registry/result.ts'
import type { HttpRequest, HttpResponse } from '../engine/port.ts'
import { nextLink, parsePage, Query } from '../query.ts'
import { respondJson } from '../respond.ts'

/** Which repositories the caller of a request may know of. */
export type MaySee = (request: HttpRequest) => (repository: RepositoryName) => boolean

export class DiscoveryHandlers {
  readonly #discovery: Discovery

  readonly #maySee: MaySee | undefined

  /** `maySee` filters the catalog; undefined: everybody sees everything. */
  constructor(discovery: Discovery, maySee?: MaySee) {
    this.#maySee = maySee
    this.#discovery = discovery
  }

  /** The support probe: a registry that implements the API is here. */
  base(request: HttpRequest, response: HttpResponse): void {
    respondJson(request, response, 200, {})
  }

  async catalog(request: HttpRequest, response: HttpResponse): Promise<void> {
    const page = parsePage(request.query)
    const { entries, next } = await this.#discovery.listRepositories(page, this.#maySee?.(request))
    const link = linkHeader('/v2/_catalog', request, next, page.count)
    respondJson(request, response, 200, { repositories: entries }, link)
  }

  async tags(
    { repository }: { readonly repository: RepositoryName },
    request: HttpRequest,
    response: HttpResponse,
  ): Promise<void> {
    const page = parsePage(request.query)
    const { entries, next } = await this.#discovery.listTags(repository, page)
    respondTags(request, response, repository, { entries, next })
  }

  /** Always 200 for a well-formed digest: 404 would tell clients that there is no such API. */
  async referrers(
    route: { readonly repository: RepositoryName; readonly digest: string },
    request: HttpRequest,
    response: HttpResponse,
  ): Promise<void> {
    const { repository } = route
    const subject = unwrap(parseDigest(route.digest))
    const page = parsePage(request.query)
    const types = new Query(request.query).mediaTypes('artifactType')
    const found = await this.#discovery.listReferrers(repository, subject, types, page)
    const path = `/v2/${repository}/referrers/${subject}`
    const headers: [string, string][] = [
      ['Content-Type', mediaTypes.ociIndex],
      ...linkHeader(path, request, found.next, page.count),
    ]
    if (types !== undefined) headers.push(['OCI-Filters-Applied', 'artifactType'])
    const index = { schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests: found.entries }
    respondJson(request, response, 200, index, headers)
  }

  /** Extension discovery: this registry has none. */
  extensions(request: HttpRequest, response: HttpResponse): void {
    respondJson(request, response, 200, { extensions: [] })
  }
}

/** A page of tags. */
export function respondTags(
  request: HttpRequest,
  response: HttpResponse,
  repository: RepositoryName,
  { entries, next }: Page<string>,
): void {
  const { count } = parsePage(request.query)
  const link = linkHeader(`/v2/${repository}/tags/list`, request, next, count)
  respondJson(request, response, 200, { name: repository, tags: entries }, link)
}

/** `Link` of the next page, if there is one. */
function linkHeader(
  path: string,
  request: HttpRequest,
  next: string | undefined,
  count: number | undefined,
): [string, string][] {
  if (next === undefined) return []
  const size = Math.min(count ?? pageEntriesMax, pageEntriesMax)
  return [['Link', nextLink(path, request.query, next, size)]]
}
