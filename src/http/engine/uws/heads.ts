/**
 * @module Heads of answers: as the native side is told them, and as they go to a socket that it does not
 * know at the moment.
 */
import { statusLine } from '../framing.ts'
import type { ResponseHead } from '../port.ts'
import type { UwsResponse } from './types.ts'

/**
 * All headers in one native call: the value of the first carries the lines of the others, which is
 * safe because `ResponseHead` refuses CR and LF. `more` starts with CR LF.
 */
export function writeHead(res: UwsResponse, head: ResponseHead, more: string): void {
  if (head.status !== 200) res.writeStatus(statusLine(head.status))
  const first = head.headers[0]
  if (first !== undefined) {
    head.wire ??= first[1] + head.headers.slice(1).map(asLine).join('')
    res.writeHeader(first[0], head.wire + more)
  } else if (more !== '') {
    const [name = '', value = ''] = more.slice(2).split(': ')
    res.writeHeader(name, value)
  }
}

function asLine([name, value]: readonly [string, string]): string {
  return `\r\n${name}: ${value}`
}

/**
 * A whole answer as bytes. `length` is its Content-Length; undefined: it has none.
 */
export function wireOf(
  head: ResponseHead,
  body: string | Uint8Array,
  length: number | undefined,
  closes: boolean,
): Buffer {
  const lines = head.headers.map(([name, value]) => `${name}: ${value}\r\n`).join('')
  const framing = length === undefined ? '' : `Content-Length: ${length}\r\n`
  const date = `Date: ${new Date().toUTCString()}\r\n`
  const end = closes ? 'Connection: close\r\n\r\n' : '\r\n'
  const text = `HTTP/1.1 ${statusLine(head.status)}\r\n${lines}${date}${framing}${end}`
  return Buffer.concat([Buffer.from(text, 'latin1'), Buffer.from(body as string)])
}
