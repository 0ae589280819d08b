/**
 * @module `/v2/<name>/blobs/<digest>`: pull (whole, ranges, conditional), delete.
 */

import { type BlobReader, type BlobSource, isDamage } from '../../blobs/port.ts'
import type { Quarantine } from '../../blobs/quarantine.ts'
import type { Deletes } from '../../distribution/delete.ts'
import type { Reliance } from '../../distribution/head-promise.ts'
import { findBlob } from '../../distribution/pull.ts'
import type { MetadataReader } from '../../metadata/port.ts'
import type { BlobRow } from '../../metadata/schema.ts'
import { assertNever } from '../../registry/assert-never.ts'
import { type Digest, parseDigest } from '../../registry/digest.ts'
import { storageFault } from '../../registry/disk-fault.ts'
import { isSameEntityTag, matchesEntityTag } from '../../registry/entity-tag.ts'
import { RegistryError } from '../../registry/errors.ts'
import { rangesMax } from '../../registry/limits.ts'
import type { RepositoryName } from '../../registry/name.ts'
import { type ByteSpan, formatContentRange, parseRange } from '../../registry/range.ts'
import { unwrap } from '../../registry/result.ts'
import { BytesSource } from '../engine/bytes-source.ts'
import { type HttpRequest, type HttpResponse, ResponseHead } from '../engine/port.ts'
import { MultipartSource, multipartType, SpanSource } from '../multipart.ts'
import { keptBodyBytesMax, type PreparedAnswers, type PreparedBlob } from '../prepared-answers.ts'
import { type HeaderList, respondEmpty, sandboxHeader, versionHeader } from '../respond.ts'

export interface BlobRoute {
  readonly repository: RepositoryName
  readonly digest: string
}

/** Sends the whole blob (undefined) or parts of it. */
export type SendSpans = (spans: readonly ByteSpan[] | undefined) => void | Promise<void>

export class BlobHandlers {
  readonly #metadata: MetadataReader
  readonly #answers: PreparedAnswers
  readonly #blobs: BlobReader
  readonly #deletes: Deletes
  readonly #quarantine: Quarantine
  readonly #reliance: Reliance

  constructor(
    metadata: MetadataReader,
    answers: PreparedAnswers,
    blobs: BlobReader,
    deletes: Deletes,
    quarantine: Quarantine,
    reliance: Reliance,
  ) {
    this.#quarantine = quarantine
    this.#reliance = reliance
    this.#metadata = metadata
    this.#answers = answers
    this.#blobs = blobs
    this.#deletes = deletes
  }

  /** GET and HEAD. Synchronous when the bytes are known to be in memory. */
  get(route: BlobRoute, request: HttpRequest, response: HttpResponse): void | Promise<void> {
    const digest = unwrap(parseDigest(route.digest))
    const row = findBlob(this.#metadata, route.repository, digest)
    const head = blobHead(200, digest)
    const { repository } = route
    const reliedAt = row.linkedAt
    const prepared: PreparedBlob = {
      kind: 'blob',
      repository,
      digest,
      row,
      head,
      bytes: undefined,
      reliedAt,
    }
    this.#answers.put(request.path, prepared)
    return this.answer(prepared, request, response)
  }

  /** Answers a pull whose meaning is known. `send` is given where the bytes come from elsewhere. */
  answer(
    prepared: PreparedBlob,
    request: HttpRequest,
    response: HttpResponse,
    send: SendSpans = (spans) => this.#send(prepared, request, response, spans),
  ): void | Promise<void> {
    const { digest, row } = prepared
    if (request.method === 'HEAD') {
      const promising = this.#reliance.blob(prepared.repository, digest, prepared)
      if (promising !== undefined)
        return promising.then(() => answerHead(prepared, request, response))
      return answerHead(prepared, request, response)
    }
    const ifNoneMatch = request.header('if-none-match')
    if (ifNoneMatch !== undefined && matchesEntityTag(ifNoneMatch, digest)) {
      return respondEmpty(response, 304, blobHeaders(digest))
    }
    const range = request.header('range')
    if (range === undefined || !isRangeWelcome(request, digest)) {
      return send(undefined)
    }
    const verdict = parseRange(range, row.sizeBytes)
    switch (verdict.kind) {
      case 'whole':
        return send(undefined)
      case 'parts':
        return send(verdict.spans)
      case 'unsatisfiable':
        throw new RegistryError('RANGE_UNSATISFIABLE', {
          detail: { sizeBytes: row.sizeBytes },
          facts: { blobBytes: row.sizeBytes },
        })
      case 'abusive':
        throw new RegistryError('RANGES_ABUSIVE', {
          message: `at most ${rangesMax} ranges that do not overlap can be asked for at once`,
          detail: { maxRanges: rangesMax },
        })
      default:
        return assertNever(verdict)
    }
  }

  async delete(route: BlobRoute, request: HttpRequest, response: HttpResponse): Promise<void> {
    const digest = unwrap(parseDigest(route.digest))
    await this.#deletes.deleteBlob(route.repository, digest)
    request.change = { action: 'delete', repository: route.repository, digest }
    respondEmpty(response, 202, [])
  }

  #send(
    prepared: PreparedBlob,
    request: HttpRequest,
    response: HttpResponse,
    spans: readonly ByteSpan[] | undefined,
  ): void | Promise<void> {
    const { digest, row, bytes } = prepared
    if (bytes !== undefined) return sendBytes(prepared, bytes, response, spans)
    if (row.place === 'inline') {
      const paging = this.#metadata.pageIn('blobBytes', digest)
      if (paging !== undefined) {
        return paging.then(() => this.#send(prepared, request, response, spans))
      }
      const read = this.#readInline(digest, row)
      // Only while the answer still holds: it may have been dropped while this waited.
      const isCurrent = this.#answers.get(request.path, request.startedAt) === prepared
      if (isCurrent && read.byteLength <= keptBodyBytesMax) {
        this.#answers.put(request.path, { ...prepared, bytes: read })
      }
      return sendBytes(prepared, read, response, spans)
    }
    const opened = this.#blobs.open(digest, row, spans === undefined)
    if (!(opened instanceof Promise)) return sendSource(prepared, response, opened, spans)
    return opened.then(
      (source) => sendSource(prepared, response, source, spans),
      (error: unknown) => this.#openFailed(prepared, error),
    )
  }

  /** A blob whose bytes are not there is one that the registry does not have. */
  async #openFailed({ digest, row }: PreparedBlob, error: unknown): Promise<never> {
    if (!isDamage(error)) throw storageFault(error)
    await this.#quarantine.isolate(digest, row, String(error))
    throw new RegistryError('BLOB_UNKNOWN', { detail: { digest }, cause: error })
  }

  /** A copy: the store's view is valid only until its next read. */
  #readInline(digest: Digest, row: BlobRow): Uint8Array {
    const bytes = this.#metadata.getBytes('blobBytes', digest)
    if (bytes === undefined || bytes.byteLength !== row.sizeBytes) {
      throw new RegistryError('UNKNOWN', { cause: new Error(`inline bytes of ${digest} are gone`) })
    }
    return bytes.slice()
  }
}

function answerHead(prepared: PreparedBlob, request: HttpRequest, response: HttpResponse): void {
  const ifNoneMatch = request.header('if-none-match')
  if (ifNoneMatch !== undefined && matchesEntityTag(ifNoneMatch, prepared.digest)) {
    return respondEmpty(response, 304, blobHeaders(prepared.digest))
  }
  response.sendHead(prepared.head, prepared.row.sizeBytes)
}

function sendBytes(
  prepared: PreparedBlob,
  bytes: Uint8Array,
  response: HttpResponse,
  spans: readonly ByteSpan[] | undefined,
): void {
  if (spans === undefined) response.send(prepared.head, bytes)
  else sendSource(prepared, response, new BytesSource(bytes), spans)
}

/** If-Range: the range counts only for the very blob that the client has a part of. */
function isRangeWelcome(request: HttpRequest, digest: Digest): boolean {
  const ifRange = request.header('if-range')
  return ifRange === undefined || isSameEntityTag(ifRange, digest)
}

/** Streams a blob, or parts of it, under the head of its prepared answer. */
export function sendSource(
  { digest, head: wholeHead }: PreparedBlob,
  response: HttpResponse,
  source: BlobSource,
  spans: readonly ByteSpan[] | undefined,
): void {
  if (response.state !== 'open') return source.close()
  if (spans === undefined) return response.stream(wholeHead, source)
  if (spans.length === 1) {
    const contentRange = formatContentRange(spans[0]!, source.sizeBytes)
    const head = blobHead(206, digest, [['Content-Range', contentRange]])
    return response.stream(head, new SpanSource(source, spans[0]!))
  }
  const parts = new MultipartSource(source, spans)
  const head = new ResponseHead(206, [
    versionHeader,
    ['Content-Type', multipartType(parts.boundary)],
    ...blobHeaders(digest),
  ])
  response.stream(head, parts)
}

/** The head of an answer with a blob's bytes. */
export function blobHead(status: number, digest: Digest, more: HeaderList = []): ResponseHead {
  return new ResponseHead(status, [
    versionHeader,
    ['Content-Type', 'application/octet-stream'],
    ...blobHeaders(digest),
    ...more,
  ])
}

function blobHeaders(digest: Digest): HeaderList {
  return [
    ['Docker-Content-Digest', digest],
    ['ETag', `"${digest}"`],
    ['Accept-Ranges', 'bytes'],
    ['Cache-Control', 'max-age=31536000, immutable'],
    sandboxHeader,
  ]
}
