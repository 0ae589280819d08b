/**
 * @module The head of an HTTP/1.1 answer, read strictly: whatever two readers could take in two ways
 * is refused.
 */
import type { HttpHeaders } from './exchange.ts'
import { UpstreamError } from './upstream-error.ts'

export type Framing =
  | { readonly kind: 'length'; readonly bytes: number }
  | { readonly kind: 'chunked' }
  /** The body ends with the connection. */
  | { readonly kind: 'close' }

export interface ResponseHead {
  readonly status: number
  readonly headers: HttpHeaders
  readonly framing: Framing
  /** Whether the connection may carry another request afterwards. */
  readonly isKept: boolean
}

const STATUS = /^HTTP\/1\.([01]) ([1-5]\d\d)(?: [^\r\n\0]*)?$/
const FIELD = /^([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([^\r\n\0]*?)[ \t]*$/

/** Parses what stands before the empty line. Throws `garbage`. */
export function parseHead(text: string): ResponseHead {
  const [first = '', ...lines] = text.split('\r\n')
  const start = STATUS.exec(first)
  if (start === null) throw garbage('does not answer in HTTP/1.1')
  const status = Number(start[2])
  const headers: Record<string, string | string[]> = Object.create(null)
  for (const line of lines) {
    const field = FIELD.exec(line)
    if (field === null) throw garbage('sends a header line that is none')
    const name = field[1]!.toLowerCase()
    const value = field[2]!
    const before = headers[name]
    if (before === undefined) headers[name] = value
    else headers[name] = [...(Array.isArray(before) ? before : [before]), value]
  }
  const framing = framingOf(status, headers)
  const connection = String(headers['connection'] ?? '').toLowerCase()
  const isKept = start[1] === '1' && framing.kind !== 'close' && !/\bclose\b/.test(connection)
  return { status, headers, framing, isKept }
}

function framingOf(status: number, headers: HttpHeaders): Framing {
  const coding = headers['transfer-encoding']
  const length = headers['content-length']
  if (status < 200 || status === 204 || status === 304) return { kind: 'length', bytes: 0 }
  if (coding !== undefined) {
    if (length !== undefined) throw garbage('sends a length and chunks')
    if (typeof coding !== 'string' || coding.toLowerCase() !== 'chunked') {
      throw garbage('sends a transfer coding that was not asked for')
    }
    return { kind: 'chunked' }
  }
  if (length === undefined) return { kind: 'close' }
  if (typeof length !== 'string' || !/^\d{1,15}$/.test(length)) {
    throw garbage('sends a Content-Length that is none')
  }
  return { kind: 'length', bytes: Number(length) }
}

export function garbage(what: string): UpstreamError {
  return new UpstreamError('garbage', `upstream ${what}`)
}
