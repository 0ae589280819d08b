/**
 * @module Reads `multipart/byteranges` as strictly as a client may: nothing but parts and
 * delimiters, CRLF everywhere. Written apart from the code that makes it.
 */

export interface Part {
  readonly headers: Readonly<Record<string, string>>
  readonly body: Buffer
}

export function parseMultipart(contentType: string, body: Buffer): Part[] {
  const boundary = /^multipart\/byteranges; boundary=([A-Za-z0-9-]{1,70})$/.exec(contentType)?.[1]
  if (boundary === undefined) throw new Error(`not multipart/byteranges: ${contentType}`)
  const parts: Part[] = []
  let at = 0
  const take = (text: string) => {
    if (body.toString('latin1', at, at + text.length) !== text) {
      throw new Error(`${JSON.stringify(text)} expected at byte ${at}`)
    }
    at += text.length
  }
  const isNext = (text: string) => body.toString('latin1', at, at + text.length) === text
  take(`--${boundary}`)
  while (!isNext('--')) {
    take('\r\n')
    const headersEnd = body.indexOf('\r\n\r\n', at)
    const lines = body.toString('latin1', at, headersEnd).split('\r\n')
    const headers = Object.fromEntries(
      lines.map((line) => {
        const colon = line.indexOf(': ')
        return [line.slice(0, colon).toLowerCase(), line.slice(colon + 2)]
      }),
    )
    const range = /^bytes (\d+)-(\d+)\/\d+$/.exec(headers['content-range'] ?? '')
    if (range === null) throw new Error(`a part without Content-Range: ${lines.join(' | ')}`)
    at = headersEnd + 4
    const length = Number(range[2]) - Number(range[1]) + 1
    parts.push({ headers, body: body.subarray(at, at + length) })
    at += length
    take(`\r\n--${boundary}`)
  }
  take('--\r\n')
  if (at !== body.length) throw new Error(`${body.length - at} bytes after the last boundary`)
  return parts
}
