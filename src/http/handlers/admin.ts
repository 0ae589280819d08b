/**
 * @module `/admin/…`: carries requests to the admin API and its answers back. What the API is made
 * of is `src/admin/`'s business; this file knows sockets, that one does not.
 */
import type { Asker } from '../../auth/asker.ts'
import { actorOf } from '../../auth/caller.ts'
import type { Logger } from '../../observability/logger.ts'
import type { ApiAnswer, ApiStream } from '../../runtime/api-answer.ts'
import { type HttpRequest, type HttpResponse, ResponseHead } from '../engine/port.ts'
import { errorHeaders } from '../error-headers.ts'
import { respondJson } from '../respond.ts'

/** The API, as far as this layer needs it. */
export interface AdminPort {
  handle(request: HttpRequest, actor: string, asker: Asker): Promise<ApiAnswer>
}

export class AdminHandlers {
  readonly #api: AdminPort
  readonly #logger: Logger

  readonly #onRefused: (request: HttpRequest, reason: string, status: number) => void

  /** `onRefused` is told of requests that the API answers nobody, whatever he may do. */
  constructor(
    api: AdminPort,
    logger: Logger,
    onRefused: (request: HttpRequest, reason: string, status: number) => void,
  ) {
    this.#onRefused = onRefused
    this.#api = api
    this.#logger = logger
  }

  /** Every method of every path below `/admin/`. */
  async handle(request: HttpRequest, response: HttpResponse, asker: Asker): Promise<void> {
    request.keepAddress()
    const actor = actorOf(request)
    const answer = await this.#api.handle(request, actor, asker)
    if (answer.kind === 'stream') return sendPieces(request, response, answer)
    const { status, headers, body, error, fault } = answer
    // What the gate refuses it has booked itself.
    if (error?.auditWord !== undefined) this.#onRefused(request, error.auditWord, status)
    if (fault !== undefined) {
      const cause = (fault as { cause?: unknown }).cause ?? fault
      this.#logger.error({ requestId: request.id, status, error: cause }, 'request failed')
    }
    if (status === 408) response.closeAfter()
    const more = error === undefined ? [] : errorHeaders(error)
    respondJson(request, response, status, body, [...more, ...headers])
  }
}

async function sendPieces(
  request: HttpRequest,
  response: HttpResponse,
  { contentType, pieces }: ApiStream,
): Promise<void> {
  const head = new ResponseHead(200, [
    ['Content-Type', contentType],
    ['Cache-Control', 'no-store'],
    ['X-Accel-Buffering', 'no'],
  ])
  if (request.method === 'HEAD') {
    // Nobody reads the pieces: what they hold is let go of.
    await pieces[Symbol.asyncIterator]().return?.()
    return response.sendHead(head, undefined)
  }
  response.startChunked(head)
  for await (const piece of pieces) {
    await response.write(piece)
    if (response.state !== 'headersSent') break
  }
  response.end()
}
