/**
 * @module What the first bytes of a connection say of whoever sends them: the native engine takes
 * HTTP/1.1 with a path, one request after the other. All else that HTTP allows (HTTP/1.0, a whole URL
 * or `*` as the target, several requests at once), and all that is no HTTP, is for the node engine,
 * which serves it or refuses it with a reason. Linear in what has come, and nothing is kept.
 */

/** Most that is looked at, bytes: a request line without an end within these is the node engine's. */
export const firstBytesMax = 16 * 1024

export type FirstVerdict = 'native' | 'node' | 'more'

const LF = 10
const CR = 13
const nativeEnd = ' HTTP/1.1\r'

/** Bytes of the empty lines that stand before a request (RFC 9112, 2.2). */
export function emptyLineBytes(bytes: Uint8Array): number {
  let at = 0
  while (at < bytes.length) {
    if (bytes[at] === LF) at += 1
    else if (bytes[at] === CR && bytes[at + 1] === LF) at += 2
    else break
  }
  return at
}

/** `queuedBytes`: all that has come, of which `bytes` are the first. */
export function judgeRequest(bytes: Buffer, queuedBytes: number): FirstVerdict {
  const lineEnd = bytes.indexOf(LF)
  if (lineEnd < 0) {
    const first = bytes[0]
    const isLetter = first === CR || (first !== undefined && first >= 0x41 && first <= 0x7a)
    return isLetter && bytes.length < firstBytesMax ? 'more' : 'node'
  }
  const line = bytes.toString('latin1', 0, lineEnd)
  const space = line.indexOf(' ')
  const isPath = space > 0 && line[space + 1] === '/'
  const targetEnd = line.length - nativeEnd.length
  const isWhole = line.endsWith(nativeEnd) && line.indexOf(' ', space + 1) === targetEnd
  if (!isPath || !isWhole) return 'node'
  const headEnd = bytes.indexOf('\r\n\r\n', lineEnd - 1)
  // The native engine would wait for the rest for as long as for an idle client.
  if (headEnd < 0) return bytes.length < firstBytesMax ? 'more' : 'native'
  const method = line.slice(0, space)
  return isPipelined(bytes, method, lineEnd, headEnd, queuedBytes) ? 'node' : 'native'
}

/**
 * Whether more has come than one request. A body that has not ended says nothing, nor does a head: what
 * comes later is met by the native engine in its own way.
 */
function isPipelined(
  bytes: Buffer,
  method: string,
  lineEnd: number,
  headEnd: number,
  queued: number,
): boolean {
  const bodyStart = headEnd + 4
  if (queued <= bodyStart) return false
  const head = bytes.toString('latin1', lineEnd, headEnd + 2).toLowerCase()
  if (head.includes('\ntransfer-encoding:')) {
    const last = bytes.indexOf('0\r\n\r\n', bodyStart)
    return method === 'GET' || (last >= 0 && last + 5 < queued)
  }
  const mark = '\ncontent-length:'
  const at = head.indexOf(mark)
  const text = at < 0 ? '0' : head.slice(at + mark.length, head.indexOf('\r', at)).trim()
  const length = Number(text)
  return Number.isSafeInteger(length) && queued > bodyStart + length
}

/** Protocols that a TLS client offers (RFC 7301); undefined where it offers none. */
export type Offer = readonly string[] | undefined

/**
 * What a TLS ClientHello offers; `more` while it has not come whole, `none` for what is none. Only its
 * first record is read: clients send it in one.
 */
export function readOffer(bytes: Buffer): Offer | 'more' | 'none' {
  if (bytes.length < 6) return bytes.length === 0 || bytes[0] === 0x16 ? 'more' : 'none'
  if (bytes[0] !== 0x16 || bytes[5] !== 1) return 'none'
  const end = 5 + bytes.readUInt16BE(3)
  if (bytes.length < end) return bytes.length < firstBytesMax ? 'more' : 'none'
  try {
    return offerOf(bytes.subarray(0, end))
  } catch {
    return 'none'
  }
}

/** Throws a RangeError where a length points beyond the record. */
function offerOf(hello: Buffer): Offer {
  let at = 9 + 2 + 32
  at += 1 + hello.readUInt8(at)
  at += 2 + hello.readUInt16BE(at)
  at += 1 + hello.readUInt8(at)
  const end = Math.min(hello.length, at + 2 + hello.readUInt16BE(at))
  at += 2
  while (at + 4 <= end) {
    const length = hello.readUInt16BE(at + 2)
    if (hello.readUInt16BE(at) === 16) return namesOf(hello.subarray(at + 6, at + 4 + length))
    at += 4 + length
  }
  return undefined
}

function namesOf(list: Buffer): readonly string[] {
  const names: string[] = []
  for (let at = 0; at < list.length; at += 1 + list[at]!) {
    names.push(list.toString('latin1', at + 1, at + 1 + list[at]!))
  }
  return names
}
