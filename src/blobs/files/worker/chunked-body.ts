/**
 * @module The rest of a chunked body (RFC 9112 §7.1) that begins within a chunk. Each byte is looked at
 * once; what is not understood ends it.
 */

/** Longest line of a chunk's size with its extensions, and of all trailers together, bytes. */
const sizeLineBytesMax = 1024
const trailerBytesMax = 16 * 1024

const CR = 13
const LF = 10
const SEMICOLON = 59
/** Some senders pad a size with blanks. */
const SPACE = 32
const TAB = 9

/** `end`: of the body; `broken`: no chunked body. */
export type ChunkedState = 'more' | 'end' | 'broken'

export class ChunkedBody {
  /** What comes next. */
  #at: 'data' | 'dataEnd' | 'size' | 'extension' | 'trailer' = 'data'
  /** Of the chunk, bytes. */
  #left: number
  /** Of the line so far. */
  #lineBytes = 0
  #digits = 0
  #size = 0
  #isAfterCr = false
  #trailerBytes = 0
  /** Bytes of what was read last that are behind the end. */
  behindBytes = 0

  /** `leftInChunk`: bytes that are left of the chunk that has begun, at least 1. */
  constructor(leftInChunk: number) {
    this.#left = leftInChunk
  }

  /** Takes what came; `onData` gets the data in it, piece by piece. */
  read(bytes: Uint8Array, onData: (data: Uint8Array) => void): ChunkedState {
    let at = 0
    while (at < bytes.length) {
      if (this.#at === 'data') {
        const data = bytes.subarray(at, at + this.#left)
        onData(data)
        at += data.length
        this.#left -= data.length
        if (this.#left === 0) this.#begin('dataEnd')
        continue
      }
      const state = this.#readByte(bytes[at]!)
      at += 1
      if (state === 'end') this.behindBytes = bytes.length - at
      if (state !== 'more') return state
    }
    return 'more'
  }

  #begin(what: 'data' | 'dataEnd' | 'size' | 'trailer'): void {
    this.#at = what
    this.#lineBytes = 0
    this.#digits = 0
    this.#size = 0
    this.#isAfterCr = false
  }

  #readByte(byte: number): ChunkedState {
    if (this.#isAfterCr) return byte === LF ? this.#endLine() : 'broken'
    if (byte === CR) {
      this.#isAfterCr = true
      return 'more'
    }
    this.#lineBytes += 1
    switch (this.#at) {
      case 'size':
        return this.#readSize(byte)
      case 'extension':
        return this.#lineBytes > sizeLineBytesMax || byte === LF ? 'broken' : 'more'
      case 'trailer':
        this.#trailerBytes += 1
        return this.#trailerBytes > trailerBytesMax || byte === LF ? 'broken' : 'more'
      default:
        return 'broken'
    }
  }

  #readSize(byte: number): ChunkedState {
    if ((byte === SEMICOLON || byte === SPACE || byte === TAB) && this.#digits > 0) {
      this.#at = 'extension'
      return 'more'
    }
    const digit = hexDigit(byte)
    this.#digits += 1
    // More than 2^40 bytes in one chunk is no upload.
    if (digit === undefined || this.#digits > 10) return 'broken'
    this.#size = this.#size * 16 + digit
    return 'more'
  }

  #endLine(): ChunkedState {
    switch (this.#at) {
      case 'dataEnd':
        this.#begin('size')
        return 'more'
      case 'size':
      case 'extension':
        if (this.#digits === 0) return 'broken'
        this.#left = this.#size
        this.#begin(this.#size === 0 ? 'trailer' : 'data')
        return 'more'
      default:
        if (this.#lineBytes === 0) return 'end'
        this.#begin('trailer')
        return 'more'
    }
  }
}

function hexDigit(byte: number): number | undefined {
  if (byte >= 48 && byte <= 57) return byte - 48
  const lower = byte | 0x20
  return lower >= 97 && lower <= 102 ? lower - 87 : undefined
}
