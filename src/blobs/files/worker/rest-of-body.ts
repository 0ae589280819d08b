/**
 * @module What is left of a body that is read from its socket: which bytes are data, and where it ends.
 */
import type { LentEnd, LentRest } from '../../../runtime/lent-socket.ts'
import { ChunkedBody } from './chunked-body.ts'

export interface RestOfBody {
  /** How much may be read at once, bytes; 0 when it has ended. */
  readonly wantedBytes: number
  /** How it has ended; undefined while it has not. */
  readonly end: LentEnd | undefined
  /** The data in what was read, at its beginning: the rest of the buffer is of no use any more. */
  take(read: Uint8Array): Uint8Array
}

export function restOfBody(rest: LentRest): RestOfBody {
  return rest.kind === 'length' ? new RestOfLength(rest.bytes) : new RestOfChunks(rest.leftInChunk)
}

class RestOfLength implements RestOfBody {
  wantedBytes: number

  constructor(bytes: number) {
    this.wantedBytes = bytes
  }

  get end(): LentEnd | undefined {
    return this.wantedBytes === 0 ? 'whole' : undefined
  }

  take(read: Uint8Array): Uint8Array {
    this.wantedBytes -= read.length
    return read
  }
}

class RestOfChunks implements RestOfBody {
  readonly #body: ChunkedBody
  end: LentEnd | undefined

  constructor(leftInChunk: number) {
    this.#body = new ChunkedBody(leftInChunk)
  }

  get wantedBytes(): number {
    return this.end === undefined ? Number.POSITIVE_INFINITY : 0
  }

  /** Data move together over the frames between them: one write and one hash for all. */
  take(read: Uint8Array): Uint8Array {
    let filled = 0
    const state = this.#body.read(read, (data) => {
      const from = data.byteOffset - read.byteOffset
      if (from !== filled) read.copyWithin(filled, from, from + data.length)
      filled += data.length
    })
    if (state === 'broken') this.end = 'gone'
    else if (state === 'end') this.end = this.#body.behindBytes > 0 ? 'overrun' : 'whole'
    return read.subarray(0, filled)
  }
}
