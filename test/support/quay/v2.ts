/** @module `/v2` of the stand-in of Quay: catalog, tags, manifests, referrers, and redirects to storage. */
import { digestOf } from '../../../src/registry/hasher.ts'
import { inByteOrder } from '../registry-client.ts'
import { type Guest, type QuayAnswer, refusal } from './auth.ts'
import type { QuayContent, QuayModel, QuayRepository } from './model.ts'
import type { QuaySwitches } from './switches.ts'

const pageRows = 100
const index = 'application/vnd.oci.image.index.v1+json'
const schema1 = 'application/vnd.docker.distribution.manifest.v1+prettyjws'

export interface V2Request {
  readonly method: string
  readonly path: string
  readonly query: URLSearchParams
  readonly accept: string | undefined
  readonly guest: Guest | undefined
  readonly now: number
}

export class QuayV2 {
  readonly #model: QuayModel
  readonly #switches: QuaySwitches
  /** Where blobs are. */
  readonly #storage: () => string
  readonly #own: () => string

  constructor(
    model: QuayModel,
    switches: QuaySwitches,
    urls: { readonly own: () => string; readonly storage: () => string },
  ) {
    this.#model = model
    this.#switches = switches
    this.#own = urls.own
    this.#storage = urls.storage
  }

  answer(request: V2Request): QuayAnswer {
    const { path, guest } = request
    if (path === '/v2/_catalog') return this.#catalog(request)
    const match = /^\/v2\/(.+)\/(tags\/list|manifests|blobs|referrers)(?:\/([^/]+))?$/.exec(path)
    if (match === null) return guest === undefined ? this.#challenge() : { status: 200, json: true }
    const [, name = '', what, reference = ''] = match
    const mayPull = guest?.access.some((it) => it.name === name && it.actions.includes('pull'))
    const repository = this.#model.repositories.get(name)
    // A token says what was allowed when it was made; the database what is.
    const isShown =
      repository?.isPublic === true ||
      (guest?.visitor !== undefined &&
        (guest.visitor.startsWith('$token:') || repository?.readers.has(guest.visitor) === true))
    if (mayPull !== true || !isShown) return this.#challenge(name)
    if (repository === undefined) return refusal(404, 'NAME_UNKNOWN', 'repository name not known')
    if (what === 'tags/list') return this.#tags(request, repository)
    if (what === 'manifests') return this.#manifest(request, repository, reference)
    if (what === 'referrers') return this.#referrers(request, repository, reference)
    if (!repository.blobs.has(reference)) return refusal(404, 'BLOB_UNKNOWN', 'blob unknown')
    const location = `${this.#storage()}/storage/${name}/${reference}?signature=${request.now}`
    if (request.method === 'HEAD') {
      const length = repository.blobs.get(reference)!.byteLength
      return { status: 200, headers: { 'Content-Length': String(length) } }
    }
    return { status: 307, headers: { Location: location } }
  }

  #challenge(name?: string): QuayAnswer {
    const own = this.#own()
    const scope = name === undefined ? '' : `,scope="repository:${name}:pull"`
    const header = `Bearer realm="${own}/v2/auth",service="${new URL(own).host}"${scope}`
    const refused = refusal(
      401,
      'UNAUTHORIZED',
      'access to the requested resource is not authorized',
    )
    return { ...refused, headers: { 'WWW-Authenticate': header } }
  }

  /** Never a challenge: nobody is shown nothing. */
  #catalog({ query, guest }: V2Request): QuayAnswer {
    const all = this.#model.visible(undefined, guest?.visitor, this.#switches.hasPublicCatalog)
    const names = all.map(({ path }) => path)
    const { rows, headers } = this.#page('/v2/_catalog', names, query)
    return { status: 200, json: { repositories: rows }, headers }
  }

  #tags({ query, now }: V2Request, repository: QuayRepository): QuayAnswer {
    const live = repository.liveAt(now - this.#switches.lagSeconds)
    const names = live.map(({ name }) => name).sort(inByteOrder)
    const path = `/v2/${repository.path}/tags/list`
    const { rows, headers } = this.#page(path, names, query)
    return { status: 200, json: { name: repository.path, tags: rows }, headers }
  }

  #page(path: string, all: readonly string[], query: URLSearchParams) {
    const n = Math.min(Number(query.get('n') ?? pageRows) || pageRows, pageRows)
    const key = this.#switches.isOld ? 'next_page' : 'last'
    const given = query.get(key)
    const last =
      given === null || !this.#switches.isOld ? given : Buffer.from(given, 'base64url').toString()
    const found = last === null ? -1 : all.indexOf(last)
    const from = last === null ? 0 : found === -1 ? all.findIndex((it) => it > last) : found + 1
    const rows = from === -1 ? [] : all.slice(from, from + n)
    const tail = rows.at(-1) ?? ''
    const next = this.#switches.isOld ? Buffer.from(tail).toString('base64url') : tail
    const link = `<https://${this.#switches.serverHostname}${path}?n=${n}&${key}=${encodeURIComponent(next)}>; rel="next"`
    const hasMore = from !== -1 && from + n < all.length
    const headers: Record<string, string> = hasMore ? { Link: link } : {}
    return { rows, headers }
  }

  #manifest(request: V2Request, repository: QuayRepository, reference: string): QuayAnswer {
    const { now, accept } = request
    // HEAD is the GET route: it counts.
    repository.pulls += 1
    if (reference.includes(':')) {
      const manifest = repository.manifests.get(reference)
      if (manifest === undefined || !isReachable(repository, reference, now)) {
        return refusal(404, 'MANIFEST_UNKNOWN', 'manifest unknown')
      }
      return answerOf(manifest)
    }
    const tag = repository.tagAt(reference, now)
    if (tag === undefined) {
      if (repository.wasTag(reference)) {
        return refusal(404, 'TAG_EXPIRED', `Tag ${reference} was deleted or has expired`)
      }
      return refusal(404, 'MANIFEST_UNKNOWN', 'manifest unknown')
    }
    const manifest = repository.manifests.get(tag.digest)!
    const accepted = (accept ?? '').split(',').map((it) => it.split(';')[0]!.trim())
    if (accepted.includes('*/*') || accepted.includes(manifest.mediaType)) return answerOf(manifest)
    const bytes = Buffer.from(
      JSON.stringify({ schemaVersion: 1, name: repository.path, tag: reference, fsLayers: [] }),
    )
    const digest = digestOf('sha256', bytes)
    return {
      status: 200,
      bytes,
      headers: { 'Content-Type': schema1, 'Docker-Content-Digest': digest },
    }
  }

  #referrers({ query, now }: V2Request, repository: QuayRepository, subject: string): QuayAnswer {
    if (!this.#switches.hasReferrers) return refusal(404, 'UNSUPPORTED', 'not here')
    if (!repository.manifests.has(subject)) {
      return refusal(400, 'MANIFEST_INVALID', 'manifest invalid', { message: 'unknown subject' })
    }
    const found = new Map<string, object>()
    for (const manifest of repository.manifests.values()) {
      if (manifest.subject === subject) found.set(manifest.digest, entryOf(manifest))
    }
    const fallback = repository.tagAt(subject.replace(':', '-'), now)
    const listed = fallback && repository.manifests.get(fallback.digest)
    for (const digest of listed?.children ?? []) {
      const manifest = repository.manifests.get(digest)
      if (manifest !== undefined) found.set(digest, entryOf(manifest))
    }
    const type = query.get('artifactType')
    const manifests = [...found.values()].filter(
      (it) => type === null || (it as { artifactType?: string }).artifactType === type,
    )
    return {
      status: 200,
      json: { schemaVersion: 2, mediaType: index, manifests },
      headers: {
        'Content-Type': index,
        ...(type === null ? {} : { 'OCI-Filters-Applied': 'artifactType' }),
      },
    }
  }
}

/** Tagged, or part of what is tagged, or about it: the rest is collected. */
function isReachable(repository: QuayRepository, digest: string, now: number): boolean {
  const live = repository.liveAt(now)
  if (live.some((tag) => tag.digest === digest)) return true
  const subject = repository.manifests.get(digest)?.subject
  if (subject !== undefined && repository.manifests.has(subject)) return true
  return live.some((tag) => reaches(repository, tag.digest, digest, 0))
}

function reaches(repository: QuayRepository, from: string, to: string, depth: number): boolean {
  const { children = [] } = repository.manifests.get(from) ?? {}
  if (depth > 4) return false
  return children.some((child) => child === to || reaches(repository, child, to, depth + 1))
}

function answerOf({ bytes, mediaType, digest }: QuayContent): QuayAnswer {
  return {
    status: 200,
    bytes,
    headers: { 'Content-Type': mediaType, 'Docker-Content-Digest': digest },
  }
}

function entryOf({ mediaType, digest, bytes, artifactType, annotations }: QuayContent): object {
  return {
    mediaType,
    digest,
    size: bytes.byteLength,
    ...(artifactType === undefined ? {} : { artifactType }),
    ...(annotations === undefined ? {} : { annotations }),
  }
}
