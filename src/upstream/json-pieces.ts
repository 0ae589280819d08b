/**
 * @module Lists of upstreams, read piece by piece: where the members of an object and the elements of
 * an array stand in the bytes, so that each is decoded alone, by its length, and the event loop has
 * its turns in between. One pass; what is inside a piece is left to `JSON.parse`.
 */
import { nextTurn } from '../runtime/next-turn.ts'
import { UpstreamError } from './error.ts'

/** A value in the bytes: its first byte and the one behind its last. */
export interface Piece {
  readonly start: number
  readonly end: number
}

export interface Member extends Piece {
  readonly name: string
}

/** Members with longer names are nobody's here. */
const nameBytesMax = 160

const QUOTE = 0x22
const COMMA = 0x2c
const COLON = 0x3a
const OPEN_BRACKET = 0x5b
const BACKSLASH = 0x5c
const CLOSE_BRACKET = 0x5d
const OPEN_BRACE = 0x7b
const CLOSE_BRACE = 0x7d

/** The members of the object at `start`. Throws `garbage` where there is none. */
export function* membersOf(bytes: Buffer, start = 0): Generator<Member> {
  let at = expect(bytes, start, OPEN_BRACE)
  if (bytes[skipBlanks(bytes, at)] === CLOSE_BRACE) return
  while (true) {
    const from = skipBlanks(bytes, at)
    if (bytes[from] !== QUOTE) throw noList()
    const to = skipString(bytes, from)
    const valueAt = skipBlanks(bytes, expect(bytes, to, COLON))
    const end = skipValue(bytes, valueAt)
    const isShort = to - from <= nameBytesMax
    yield {
      name: isShort ? String(decode(bytes, { start: from, end: to })) : '',
      start: valueAt,
      end,
    }
    const next = skipBlanks(bytes, end)
    if (bytes[next] === CLOSE_BRACE) return
    at = expect(bytes, next, COMMA)
  }
}

/** The elements of the array at `start`; none where a `null` stands. Throws `garbage` for others. */
export function* elementsOf(bytes: Buffer, { start, end: behind }: Piece): Generator<Piece> {
  if (bytes.toString('latin1', start, behind) === 'null') return
  let at = expect(bytes, start, OPEN_BRACKET)
  if (bytes[skipBlanks(bytes, at)] === CLOSE_BRACKET) return
  while (true) {
    const from = skipBlanks(bytes, at)
    const end = skipValue(bytes, from)
    yield { start: from, end }
    const next = skipBlanks(bytes, end)
    if (bytes[next] === CLOSE_BRACKET) return
    at = expect(bytes, next, COMMA)
  }
}

/** The value of a piece. Throws `garbage` where it is none. */
export function decode(bytes: Buffer, { start, end }: Piece): unknown {
  try {
    return JSON.parse(bytes.toString('utf8', start, end))
  } catch {
    throw noList()
  }
}

/** Gives others a turn after every so many bytes. */
export class Turns {
  #bytes = 0

  /** Undefined while there is still time. */
  spend(bytes: number): Promise<void> | undefined {
    this.#bytes += bytes
    if (this.#bytes < turnBytes) return undefined
    this.#bytes = 0
    return nextTurn()
  }
}

/** Decoded in one turn of the event loop, bytes. */
const turnBytes = 64 * 1024

function skipValue(bytes: Buffer, from: number): number {
  const first = bytes[from]
  if (first === QUOTE) return skipString(bytes, from)
  if (first === OPEN_BRACE || first === OPEN_BRACKET) return skipNested(bytes, from)
  let at = from
  while (at < bytes.byteLength && !isEnd(bytes[at]!)) at += 1
  if (at === from) throw noList()
  return at
}

function skipNested(bytes: Buffer, from: number): number {
  let depth = 0
  for (let at = from; at < bytes.byteLength; ) {
    const byte = bytes[at]
    if (byte === QUOTE) {
      at = skipString(bytes, at)
      continue
    }
    at += 1
    if (byte === OPEN_BRACE || byte === OPEN_BRACKET) depth += 1
    else if (byte === CLOSE_BRACE || byte === CLOSE_BRACKET) {
      depth -= 1
      if (depth === 0) return at
    }
  }
  throw noList()
}

/** Behind the closing quote: the first that an even number of backslashes stands before. */
function skipString(bytes: Buffer, from: number): number {
  for (let at = from + 1; at < bytes.byteLength; at += 1) {
    const byte = bytes[at]
    if (byte === QUOTE) return at + 1
    if (byte === BACKSLASH) at += 1
  }
  throw noList()
}

function skipBlanks(bytes: Buffer, from: number): number {
  let at = from
  while (at < bytes.byteLength && isBlank(bytes[at]!)) at += 1
  return at
}

function expect(bytes: Buffer, from: number, byte: number): number {
  const at = skipBlanks(bytes, from)
  if (bytes[at] !== byte) throw noList()
  return at + 1
}

const isBlank = (byte: number) => byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09

function isEnd(byte: number): boolean {
  return byte === COMMA || byte === CLOSE_BRACKET || byte === CLOSE_BRACE || isBlank(byte)
}

function noList(): UpstreamError {
  return new UpstreamError('garbage', 'upstream sends no list')
}
