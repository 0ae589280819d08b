/**
 * @module `/v2/<name>/blobs/<digest>`: pull (whole, ranges, conditional), delete.
 */

import type { BlobReader, BlobSource, OpenedBlob } from '../../blobs/port.ts'
import type { Deletes } from '../../distribution/delete.ts'
import type { HeadPromise } from '../../distribution/head-promise.ts'
import { findBlob } from '../../distribution/pull.ts'
import type { MetadataReader } from '../../metadata/port.ts'
import { assertNever } from '../../registry/assert-never.ts'
import { type Digest, parseDigest } from '../../registry/digest.ts'
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
import { type Redirects, redirect } from '../redirected.ts'
import { type HeaderList, respondEmpty, sandboxHeader, versionHeader } from '../respond.ts'

export interface BlobRoute {
  readonly repository: RepositoryName
  readonly digest: string
}

/** What a pull of a blob is answered, wherever its bytes come from. */
export type BlobAnswer = Pick<
  PreparedBlob,
  'repository' | 'digest' | 'sizeBytes' | 'head' | 'reliedAt'
>

/** Sends the whole blob (undefined) or parts of it. */
export type SendSpans = (spans: readonly ByteSpan[] | undefined) => void | Promise<void>

export class BlobHandlers {
  readonly #metadata: MetadataReader
  readonly #answers: PreparedAnswers
  readonly #blobs: BlobReader
  readonly #deletes: Deletes
  readonly #headPromise: HeadPromise
  readonly #redirects: Redirects | undefined

  /** `redirects`: undefined where each client gets all bytes here. */
  constructor(
    metadata: MetadataReader,
    answers: PreparedAnswers,
    blobs: BlobReader,
    deletes: Deletes,
    headPromise: HeadPromise,
    redirects?: Redirects,
  ) {
    this.#redirects = redirects
    this.#headPromise = headPromise
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
      sizeBytes: row.sizeBytes,
      row,
      head,
      bytes: undefined,
      reliedAt,
    }
    this.#answers.put(request.path, prepared)
    return this.answer(prepared, request, response)
  }

  /** Answers a pull whose meaning is known, with the bytes that are stored. */
  answer(
    prepared: PreparedBlob,
    request: HttpRequest,
    response: HttpResponse,
  ): void | Promise<void> {
    return this.answerFrom(prepared, request, response, (spans) =>
      this.#send(prepared, request, response, spans),
    )
  }

  /** The same with bytes that come from elsewhere: `send` is called when they are to be sent. */
  answerFrom(
    answer: BlobAnswer,
    request: HttpRequest,
    response: HttpResponse,
    send: SendSpans,
  ): void | Promise<void> {
    const { digest, sizeBytes } = answer
    if (request.method === 'HEAD') {
      const promising = this.#headPromise.blob(answer.repository, digest, answer)
      if (promising !== undefined)
        return promising.then(() => answerHead(answer, request, response))
      return answerHead(answer, request, response)
    }
    const ifNoneMatch = request.header('if-none-match')
    if (ifNoneMatch !== undefined && matchesEntityTag(ifNoneMatch, digest)) {
      return respondEmpty(response, 304, blobHeaders(digest))
    }
    const range = request.header('range')
    if (range === undefined || !isRangeWelcome(request, digest)) {
      return send(undefined)
    }
    const verdict = parseRange(range, sizeBytes)
    switch (verdict.kind) {
      case 'whole':
        return send(undefined)
      case 'parts':
        return send(verdict.spans)
      case 'unsatisfiable':
        throw new RegistryError('RANGE_UNSATISFIABLE', {
          detail: { sizeBytes },
          facts: { blobBytes: sizeBytes },
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
    const redirects = this.#redirects
    if (redirects !== undefined && redirect(redirects, prepared, request, response)) return
    const opened = this.#blobs.open(digest, row, spans === undefined)
    if (opened instanceof Promise) {
      return opened.then((blob) => this.#sendOpened(prepared, blob, request, response, spans))
    }
    return this.#sendOpened(prepared, opened, request, response, spans)
  }

  #sendOpened(
    prepared: PreparedBlob,
    opened: OpenedBlob,
    request: HttpRequest,
    response: HttpResponse,
    spans: readonly ByteSpan[] | undefined,
  ): void {
    if (!(opened instanceof Uint8Array)) return sendSource(prepared, response, opened, spans)
    // Only while the answer still holds: it may have been dropped while this waited.
    const isCurrent = this.#answers.get(request.path, request.startedAt) === prepared
    if (isCurrent && opened.byteLength <= keptBodyBytesMax) {
      this.#answers.put(request.path, { ...prepared, bytes: opened })
    }
    sendBytes(prepared, opened, response, spans)
  }
}

function answerHead(answer: BlobAnswer, request: HttpRequest, response: HttpResponse): void {
  const ifNoneMatch = request.header('if-none-match')
  if (ifNoneMatch !== undefined && matchesEntityTag(ifNoneMatch, answer.digest)) {
    return respondEmpty(response, 304, blobHeaders(answer.digest))
  }
  response.sendHead(answer.head, answer.sizeBytes)
}

function sendBytes(
  answer: BlobAnswer,
  bytes: Uint8Array,
  response: HttpResponse,
  spans: readonly ByteSpan[] | undefined,
): void {
  if (spans === undefined) response.send(answer.head, bytes)
  else sendSource(answer, response, new BytesSource(bytes), spans)
}

/** If-Range: the range counts only for the very blob that the client has a part of. */
function isRangeWelcome(request: HttpRequest, digest: Digest): boolean {
  const ifRange = request.header('if-range')
  return ifRange === undefined || isSameEntityTag(ifRange, digest)
}

/** Streams a blob, or parts of it, under the head of its answer. */
export function sendSource(
  { digest, head: wholeHead }: BlobAnswer,
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
