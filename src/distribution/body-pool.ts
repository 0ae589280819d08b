/**
 * @module Memory for the bodies of large manifests that is used again and again. A new buffer of some
 * megabytes for each makes V8 collect the whole heap each time (measured: 13 ms, in which nobody is
 * answered). The memory is shared, so that the threads that read and write the manifest need no copy
 * of the whole buffer either.
 */
import { RegistryError } from '../registry/errors.ts'
import { Gathered, readInTime, type UploadBody } from './upload/body.ts'

/** Buffers at most; who finds none takes ordinary memory. */
const buffersMax = 4

export class BodyPool {
  /** Size of each buffer, bytes: the largest body that is read into one. */
  readonly bufferBytes: number
  readonly #free: SharedArrayBuffer[] = []
  #taken = 0

  constructor(bufferBytes: number) {
    this.bufferBytes = bufferBytes
  }

  /** A buffer with old content; undefined when too many are in use. */
  take(): SharedArrayBuffer | undefined {
    if (this.#taken === buffersMax) return undefined
    this.#taken += 1
    return this.#free.pop() ?? new SharedArrayBuffer(this.bufferBytes)
  }

  /** The caller and every thread that he showed it to have no more use for it. */
  give(buffer: SharedArrayBuffer): void {
    this.#taken -= 1
    this.#free.push(buffer)
  }

  /** Somebody may still read it: it is left to the garbage collector. */
  abandon(): void {
    this.#taken -= 1
  }
}

/** Bodies up to here take ordinary memory, bytes. */
const pooledFromBytes = 64 * 1024

/**
 * As `readWhole`, for bodies that may be megabytes: `use` gets them, in memory of the pool that is
 * used anew when it has settled. The bound is the size of the pool's buffers. A failure that is no
 * refusal may mean that another thread still reads them; then their memory is given up.
 */
export async function withWhole<T>(
  body: UploadBody,
  pool: BodyPool,
  onTooLarge: () => Error,
  use: (bytes: Uint8Array) => Promise<T>,
): Promise<T> {
  const bytesMax = pool.bufferBytes
  if (body.bodyBytes !== undefined && body.bodyBytes > bytesMax) throw onTooLarge()
  const small = new Gathered(body.bodyBytes)
  let large: { readonly memory: SharedArrayBuffer; readonly buffer: Buffer } | undefined
  let lengthBytes = 0
  let isShown = false
  const append = (bytes: Uint8Array) => {
    const end = lengthBytes + bytes.byteLength
    if (end > bytesMax) throw onTooLarge()
    if (large === undefined && end > pooledFromBytes && small.lengthBytes === lengthBytes) {
      const memory = pool.take()
      if (memory !== undefined) {
        large = { memory, buffer: Buffer.from(memory) }
        // `set` copies into shared memory byte by byte where addresses are odd; `fill` is a memcpy.
        if (lengthBytes > 0) large.buffer.fill(small.whole(), 0, lengthBytes)
      }
    }
    if (large === undefined) small.append(bytes)
    else if (end > lengthBytes) large.buffer.fill(bytes, lengthBytes, end)
    lengthBytes = end
  }
  try {
    await readInTime(body, append)
    isShown = true
    const used = await use(large?.buffer.subarray(0, lengthBytes) ?? small.whole())
    isShown = false
    return used
  } catch (error) {
    if (error instanceof RegistryError && error.status < 500) isShown = false
    throw error
  } finally {
    if (large !== undefined) {
      if (isShown) pool.abandon()
      else pool.give(large.memory)
    }
  }
}
