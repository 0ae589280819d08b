/**
 * @module The one writer of errors: turns anything thrown into
 * `{"errors":[{"code","message","detail"}],"requestId"}` with the right status
 * (distribution-spec, error-codes). Faults of our own tell the request id and nothing else.
 */
import type { Logger } from '../observability/logger.ts'
import { ERRORS } from '../registry/error-kinds.ts'
import { RegistryError } from '../registry/errors.ts'
import { ClientGone, type HttpRequest, type HttpResponse, ResponseHead } from './engine/port.ts'
import { errorHeaders } from './error-headers.ts'
import { respondJson, versionHeader } from './respond.ts'

/** Answers a request that failed, while it can be answered. */
export function respondError(
  request: HttpRequest,
  response: HttpResponse,
  error: unknown,
  logger: Logger,
): void {
  if (error instanceof ClientGone) return
  const refusal =
    error instanceof RegistryError ? error : new RegistryError('UNKNOWN', { cause: error })
  if (refusal.status >= 500 && !isLoad(refusal)) {
    const cause = refusal.cause ?? refusal
    logger.error({ requestId: request.id, status: refusal.status, error: cause }, 'request failed')
  }
  // A promise that was already being kept (200, Content-Length) can only be broken off.
  if (response.state !== 'open') return response.cut()
  // What is left of its request is not waited for.
  if (refusal.status === 408) response.closeAfter()
  respondJson(request, response, refusal.status, errorBody(refusal, request.id), [
    ['X-Request-Id', request.id],
    ...errorHeaders(refusal),
  ])
}

/**
 * Somebody asks for more than there is for him, and is told when to come back: no fault, and a line
 * for each would be one more thing to flood us with. The metrics count them.
 */
function isLoad({ kind, code, cause, retryAfterSeconds }: RegistryError): boolean {
  if (kind === 'OUTCOME_UNKNOWN') return true
  return code === 'UNAVAILABLE' && cause === undefined && retryAfterSeconds !== undefined
}

function errorBody(error: RegistryError, requestId: string) {
  const { code } = error
  const isOurs = error.kind === 'UNKNOWN'
  const first = isOurs
    ? { code, message: ERRORS.UNKNOWN.message, detail: null }
    : { code, message: error.message, detail: error.detail ?? null }
  const more = error.more.map(({ message, detail }) => ({ code, message, detail: detail ?? null }))
  return { errors: [first, ...more], requestId }
}

/** What the engine itself refuses (framing): the same body, for a request that was never made. */
export function engineRefusal(
  status: number,
  message: string,
): { head: ResponseHead; body: string } {
  const head = new ResponseHead(status, [versionHeader, ['Content-Type', 'application/json']])
  const body = JSON.stringify({ errors: [{ code: 'UNSUPPORTED', message, detail: null }] })
  return { head, body }
}
