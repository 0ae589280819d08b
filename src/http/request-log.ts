/**
 * @module One JSON line a request, formatted by hand (the fields are few and plain) and written in
 * the background. Holds no query and no header, so no secret can slip in.
 */
import type { AccessLog } from '../observability/logger.ts'
import type { HttpRequest, HttpResponse } from './engine.ts'

export class RequestLog {
  readonly #log: AccessLog
  readonly #sample: number
  #count = 0

  /** Logs one request in `sample`; those that failed (400 and above, or cut off) always. */
  constructor(log: AccessLog, sample: number) {
    this.#log = log
    this.#sample = sample
  }

  write(request: HttpRequest, response: HttpResponse, milliseconds: number): void {
    const { status } = response
    const isFailure = status >= 400 || response.state === 'aborted'
    this.#count += 1
    if (!isFailure && this.#count % this.#sample !== 0) return
    // Path and method are visible ASCII (the engine refuses the rest); quotes are escaped here.
    this.#log.writeLine(
      `{"level":30,"time":${Date.now()},"event":"request","id":"${request.id}",` +
        `"client":"${request.remoteAddress}","method":${quote(request.method)},` +
        `"path":${quote(request.path)},"status":${status},"bytes":${response.bytesSent},` +
        `"ms":${milliseconds.toFixed(2)}${response.state === 'aborted' ? ',"aborted":true' : ''}}`,
    )
  }
}

const PLAIN = /^[ !#-[\]-~]*$/

function quote(text: string): string {
  return PLAIN.test(text) ? `"${text}"` : JSON.stringify(text)
}
