/**
 * @module Hands a client's request to the member of the mesh that alone can answer it, and its answer to the client.
 * The member judges it as if the client had come there: who may, limits, quotas. Nothing is gathered on the way but
 * a small answer; whoever is slow holds up the other side.
 */
import type { ForwardedAnswer, ForwardedRequest } from '../../mesh/forward/messages.ts'
import type { Passing } from '../../mesh/forward/passing.ts'
import { MeshError } from '../../mesh/identity/problem.ts'
import { RegistryError } from '../../registry/errors.ts'
import { isBodyless } from '../engine/framing.ts'
import { ClientGone, type HttpRequest, type HttpResponse, ResponseHead } from '../engine/port.ts'
import { carriedHeaders } from './exchange.ts'

/** Requests to one member at once; further ones are told to come again. */
export const passingMax = 1_024

/** An answer up to so many bytes is sent whole, with its length. */
const wholeBytesMax = 256 * 1024

/** On every answer of this node; the member has written it too. */
const ownHeader = 'x-content-type-options'

/** Begins to hand a request to a member. Throws a MeshError for one that is none, a RangeError for a huge head. */
export type StartPassing = (member: number, head: ForwardedRequest) => Passing

export class Forwarding {
  readonly #start: StartPassing
  readonly #counts = new Map<number, number>()

  constructor(start: StartPassing) {
    this.#start = start
  }

  /**
   * Resolves when the client has its answer. Rejects with BUSY when there is none, or when too many
   * requests are under way to that member, with BODY_TOO_LARGE for headers that cannot be handed on.
   */
  async toMember(request: HttpRequest, response: HttpResponse, member: number): Promise<void> {
    request.handedTo = member
    const count = this.#counts.get(member) ?? 0
    if (count >= passingMax) throw silent(request, { member, reason: 'busy', outcome: 'not done' })
    this.#counts.set(member, count + 1)
    try {
      await this.#pass(request, response, member)
    } finally {
      const left = this.#counts.get(member)! - 1
      if (left === 0) this.#counts.delete(member)
      else this.#counts.set(member, left)
    }
  }

  async #pass(request: HttpRequest, response: HttpResponse, member: number): Promise<void> {
    const passing = this.#begin(request, member)
    const { signal } = request
    const left = () => passing.abort()
    signal.addEventListener('abort', left, { once: true })
    sendBody(request, response, passing)
    try {
      await passOn(request, response, await passing.answer(), passing)
    } catch (error) {
      if (signal.aborted) throw new ClientGone()
      if (!(error instanceof MeshError)) throw error
      throw silent(request, { member, reason: error.problem, outcome: 'unknown' })
    } finally {
      signal.removeEventListener('abort', left)
      passing.close()
    }
  }

  #begin(request: HttpRequest, member: number): Passing {
    const head = headOf(request)
    try {
      return this.#start(member, head)
    } catch (error) {
      if (error instanceof MeshError) {
        throw silent(request, { member, reason: error.problem, outcome: 'not done' })
      }
      if (!(error instanceof RangeError)) throw error
      throw new RegistryError('BODY_TOO_LARGE', {
        message: 'the headers are too large to be handed to another node',
      })
    }
  }
}

function headOf(request: HttpRequest): ForwardedRequest {
  const { id, method, path, query, headers, scheme, host, isTls, bodyBytes } = request
  request.keepAddress()
  const client = request.remoteAddress
  if (client === '') throw new ClientGone()
  return {
    id,
    method,
    path,
    query,
    headers: carriedHeaders(headers),
    client,
    scheme,
    host,
    isTls,
    bodyBytes: bodyBytes ?? null,
  }
}

/** As fast as the member takes it. */
function sendBody(request: HttpRequest, response: HttpResponse, passing: Passing): void {
  if (request.bodyBytes === 0) return passing.end()
  const resume = () => request.resume()
  request
    .readBody((bytes) => {
      // It is valid during this call alone.
      if (passing.write(Buffer.from(bytes))) return
      request.pause()
      passing.onDrain(resume)
    })
    .then(
      () => passing.end(),
      () => {
        // Otherwise the answer came before the body's end, and the rest is of no interest.
        if (response.state !== 'headersSent' && response.state !== 'done') {
          passing.abort()
        }
      },
    )
}

async function passOn(
  request: HttpRequest,
  response: HttpResponse,
  answer: ForwardedAnswer,
  passing: Passing,
): Promise<void> {
  const { status, sizeBytes, isLast } = answer
  const own = answer.headers.filter(([name]) => name.toLowerCase() !== ownHeader)
  const head = new ResponseHead(status, own)
  const isWhole = sizeBytes !== null && sizeBytes <= wholeBytesMax
  if (request.method === 'HEAD' || isBodyless(status)) {
    await requireEmpty(passing)
    if (isLast) response.closeAfter()
    response.sendHead(head, sizeBytes ?? undefined)
  } else if (isWhole) {
    const body = await gather(passing, sizeBytes)
    if (isLast) response.closeAfter()
    response.send(head, body)
  } else {
    if (isLast) response.closeAfter()
    response.startChunked(head)
    let bytes = 0
    for await (const piece of passing.body()) {
      if (response.state !== 'headersSent') return
      bytes += piece.byteLength
      await response.write(piece)
    }
    if (sizeBytes !== null && bytes !== sizeBytes) throw notWhole()
    response.end()
  }
}

async function requireEmpty(passing: Passing): Promise<void> {
  await gather(passing, 0)
}

/** All of a small body. */
async function gather(passing: Passing, sizeBytes: number): Promise<Uint8Array> {
  const pieces: Uint8Array[] = []
  let bytes = 0
  for await (const piece of passing.body()) {
    bytes += piece.byteLength
    if (bytes > sizeBytes) throw notWhole()
    pieces.push(piece)
  }
  if (bytes !== sizeBytes) throw notWhole()
  return Buffer.concat(pieces)
}

function notWhole(): MeshError {
  return new MeshError('message', 'an answer is not as long as its head says')
}

interface Silence {
  readonly member: number
  readonly reason: string
  /** Of a change; of a read there is nothing to say. */
  readonly outcome: 'not done' | 'unknown'
}

function silent({ method }: Pick<HttpRequest, 'method'>, silence: Silence): RegistryError {
  const { member, reason } = silence
  const isRead = method === 'GET' || method === 'HEAD'
  return new RegistryError('BUSY', {
    message: 'the node that has this cannot be reached now; try again in a moment',
    detail: isRead ? { member, reason } : silence,
  })
}
