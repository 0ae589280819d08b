/**
 * @module `/admin/…`: carries requests to the admin API and its answers back. What the API is made
 * of is `src/admin/`'s business; this file knows sockets, that one does not.
 */
import type { Asker } from '../../auth/asker.ts'
import { actorOf } from '../../auth/caller.ts'
import type { Logger } from '../../observability/logger.ts'
import type { ApiAnswer, ApiStream } from '../../runtime/api-answer.ts'
import type { RequestSessions, SessionDoor } from '../access/session-door.ts'
import { type HttpRequest, type HttpResponse, ResponseHead } from '../engine/port.ts'
import { errorHeaders } from '../error-headers.ts'
import { type HeaderList, respondJson } from '../respond.ts'

/** The API, as far as this layer needs it. */
export interface AdminPort {
  handle(
    request: HttpRequest,
    actor: string,
    asker: Asker,
    sessions: RequestSessions | undefined,
  ): Promise<ApiAnswer>
}

/** Logins in the pages. */
export type Sessions = Pick<SessionDoor, 'of' | 'renewal'>

const setCookie = 'Set-Cookie'

export class AdminHandlers {
  readonly #api: AdminPort
  readonly #logger: Logger

  readonly #onRefused: (request: HttpRequest, reason: string, status: number) => void
  readonly #sessions: Sessions | undefined

  /**
   * `onRefused` is told of requests that the API answers nobody, whatever he may do. `sessions`: undefined where
   * access control is off.
   */
  constructor(
    api: AdminPort,
    logger: Logger,
    onRefused: (request: HttpRequest, reason: string, status: number) => void,
    sessions?: Sessions,
  ) {
    this.#sessions = sessions
    this.#onRefused = onRefused
    this.#api = api
    this.#logger = logger
  }

  /** Every method of every path below `/admin/`. */
  async handle(request: HttpRequest, response: HttpResponse, asker: Asker): Promise<void> {
    request.keepAddress()
    const actor = actorOf(request)
    const answer = await this.#api.handle(request, actor, asker, this.#sessions?.of(request))
    if (answer.kind === 'stream') return sendPieces(request, response, answer)
    const { status, headers, body, error, fault } = answer
    // What the gate refuses it has booked itself.
    if (error?.auditWord !== undefined) this.#onRefused(request, error.auditWord, status)
    if (fault !== undefined) {
      const cause = (fault as { cause?: unknown }).cause ?? fault
      this.#logger.error({ requestId: request.id, status, error: cause }, 'request failed')
    }
    if (status === 408) response.closeAfter()
    const more = error === undefined ? await this.#renewal(request, headers) : errorHeaders(error)
    respondJson(request, response, status, body, [...more, ...headers])
  }

  /** What keeps the login of the request alive, where the answer says nothing of it. */
  async #renewal(request: HttpRequest, headers: HeaderList): Promise<HeaderList> {
    if (request.caller.session === undefined) return []
    if (headers.some(([name]) => name === setCookie)) return []
    const cookie = await this.#sessions?.renewal(request)
    return cookie === undefined ? [] : [[setCookie, cookie]]
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
