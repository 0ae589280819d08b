/**
 * @module What both engines refuse before a handler runs: requests whose body length two parsers
 * could read differently (behind a proxy that is request smuggling, RFC 9112 §11.2), and request
 * targets that are not visible ASCII.
 */

/** `readFraming` for a chunked body. */
export const CHUNKED = -1

/**
 * Body length by the headers (`name, value, name, value …`, names in lower case): bytes, `CHUNKED`,
 * or a sentence that says why the request is refused.
 */
export function readFraming(headers: readonly string[]): number | string {
  let length: string | undefined
  let encoding: string | undefined
  for (let index = 0; index < headers.length; index += 2) {
    const name = headers[index]!
    // Lengths first: this runs for every header of every request.
    if (name.length === 14 && name === 'content-length') {
      if (length !== undefined) return 'Content-Length is given twice'
      length = headers[index + 1]!
    } else if (name.length === 17 && name === 'transfer-encoding') {
      if (encoding !== undefined) return 'Transfer-Encoding is given twice'
      encoding = headers[index + 1]!
    } else if (name.length === 7 && name === 'trailer') {
      return 'trailers are not taken: send none'
    }
  }
  if (encoding !== undefined) {
    if (length !== undefined) return 'Content-Length and Transfer-Encoding exclude each other'
    return encoding.toLowerCase() === 'chunked' ? CHUNKED : 'Transfer-Encoding is not chunked'
  }
  if (length === undefined) return 0
  // 15 digits stay below 2^53, so the number is exact.
  return /^[0-9]{1,15}$/.test(length) ? Number(length) : 'Content-Length is not a number'
}

/** Methods whose requests may have a body of unknown length. */
const CHUNKED_METHODS: ReadonlySet<string> = new Set(['POST', 'PUT', 'PATCH'])

/**
 * Why a request is refused whose body is chunked; undefined for a good one. What
 * follows a chunked body (RFC 9112, 7.1.2) is not read here: where it may come it is refused, so that
 * nobody takes it for the next request.
 */
export function chunkedFault(
  method: string,
  headers: readonly string[],
  framing: number,
): string | undefined {
  if (framing !== CHUNKED) return undefined
  for (let index = 0; index < headers.length; index += 2) {
    if (headers[index] !== 'te') continue
    if (headers[index + 1]!.toLowerCase().includes('trailers')) {
      return 'trailers are not taken: send a chunked body without TE: trailers'
    }
  }
  if (CHUNKED_METHODS.has(method)) return undefined
  return 'a chunked body is taken with POST, PUT and PATCH alone'
}

/** A target in parts; `authority` is what stands for `Host` in a whole URL. */
export interface Target {
  readonly path: string
  readonly query: string
  readonly authority?: string
}

/** Splits a request target: a path, a whole URL (RFC 9112, 3.2.2) or the `*` of OPTIONS. */
export function splitTarget(method: string, target: string): Target | undefined {
  if (target.startsWith('/')) return splitQuery(target)
  if (target === '*') return method === 'OPTIONS' ? { path: '*', query: '' } : undefined
  const scheme = target.slice(0, 8).toLowerCase()
  const start = scheme === 'https://' ? 8 : scheme.startsWith('http://') ? 7 : 0
  if (start === 0) return undefined
  const end = /[/?#]/.exec(target.slice(start))?.index ?? target.length - start
  const authority = target.slice(start, start + end)
  // A name, or an address in brackets, and perhaps a port: nobody's password.
  if (!/^[A-Za-z0-9._:[\]-]{1,300}$/.test(authority)) return undefined
  const rest = target.slice(start + end)
  if (rest === '') return { path: method === 'OPTIONS' ? '*' : '/', query: '', authority }
  return { ...splitQuery(rest.startsWith('/') ? rest : `/${rest}`), authority }
}

function splitQuery(target: string): Target {
  const mark = target.indexOf('?')
  if (mark < 0) return { path: target, query: '' }
  return { path: target.slice(0, mark), query: target.slice(mark + 1) }
}

/** True for a path that starts with `/` and a query, both of visible ASCII only. */
export function isPlainTarget(path: string, query: string): boolean {
  return /^\/[\x21-\x7e]*$/.test(path) && (query === '' || /^[\x21-\x7e]*$/.test(query))
}

const REASONS: Readonly<Record<number, string>> = {
  200: 'OK',
  201: 'Created',
  202: 'Accepted',
  204: 'No Content',
  206: 'Partial Content',
  301: 'Moved Permanently',
  302: 'Found',
  304: 'Not Modified',
  307: 'Temporary Redirect',
  308: 'Permanent Redirect',
  400: 'Bad Request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not Found',
  405: 'Method Not Allowed',
  406: 'Not Acceptable',
  408: 'Request Timeout',
  409: 'Conflict',
  411: 'Length Required',
  412: 'Precondition Failed',
  413: 'Content Too Large',
  414: 'URI Too Long',
  415: 'Unsupported Media Type',
  416: 'Range Not Satisfiable',
  429: 'Too Many Requests',
  431: 'Request Header Fields Too Large',
  500: 'Internal Server Error',
  501: 'Not Implemented',
  502: 'Bad Gateway',
  503: 'Service Unavailable',
  504: 'Gateway Timeout',
  505: 'HTTP Version Not Supported',
  507: 'Insufficient Storage',
}

/** Status code and reason phrase, as the status line carries them. */
export function statusLine(status: number): string {
  return `${status} ${REASONS[status] ?? 'Status'}`
}

/** Statuses whose answers have no body and no length (RFC 9110 §15.3.5, §15.4.5). */
export function isBodyless(status: number): boolean {
  return status === 204 || status === 304
}
