/**
 * @module The head of an HTTP/1.1 answer, read strictly: whatever two readers could take in two ways
 * is refused.
 */
import type { AnswerHeaders } from './answer.ts'
import { UpstreamError } from './error.ts'

export type Framing =
  | { readonly kind: 'length'; readonly bytes: number }
  | { readonly kind: 'chunked' }
  /** The body ends with the connection. */
  | { readonly kind: 'close' }

export interface AnswerHead {
  readonly status: number
  readonly headers: AnswerHeaders
  readonly framing: Framing
  /** Whether the connection may carry another request afterwards. */
  readonly isKept: boolean
}

const STATUS = /^HTTP\/1\.([01]) ([1-5]\d\d)(?: [^\r\n\0]*)?$/
const NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/

/** No line of a head may hold these. */
const FORBIDDEN = /[\r\n\0]/

/** Parses what stands before the empty line. Throws `garbage`. */
export function parseHead(text: string): AnswerHead {
  const [first = '', ...lines] = text.split('\r\n')
  const start = STATUS.exec(first)
  if (start === null) throw garbage('does not answer in HTTP/1.1')
  const status = Number(start[2])
  const headers: Record<string, string | string[]> = Object.create(null)
  for (const line of lines) {
    const colon = line.indexOf(':')
    const name = line.slice(0, Math.max(0, colon)).toLowerCase()
    if (!NAME.test(name) || FORBIDDEN.test(line)) {
      throw garbage('sends a header line that is none')
    }
    const value = trimBlanks(line, colon + 1)
    const before = headers[name]
    if (before === undefined) headers[name] = value
    else if (Array.isArray(before)) before.push(value)
    else headers[name] = [before, value]
  }
  const framing = framingOf(status, headers)
  const connection = String(headers['connection'] ?? '').toLowerCase()
  const isKept = start[1] === '1' && framing.kind !== 'close' && !/\bclose\b/.test(connection)
  return { status, headers, framing, isKept }
}

/** What stands from `from` on without the blanks around it, in one pass from either end. */
function trimBlanks(line: string, from: number): string {
  let start = from
  let end = line.length
  while (start < end && isBlank(line.charCodeAt(start))) start += 1
  while (end > start && isBlank(line.charCodeAt(end - 1))) end -= 1
  return line.slice(start, end)
}

const isBlank = (code: number) => code === 0x20 || code === 0x09

function framingOf(status: number, headers: AnswerHeaders): Framing {
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
