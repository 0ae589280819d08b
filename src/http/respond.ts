/**
 * @module Small answers: JSON, and answers without a body. Every answer of the API carries the
 * version header that old tools look for.
 */
import { type HttpRequest, type HttpResponse, ResponseHead } from './engine/port.ts'

export type HeaderList = readonly (readonly [name: string, value: string])[]

export const versionHeader = ['Docker-Distribution-API-Version', 'registry/2.0'] as const

/**
 * On content that others have pushed or upstreams have sent: a browser that is made to open it as a
 * page runs nothing in it, and gives it no origin.
 */
export const sandboxHeader = ['Content-Security-Policy', "default-src 'none'; sandbox"] as const

const JSON_TYPE = ['Content-Type', 'application/json'] as const

/** Sends `value` as JSON (for HEAD: its length alone). */
export function respondJson(
  request: HttpRequest,
  response: HttpResponse,
  status: number,
  value: unknown,
  headers: HeaderList = [],
): void {
  const hasType = headers.some(([name]) => name === 'Content-Type')
  const all = hasType ? [versionHeader, ...headers] : [versionHeader, JSON_TYPE, ...headers]
  respondText(request, response, new ResponseHead(status, all), JSON.stringify(value))
}

/** Sends a text under a prepared head (for HEAD: its length alone). */
export function respondText(
  request: HttpRequest,
  response: HttpResponse,
  head: ResponseHead,
  text: string,
): void {
  if (request.method === 'HEAD') response.sendHead(head, Buffer.byteLength(text))
  else response.send(head, text)
}

/** An answer whose body is empty: `Content-Length: 0`, but none with 204 and 304. */
export function respondEmpty(response: HttpResponse, status: number, headers: HeaderList): void {
  const head = new ResponseHead(status, [versionHeader, ...headers])
  if (status === 204 || status === 304) response.sendHead(head, undefined)
  else response.send(head, '')
}
