/**
 * @module The body of an upload request, as the use cases see it. `HttpRequest` of the engine port
 * is one; tests make their own.
 */

export interface UploadBody {
  /** Content-Length; undefined when unknown (chunked). */
  readonly bodyBytes: number | undefined
  /** Fires when the client has left. */
  readonly signal?: AbortSignal
  /** Streams the body; chunks are valid only during the call. Rejects when the client leaves. */
  readBody(onChunk: (bytes: Uint8Array) => void): Promise<void>
  pause(): void
  resume(): void
}

/** A whole small body in memory. Throws what `onTooLarge` makes as soon as the bound is passed. */
export async function readWhole(
  body: UploadBody,
  bytesMax: number,
  onTooLarge: () => Error,
): Promise<Uint8Array> {
  if (body.bodyBytes !== undefined && body.bodyBytes > bytesMax) throw onTooLarge()
  const gathered = new Gathered(body.bodyBytes)
  await body.readBody((bytes) => {
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
