/**
 * @module A body in chunks (RFC 9112, section 7.1), decoded as it comes. Extensions and trailers are
 * read over, within bounds.
 */
import { garbage } from './http1-head.ts'

/** Longest line between chunks, bytes. */
const lineBytesMax = 4 * 1024

/** Most bytes of trailers. */
const trailerBytesMax = 64 * 1024

const LF = 0x0a

export class ChunkedBody {
  #state: 'size' | 'data' | 'after-data' | 'trailer' | 'over' = 'size'
  #line = ''
  #leftBytes = 0
  #trailerBytes = 0

  get isOver(): boolean {
    return this.#state === 'over'
  }

  /** Gives the data among the bytes to `onData`; returns how many bytes belong to the body. */
  take(bytes: Uint8Array, onData: (data: Uint8Array) => void): number {
    let at = 0
    while (at < bytes.byteLength && this.#state !== 'over') {
      if (this.#state === 'data') {
        const data = bytes.subarray(at, at + this.#leftBytes)
        at += data.byteLength
        this.#leftBytes -= data.byteLength
        if (this.#leftBytes === 0) this.#state = 'after-data'
        onData(data)
        continue
      }
      const end = bytes.indexOf(LF, at)
      const upTo = end === -1 ? bytes.byteLength : end + 1
      this.#line += Buffer.from(bytes.subarray(at, upTo)).toString('latin1')
      at = upTo
      if (this.#line.length > lineBytesMax) throw garbage('sends a chunk line without end')
      if (end !== -1) this.#takeLine()
    }
    return at
  }

  #takeLine(): void {
    const line = this.#line
    this.#line = ''
    if (!line.endsWith('\r\n')) throw garbage('ends a chunk line with a bare line feed')
    const text = line.slice(0, -2)
    switch (this.#state) {
      case 'size': {
        const match = /^([0-9A-Fa-f]{1,12})(?:[ \t]*;.*)?$/.exec(text)
        if (match === null) throw garbage('sends a chunk without a size')
        this.#leftBytes = Number.parseInt(match[1]!, 16)
        this.#state = this.#leftBytes === 0 ? 'trailer' : 'data'
        return
      }
      case 'after-data':
        if (text !== '') throw garbage('sends a chunk longer than its size')
        this.#state = 'size'
        return
      default:
        this.#trailerBytes += line.length
        if (this.#trailerBytes > trailerBytesMax) throw garbage('sends trailers without end')
        if (text === '') this.#state = 'over'
    }
  }
}
