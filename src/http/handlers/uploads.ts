/**
 * @module `/v2/<name>/blobs/uploads/` and the sessions below it (distribution-spec, pushing-blobs).
 * Locations are path-absolute and plain: no scheme to guess behind a proxy, nothing to re-encode.
 */
import { actorOf } from '../../auth/caller.ts'
import type { Room } from '../../blobs/port.ts'
import type { Mounts } from '../../distribution/mount.ts'
import { bounded, type UploadBody } from '../../distribution/upload/body.ts'
import type { ChunkSpan, Uploads } from '../../distribution/uploads.ts'
import { type Digest, parseAlgorithm, parseDigest } from '../../registry/digest.ts'
import { RegistryError } from '../../registry/errors.ts'
import { parseRepositoryName, type RepositoryName } from '../../registry/name.ts'
import { formatUploadRange, parseChunkRange } from '../../registry/range.ts'
import { unwrap } from '../../registry/result.ts'
import { attestationBytesMax } from '../../signing/formats/dsse.ts'
import type { HttpRequest, HttpResponse } from '../engine/port.ts'
import { Query } from '../query.ts'
import { type HeaderList, respondEmpty } from '../respond.ts'

/** What the caller of a request may mount from. Take it before any await. */
export interface SourceRights {
  may(source: RepositoryName): boolean
  /** Whether he might with a token that he could get for the asking. */
  might(source: RepositoryName): boolean
  /** Books that a pull from it was refused, where the answer is that of a blob that is not there. */
  refused(source: RepositoryName): void
  /** Throws the challenge that tells him which: for a push to `target` and a pull from `source`. */
  askFor(target: RepositoryName, source: RepositoryName): never
}

export type SourceRightsOf = (request: HttpRequest) => SourceRights

/** Of a registry that is open. */
export const allSources: SourceRights = {
  may: () => true,
  might: () => false,
  refused: () => {},
  askFor: () => {
    throw new RegistryError('UNAUTHORIZED')
  },
}

export interface UploadsRoute {
  readonly repository: RepositoryName
}

export interface UploadRoute extends UploadsRoute {
  readonly id: string
}

export class UploadHandlers {
  readonly #uploads: Uploads
  readonly #mounts: Mounts
  readonly #room: Room
  readonly #rightsOf: SourceRightsOf

  constructor(uploads: Uploads, mounts: Mounts, room: Room, rightsOf: SourceRightsOf) {
    this.#rightsOf = rightsOf
    this.#uploads = uploads
    this.#mounts = mounts
    this.#room = room
  }

  /** POST: a session, a whole blob (`digest`), or a mount (`mount`, `from`). */
  async post(
    { repository }: UploadsRoute,
    request: HttpRequest,
    response: HttpResponse,
  ): Promise<void> {
    this.#room.require()
    const query = new Query(request.query)
    const client = request.remoteAddress
    const whole = query.get('digest')
    if (whole !== undefined) {
      const digest = unwrap(parseDigest(whole))
      const body = bodyOf(request, 0)
      await this.#uploads.pushWhole(repository, digest, client, body, actorOf(request))
      request.change = { action: 'push', repository, digest }
      return respondCreated(response, repository, digest)
    }
    // Signers have no use for what lies elsewhere: to them it is an ordinary session.
    const mount = request.signsOnly === true ? undefined : query.get('mount')
    if (mount !== undefined && (await this.#mount(request, repository, mount, query.get('from')))) {
      const digest = unwrap(parseDigest(mount))
      request.change = { action: 'mount', repository, digest }
      return respondCreated(response, repository, digest)
    }
    const hint = query.get('digest-algorithm')
    const algorithm = hint === undefined ? undefined : unwrap(parseAlgorithm(hint))
    const id = await this.#uploads.open(repository, algorithm, client, userOf(request))
    respondEmpty(response, 202, sessionHeaders(repository, id, 0))
  }

  async #mount(
    request: HttpRequest,
    repository: RepositoryName,
    mount: string,
    from: string | undefined,
  ) {
    const digest = unwrap(parseDigest(mount))
    const source = from === undefined || from === '' ? undefined : parseRepositoryName(from)
    // A source that cannot exist is a mount that fails, and that is an ordinary session.
    if (source?.ok === false) return false
    const rights = this.#rightsOf(request)
    // Clients get their tokens for the repository in the path. What a wider one would allow is said
    // with a challenge, as distribution does; what none would allow is an ordinary session.
    const wider =
      source === undefined
        ? this.#mounts.holderOf(digest, rights.may) === undefined &&
          this.#mounts.holderOf(digest, rights.might)
        : rights.might(source.value) && source.value
    if (wider) rights.askFor(repository, wider)
    if (source !== undefined && !rights.may(source.value)) rights.refused(source.value)
    return this.#mounts.mount(repository, digest, source?.value, rights.may, actorOf(request))
  }

  async patch(
    { repository, id }: UploadRoute,
    request: HttpRequest,
    response: HttpResponse,
  ): Promise<void> {
    this.#room.require()
    const span = chunkSpan(request)
    const body = this.#bodyOf(repository, id, request)
    const offset = await this.#uploads.append(repository, id, span, body, userOf(request))
    respondEmpty(response, 202, sessionHeaders(repository, id, offset))
  }

  async put(
    { repository, id }: UploadRoute,
    request: HttpRequest,
    response: HttpResponse,
  ): Promise<void> {
    const text = new Query(request.query).get('digest')
    if (text === undefined) {
      throw new RegistryError('DIGEST_INVALID', {
        message: 'finish an upload with ?digest=<digest of the whole blob>',
      })
    }
    if (request.bodyBytes !== 0) this.#room.require()
    const digest = unwrap(parseDigest(text))
    const by = actorOf(request)
    const span = chunkSpan(request)
    const body = request.bodyBytes === 0 ? request : this.#bodyOf(repository, id, request)
    await this.#uploads.finish(repository, id, digest, span, body, by, userOf(request))
    request.change = { action: 'push', repository, digest }
    respondCreated(response, repository, digest)
  }

  #bodyOf(repository: RepositoryName, id: string, request: HttpRequest): UploadBody {
    if (request.signsOnly !== true) return request
    return bodyOf(request, this.#uploads.offset(repository, id, userOf(request)))
  }

  /** GET and HEAD: where the session stands. */
  get({ repository, id }: UploadRoute, request: HttpRequest, response: HttpResponse): void {
    const offset = this.#uploads.offset(repository, id, userOf(request))
    respondEmpty(response, 204, sessionHeaders(repository, id, offset))
  }

  async delete(
    { repository, id }: UploadRoute,
    request: HttpRequest,
    response: HttpResponse,
  ): Promise<void> {
    await this.#uploads.cancel(repository, id, userOf(request))
    respondEmpty(response, 204, [])
  }
}

/** The body of a request to a session that has so many bytes; what a signer sends is no image. */
function bodyOf(request: HttpRequest, offsetBytes: number): UploadBody {
  if (request.signsOnly !== true) return request
  return bounded(request, attestationBytesMax - offsetBytes, () => {
    const message = `accounts that may only sign upload at most ${attestationBytesMax} bytes a blob`
    return new RegistryError('BODY_TOO_LARGE', { message })
  })
}

/** Whose session it is; undefined: of one who has not said who he is. */
function userOf({ caller }: HttpRequest): string | undefined {
  return caller.kind === 'user' ? caller.name : undefined
}

function chunkSpan(request: HttpRequest): ChunkSpan {
  const header = request.header('content-range')
  if (header === undefined) return undefined
  const span = parseChunkRange(header)
  if (span !== undefined) return span
  throw new RegistryError('CHUNK_RANGE_INVALID', {
    detail: { contentRange: header.slice(0, 128) },
  })
}

function respondCreated(response: HttpResponse, repository: RepositoryName, digest: Digest): void {
  respondEmpty(response, 201, [
    ['Location', `/v2/${repository}/blobs/${digest}`],
    ['Docker-Content-Digest', digest],
  ])
}

function sessionHeaders(repository: RepositoryName, id: string, offset: number): HeaderList {
  return [
    ['Location', `/v2/${repository}/blobs/uploads/${id}`],
    ['Range', formatUploadRange(offset)],
    ['Docker-Upload-UUID', id],
    ['Cache-Control', 'no-store'],
  ]
}
