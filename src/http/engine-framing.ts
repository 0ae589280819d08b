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
