/**
 * @module `/v2/<name>/manifests/<tag-or-digest>`: pull, push, delete.
 */
import { actorOf } from '../../auth/caller.ts'
import type { Room } from '../../blobs/port.ts'
import { BodyPool, withWhole } from '../../distribution/body-pool.ts'
import type { Deletes } from '../../distribution/delete.ts'
import type { HeadPromise } from '../../distribution/head-promise.ts'
import { findManifest } from '../../distribution/pull.ts'
import type { PullTimes } from '../../distribution/pull-times.ts'
import type { ManifestPushes } from '../../distribution/push-manifest.ts'
import type { MetadataReader } from '../../metadata/port.ts'
import { type Digest, parseDigest } from '../../registry/digest.ts'
import { matchesEntityTag } from '../../registry/entity-tag.ts'
import { RegistryError } from '../../registry/errors.ts'
import { manifestBytesMax, manifestTagsMax } from '../../registry/limits.ts'
import { servedType } from '../../registry/media-type.ts'
import type { RepositoryName } from '../../registry/name.ts'
import { parseReference, type Reference } from '../../registry/reference.ts'
import { unwrap } from '../../registry/result.ts'
import { parseTag, type Tag } from '../../registry/tag.ts'
import type { Witness } from '../../signing/attest/witness.ts'
import type { PulledManifest, PullGate, PullVerdict } from '../../signing/pulls/gate.ts'
import { type HttpRequest, type HttpResponse, ResponseHead } from '../engine/port.ts'
import { HeaderAdder } from '../headed-response.ts'
import {
  keptBodyBytesMax,
  type PreparedAnswers,
  type PreparedManifest,
} from '../prepared-answers.ts'
import { Query } from '../query.ts'
import { type HeaderList, respondEmpty, sandboxHeader, versionHeader } from '../respond.ts'

export interface ManifestRoute {
  readonly repository: RepositoryName
  readonly reference: string
}

export interface ManifestParts {
  readonly metadata: MetadataReader
  readonly answers: PreparedAnswers
  readonly pushes: ManifestPushes
  readonly deletes: Deletes
  readonly room: Room
  readonly pulls: PullTimes
  readonly headPromise: HeadPromise
  /** Asked before a pull. */
  readonly gate: Pick<PullGate<HttpRequest>, 'look'>
  /** Hears of every push; undefined: the registry signs nothing itself. */
  readonly witness?: Pick<Witness, 'pushed'> | undefined
}

export class ManifestHandlers {
  readonly #metadata: MetadataReader
  readonly #answers: PreparedAnswers
  readonly #pushes: ManifestPushes
  readonly #deletes: Deletes
  readonly #room: Room
  readonly #pulls: PullTimes
  readonly #headPromise: HeadPromise
  readonly #gate: Pick<PullGate<HttpRequest>, 'look'>
  readonly #witness: Pick<Witness, 'pushed'> | undefined
  readonly #bodies = new BodyPool(manifestBytesMax)

  constructor(parts: ManifestParts) {
    this.#gate = parts.gate
    this.#room = parts.room
    this.#pulls = parts.pulls
    this.#headPromise = parts.headPromise
    this.#metadata = parts.metadata
    this.#answers = parts.answers
    this.#pushes = parts.pushes
    this.#deletes = parts.deletes
    this.#witness = parts.witness
  }

  /**
   * GET and HEAD: the stored bytes and the stored type, whatever Accept says. `deadline`: of one that has waited for
   * the verdict of a policy, on the monotonic clock.
   */
  get(
    { repository, reference: text }: ManifestRoute,
    request: HttpRequest,
    response: HttpResponse,
    deadline?: number,
  ): void | Promise<void> {
    const reference = parseForPull(text)
    const { digest, row } = findManifest(this.#metadata, repository, reference)
    const { sizeBytes, pushedAt } = row
    const again = (until?: number) =>
      this.get({ repository, reference: text }, request, response, until)
    const paging = this.#metadata.pageIn('manifestBytes', digest)
    if (paging !== undefined) return paging.then(() => again(deadline))
    const stored = this.#metadata.getBytes('manifestBytes', digest)
    // The row promises them; a scrub that found other bytes has taken them away, and nothing can be judged then.
    if (stored === undefined) throw new RegistryError('MANIFEST_UNKNOWN', { detail: { digest } })
    // Of its own before anything else is read: a view is valid no longer.
    const bytes = sizeBytes <= keptBodyBytesMax ? stored.slice() : undefined
    const pulled = pulledBy(reference, { repository, digest, pushedAt })
    const verdict = this.#gate.look(pulled, request, deadline)
    if (verdict instanceof Promise) return verdict.then(again)
    if (verdict?.refusal !== undefined && request.method === 'GET') throw verdict.refusal
    const prepared = prepareManifest({ repository, reference: text, digest, ...row }, verdict)
    prepared.reliedAt = Math.max(pushedAt, row.reliedAt ?? 0)
    prepared.bytes = bytes
    if (verdict === undefined || verdict.isFor === 'all') this.#answers.put(request.path, prepared)
    return this.answer(prepared, request, warned(verdict, response))
  }

  /**
   * What the policies say of a pull of something that is not kept here: it goes with the answer. Throws their refusal of
   * a GET. Nothing is waited for.
   */
  verdictOfPassing(it: PulledManifest, request: HttpRequest): PullVerdict | undefined {
    const verdict = this.#gate.look(it, request, 0)
    // Its deadline is over.
    if (verdict instanceof Promise) throw new RegistryError('SIGNATURES_BUSY')
    if (verdict?.refusal !== undefined && request.method === 'GET') throw verdict.refusal
    return verdict
  }

  /** Answers a pull whose meaning is known. */
  answer(
    prepared: PreparedManifest,
    request: HttpRequest,
    response: HttpResponse,
  ): void | Promise<void> {
    const { digest, head, bytes } = prepared
    checkIfMatch(request, digest)
    if (request.method === 'HEAD') {
      const promising = this.#headPromise.manifest(prepared.repository, digest, prepared)
      if (promising !== undefined)
        return promising.then(() => this.#head(prepared, request, response))
      return this.#head(prepared, request, response)
    }
    this.#pulls.note(prepared)
    const ifNoneMatch = request.header('if-none-match')
    if (ifNoneMatch !== undefined && matchesEntityTag(ifNoneMatch, digest)) {
      return respondEmpty(response, 304, prepared.unchanged)
    }
    if (bytes !== undefined) return response.send(head, bytes)
    const send = () => {
      const stored = this.#metadata.getBytes('manifestBytes', digest)
      if (stored === undefined) throw new RegistryError('MANIFEST_UNKNOWN', { detail: { digest } })
      response.send(head, stored)
    }
    const paging = this.#metadata.pageIn('manifestBytes', digest)
    return paging === undefined ? send() : paging.then(send)
  }

  #head(prepared: PreparedManifest, request: HttpRequest, response: HttpResponse): void {
    const { digest, isTag, head, sizeBytes, unchanged } = prepared
    // Clients that know the digest by now ask no further: to them the HEAD was the pull.
    if (isTag) this.#pulls.note(prepared)
    const ifNoneMatch = request.header('if-none-match')
    if (ifNoneMatch !== undefined && matchesEntityTag(ifNoneMatch, digest)) {
      return respondEmpty(response, 304, unchanged)
    }
    response.sendHead(head, sizeBytes)
  }

  async put(
    { repository, reference: text }: ManifestRoute,
    request: HttpRequest,
    response: HttpResponse,
  ): Promise<void> {
    this.#room.require()
    const reference = unwrap(parseReference(text))
    const { tags, expected } = parsePushQuery(request.query, reference)
    const by = actorOf(request)
    const push = (bytes: Uint8Array) =>
      this.#pushes.push({
        repository,
        reference,
        tags,
        expected,
        contentType: request.header('content-type'),
        bytes,
        condition: {
          ifMatch: request.header('if-match'),
          ifNoneMatch: request.header('if-none-match'),
        },
        by,
        signsOnly: request.signsOnly === true,
      })
    const { digest, subject, warning } = await withWhole(
      request,
      this.#bodies,
      manifestTooLarge,
      push,
    )
    request.change = { action: 'push', repository, reference: text, digest }
    this.#witness?.pushed({
      repository,
      digest,
      tags: reference.kind === 'tag' ? [reference.tag] : tags,
      subject,
      by,
      requestId: request.id,
    })
    const headers: [string, string][] = [
      ['Location', `/v2/${repository}/manifests/${digest}`],
      ['Docker-Content-Digest', digest],
    ]
    if (subject !== undefined) headers.push(['OCI-Subject', subject])
    if (tags.length > 0) headers.push(['OCI-Tag', tags.join(', ')])
    if (warning !== undefined) headers.push(['Warning', `299 - "${quoted(warning)}"`])
    respondEmpty(response, 201, headers)
  }

  async delete(
    { repository, reference: text }: ManifestRoute,
    request: HttpRequest,
    response: HttpResponse,
  ): Promise<void> {
    const by = actorOf(request)
    const reference = parseForPull(text)
    if (reference.kind === 'tag') await this.#deletes.deleteTag(repository, reference.tag, by)
    else await this.#deletes.deleteManifest(repository, reference.digest, by)
    request.change = { action: 'delete', repository, reference: text }
    respondEmpty(response, 202, [])
  }
}

/** Longest text of a warning, characters. */
const warningLengthMax = 512

/** As a quoted string of a header (RFC 9110, 5.6.4), of printable ASCII. */
function quoted(text: string): string {
  const printable = text.replaceAll(/[^\x20-\x7e]/g, '?').slice(0, warningLengthMax)
  return printable.replaceAll(/["\\]/g, '\\$&')
}

export interface ManifestAnswer {
  readonly repository: RepositoryName
  /** As in the path: tag or digest. */
  readonly reference: string
  readonly digest: Digest
  readonly mediaType: string
  readonly sizeBytes: number
}

/** The answer to a pull of a manifest, without its bytes; it promises nothing to collection. */
export function prepareManifest(answer: ManifestAnswer, verdict?: PullVerdict): PreparedManifest {
  const { repository, reference, digest, mediaType, sizeBytes } = answer
  const isTag = !reference.includes(':')
  const unchanged = [
    ...cacheHeaders(digest, cachingOf(isTag, verdict)),
    ...signatureHeaders(verdict),
  ]
  const head = new ResponseHead(200, [
    versionHeader,
    // A row of an older version, or an upstream, may name anything.
    ['Content-Type', servedType(mediaType)],
    ...unchanged,
  ])
  return {
    kind: 'manifest',
    repository,
    reference,
    notedIn: 0,
    reliedAt: 0,
    digest,
    isTag,
    sizeBytes,
    head,
    unchanged,
    bytes: undefined,
    ...(verdict?.seal !== undefined && { seal: verdict.seal, validUntil: verdict.validUntil }),
  }
}

function pulledBy(reference: Reference, it: PulledManifest): PulledManifest {
  return reference.kind === 'tag' ? { ...it, tag: reference.tag } : it
}

/** With the warning that a policy has for the client. */
export function warned(verdict: PullVerdict | undefined, response: HttpResponse): HttpResponse {
  const warning = verdict?.warning
  if (warning === undefined) return response
  return new HeaderAdder([['Warning', `299 - "${quoted(warning)}"`]]).wrap(response)
}

function signatureHeaders(verdict: PullVerdict | undefined): HeaderList {
  return verdict?.header === undefined ? [] : [['X-FastRegistry-Signature', verdict.header]]
}

/** What may be refused later is in no cache that does not ask each time. */
function cachingOf(isTag: boolean, verdict: PullVerdict | undefined): string {
  if (verdict?.isFor === 'caller') return 'no-store'
  return isTag || verdict?.isGated === true ? 'no-cache' : 'max-age=31536000, immutable'
}

/** A tag that no push could have made is simply not there; a malformed digest is said so. */
export function parseForPull(text: string): Reference {
  const reference = parseReference(text)
  if (reference.ok) return reference.value
  if (reference.error.kind !== 'TAG_INVALID') throw reference.error
  throw new RegistryError('MANIFEST_UNKNOWN', { detail: reference.error.detail })
}

function cacheHeaders(digest: string, caching: string): HeaderList {
  return [
    ['Docker-Content-Digest', digest],
    ['ETag', `"${digest}"`],
    ['Cache-Control', caching],
    sandboxHeader,
  ]
}

function checkIfMatch(request: HttpRequest, digest: string): void {
  const ifMatch = request.header('if-match')
  if (ifMatch === undefined || matchesEntityTag(ifMatch, digest)) return
  throw new RegistryError('MANIFEST_CHANGED', {
    message: 'the manifest is not the one that If-Match names',
    detail: { current: digest },
  })
}

function parsePushQuery(
  query: string,
  reference: Reference,
): { tags: Tag[]; expected: ReturnType<typeof expectedDigest> } {
  if (query === '') return { tags: [], expected: undefined }
  const parameters = new Query(query)
  const texts = reference.kind === 'digest' ? parameters.getAll('tag') : []
  if (texts.length > manifestTagsMax) {
    throw new RegistryError('QUERY_TOO_LONG', {
      message: `a push may set at most ${manifestTagsMax} tags`,
      detail: { tags: texts.length, max: manifestTagsMax },
    })
  }
  const tags = [...new Set(texts.map((text) => unwrap(parseTag(text))))]
  return { tags, expected: expectedDigest(parameters) }
}

function expectedDigest(parameters: Query) {
  const text = parameters.get('digest')
  return text === undefined ? undefined : unwrap(parseDigest(text))
}

function manifestTooLarge(): RegistryError {
  return new RegistryError('BODY_TOO_LARGE', {
    message: `a manifest may have at most ${manifestBytesMax} bytes`,
    detail: { maxBytes: manifestBytesMax },
  })
}
