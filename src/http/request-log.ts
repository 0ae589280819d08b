/**
 * @module One JSON line a request, formatted by hand (the fields are few and plain) and written in
 * the background. Holds no query and no header, so no secret can slip in.
 */
import type { AccessLog } from '../observability/logger.ts'
import type { HttpRequest, HttpResponse } from './engine/port.ts'

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
    const isAborted = response.state === 'aborted'
    this.#count += 1
    if (status < 400 && !isAborted && this.#count % this.#sample !== 0) return
    // Path and method are visible ASCII (the engine refuses the rest); quotes are escaped here.
    this.#log.writeLine(
      `{"level":30,"time":${Date.now()},"event":"request","id":"${request.id}",` +
        `"client":"${request.remoteAddress}","method":${quote(request.method)},` +
        `"path":${quote(request.path)},"status":${status},"bytes":${response.bytesSent},` +
        `"ms":${hundredths(milliseconds)}${isAborted ? ',"aborted":true' : ''}` +
        `${request.via === undefined ? '' : `,"via":${request.via}`}}\n`,
    )
  }
}

/** Two decimals, as `toFixed(2)` gives them, at a fraction of its cost. */
function hundredths(value: number): string {
  const whole = Math.round(value * 100)
  const rest = whole % 100
  return `${(whole - rest) / 100}.${rest < 10 ? '0' : ''}${rest}`
}

const PLAIN = /^[ !#-[\]-~]*$/

function quote(text: string): string {
  return PLAIN.test(text) ? `"${text}"` : JSON.stringify(text)
}
