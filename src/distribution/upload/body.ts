/**
 * @module The body of an upload request, as the use cases see it. `HttpRequest` of the engine port
 * is one; tests make their own.
 */
import { RegistryError } from '../../registry/errors.ts'
import type { LentSocket } from '../../runtime/lent-socket.ts'

export interface UploadBody {
  /** Content-Length; undefined when unknown (chunked). */
  readonly bodyBytes: number | undefined
  /** Fires when the client has left. */
  readonly signal?: AbortSignal
  /** Streams the body; chunks are valid only during the call. Rejects when the client leaves. */
  readBody(onChunk: (bytes: Uint8Array) => void): Promise<void>
  pause(): void
  resume(): void
  /**
   * Gives away the socket that the rest comes from, which is at least `bytesMin`; undefined where it
   * cannot, absent where it never can. Only inside `onChunk`, which is not called any more then.
   */
  readonly lend?: (bytesMin: number) => LentSocket | undefined
}

/** The same body, which throws what `onTooLarge` makes as soon as more than `bytesMax` have come. */
export function bounded(body: UploadBody, bytesMax: number, onTooLarge: () => Error): UploadBody {
  let received = 0
  return {
    bodyBytes: body.bodyBytes,
    ...(body.signal === undefined ? {} : { signal: body.signal }),
    readBody: (onChunk) => {
      if ((body.bodyBytes ?? 0) > bytesMax) throw onTooLarge()
      return body.readBody((bytes) => {
        received += bytes.byteLength
        if (received > bytesMax) throw onTooLarge()
        onChunk(bytes)
      })
    },
    pause: () => body.pause(),
    resume: () => body.resume(),
  }
}

/** What a body that is wanted whole may take: so long, and its size at so many bytes a second. */
const wholeMs = 30_000
const wholeBytesPerSecond = 16 * 1024

/**
 * Reads a body that is of no use before it is whole. Rejects with what `onLate` makes when it is not
 * there within 30 s and its size (what has come, where it is not announced) at 16 KiB a second.
 */
export async function readInTime(
  body: Pick<UploadBody, 'bodyBytes' | 'readBody'>,
  onChunk: (bytes: Uint8Array) => void,
  onLate: () => Error = tooSlow,
): Promise<void> {
  if (body.bodyBytes === 0) return body.readBody(onChunk)
  const startedAt = performance.now()
  let received = 0
  let timer: NodeJS.Timeout | undefined
  let isOver = false
  const late = new Promise<never>((_resolve, reject) => {
    const look = () => {
      const expected = body.bodyBytes ?? received
      const allowedMs = wholeMs + (expected / wholeBytesPerSecond) * 1000
      const leftMs = startedAt + allowedMs - performance.now()
      if (leftMs <= 0) reject(onLate())
      else timer = setTimeout(look, Math.ceil(leftMs))
    }
    look()
  })
  const whole = body.readBody((bytes) => {
    received += bytes.byteLength
    // Given up, the reader may have let go of its memory.
    if (!isOver) onChunk(bytes)
  })
  try {
    await Promise.race([whole, late])
  } finally {
    isOver = true
    clearTimeout(timer)
  }
}

function tooSlow(): RegistryError {
  return new RegistryError('BODY_TOO_SLOW')
}

/** A whole small body in memory. Throws what `onTooLarge` makes as soon as the bound is passed. */
export async function readWhole(
  body: UploadBody,
  bytesMax: number,
  onTooLarge: () => Error,
): Promise<Uint8Array> {
  if (body.bodyBytes !== undefined && body.bodyBytes > bytesMax) throw onTooLarge()
  const gathered = new Gathered(body.bodyBytes)
  await readInTime(body, (bytes) => {
    if (gathered.lengthBytes + bytes.byteLength > bytesMax) throw onTooLarge()
    gathered.append(bytes)
  })
  return gathered.whole()
}

/**
 * Bytes that come in pieces, in one buffer that doubles: a client that sends a byte at a time must
 * not cost an object for each.
 */
export class Gathered {
  readonly #expectedBytes: number | undefined
  #buffer = new Uint8Array(0)
  #lengthBytes = 0

  /** With `expectedBytes` the buffer fits exactly when as many have come. */
  constructor(expectedBytes?: number) {
    this.#expectedBytes = expectedBytes
  }

  get lengthBytes(): number {
    return this.#lengthBytes
  }

  append(bytes: Uint8Array): void {
    const needed = this.#lengthBytes + bytes.byteLength
    if (needed > this.#buffer.byteLength) this.#grow(needed)
    this.#buffer.set(bytes, this.#lengthBytes)
    this.#lengthBytes = needed
  }

  /** Everything so far, in an array of exactly its length: nothing else is in its buffer. */
  whole(): Uint8Array<ArrayBuffer> {
    if (this.#buffer.byteLength !== this.#lengthBytes) {
      this.#buffer = this.#buffer.slice(0, this.#lengthBytes)
    }
    return this.#buffer
  }

  /** Forgets what is behind `lengthBytes`. What `whole` gave away before stays as it was. */
  cut(lengthBytes: number): void {
    this.#buffer = this.#buffer.slice(0, lengthBytes)
    this.#lengthBytes = lengthBytes
  }

  #grow(needed: number): void {
    const capacity = Math.max(needed, 2 * this.#buffer.byteLength)
    const expected = this.#expectedBytes ?? 0
    const grown = new Uint8Array(expected >= needed ? Math.min(capacity, expected) : capacity)
    grown.set(this.#buffer.subarray(0, this.#lengthBytes))
    this.#buffer = grown
  }
}
