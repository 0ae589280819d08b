/**
 * @module One upload inside its worker: the file, the running hash, the offset. Each piece is hashed and
 * then written by the same thread: it is in the core's cache then, and no other thread has to wake up.
 */
import { dirname } from 'node:path'
import { type Algorithm, algorithmOf, type Digest } from '../../../registry/digest.ts'
import { createHasher, type Hasher } from '../../../registry/hasher.ts'
import { disk, type FileHandle } from '../../../runtime/disk.ts'
import type { Libc } from '../../../runtime/libc.ts'
import { damage } from '../../port.ts'
import { genuineTime } from './verify-file.ts'

/** Bytes that are hashed and then written: the core's cache holds them meanwhile. */
const hashedBytes = 256 * 1024

/**
 * Bytes of one write. Larger ones get larger pieces of memory from the kernel, which a virtual machine may
 * have given back to its host: a new file of 1 GiB then cost 1.1 s of CPU with 512 KiB, 1.7 s with 1 MiB and
 * 0.37 s with this.
 */
const writtenAtOnceBytes = 64 * 1024

/** Bytes after which the kernel is told to start writing back, so that the flush finds little. */
const writeBackBytes = 8 * 1024 * 1024

export class UploadFile {
  readonly #path: string
  readonly #algorithm: Algorithm
  readonly #file: FileHandle
  readonly #libc: Libc | undefined
  #hasher: Hasher
  #offsetBytes: number
  #writtenBackBytes: number
  #marked: { readonly offsetBytes: number; readonly hasher: Hasher | undefined } | undefined
  #writtenBytes: number
  #failure: unknown

  private constructor(
    path: string,
    algorithm: Algorithm,
    file: FileHandle,
    hasher: Hasher,
    offsetBytes: number,
    libc: Libc | undefined,
  ) {
    this.#path = path
    this.#algorithm = algorithm
    this.#file = file
    this.#hasher = hasher
    this.#offsetBytes = offsetBytes
    this.#writtenBackBytes = offsetBytes
    this.#writtenBytes = offsetBytes
    this.#libc = libc
  }

  /**
   * Opens the file, cuts it at `offsetBytes` and hashes what is left. Throws when it is shorter.
   * With `sizeBytes` it gets this length at once (a hole, no disk space).
   */
  static async open(
    path: string,
    algorithm: Algorithm,
    offsetBytes: number,
    libc: Libc | undefined,
    sizeBytes?: number,
  ): Promise<UploadFile> {
    const file = await disk.open(path, offsetBytes === 0 ? 'w+' : 'r+')
    try {
      if (offsetBytes > 0) {
        if ((await file.stat()).size < offsetBytes) throw damage('upload file is too short')
        await disk.truncate(file, offsetBytes)
      }
      const hasher = await hashPrefix(file, algorithm, offsetBytes)
      if (sizeBytes !== undefined) await disk.truncate(file, sizeBytes)
      return new UploadFile(path, algorithm, file, hasher, offsetBytes, libc)
    } catch (error) {
      await file.close()
      throw error
    }
  }

  get offsetBytes(): number {
    return this.#offsetBytes
  }

  /** Bytes from the start without a gap that have reached the operating system. */
  get writtenBytes(): number {
    return this.#writtenBytes
  }

  /** Whether a write has failed since the last rollback. */
  get isBroken(): boolean {
    return this.#failure !== undefined
  }

  /**
   * Hashes and writes. Once a write has failed, nothing more is written until a rollback (`isBroken`); the
   * hash goes on, so that it can still be said whether what came was right.
   */
  append(bytes: Uint8Array): void {
    for (let start = 0; start < bytes.byteLength; start += hashedBytes) {
      const piece = bytes.subarray(start, start + hashedBytes)
      this.#hasher.update(piece)
      if (!this.isBroken) this.#write(piece)
      this.#offsetBytes += piece.byteLength
    }
  }

  #write(piece: Uint8Array): void {
    try {
      for (let done = 0; done < piece.byteLength; ) {
        const part = piece.subarray(done, done + writtenAtOnceBytes)
        done += disk.writeNow(this.#file, part, this.#offsetBytes + done)
      }
      this.#writtenBytes += piece.byteLength
    } catch (error) {
      this.#failure = error
    }
  }

  /** Every byte so far has reached the operating system, or this throws what failed. */
  settle(): void {
    if (this.#failure !== undefined) throw this.#failure
    this.#startWriteBack()
  }

  /** Called between chunks: flushing at the end then waits for little. */
  #startWriteBack(): void {
    const length = this.#offsetBytes - this.#writtenBackBytes
    if (length <= 0 || this.#libc === undefined) return
    this.#libc.startWriteBack(this.#file.fd, this.#writtenBackBytes, length)
    this.#writtenBackBytes = this.#offsetBytes
  }

  /** Starts write-back once enough has come in since the last time. */
  relieve(): void {
    if (this.#offsetBytes - this.#writtenBackBytes >= writeBackBytes) this.#startWriteBack()
  }

  mark(): void {
    this.#marked = { offsetBytes: this.#offsetBytes, hasher: this.#hasher.copy() }
  }

  /** Returns to the mark: the file is cut, the hash is as it was, a failed write is forgotten. */
  async rollback(): Promise<void> {
    const marked = this.#marked
    if (marked === undefined) throw new Error('rollback without a mark')
    await disk.truncate(this.#file, marked.offsetBytes)
    const { offsetBytes } = marked
    this.#hasher =
      marked.hasher?.copy() ?? (await hashPrefix(this.#file, this.#algorithm, offsetBytes))
    this.#offsetBytes = offsetBytes
    this.#writtenBackBytes = Math.min(this.#writtenBackBytes, offsetBytes)
    this.#failure = undefined
    this.#writtenBytes = offsetBytes
  }

  /** The digest of everything so far; re-reads the file only for another algorithm. */
  async digest(algorithm: Algorithm): Promise<Digest> {
    const running = algorithm === this.#algorithm ? this.#hasher.copy() : undefined
    const hasher = running ?? (await hashPrefix(this.#file, algorithm, this.#offsetBytes))
    return hasher.digest()
  }

  /**
   * Compares, flushes, renames, flushes the folder. Returns the actual digest when it is another
   * one (and leaves the file). Durable when it resolves, if `isFlushed`.
   */
  async commit(expected: Digest, target: string, isFlushed: boolean): Promise<Digest> {
    this.settle()
    const time = genuineTime(Date.now())
    await this.#file.utimes(time, time)
    const flushing = isFlushed ? disk.flush(this.#file) : undefined
    // The comparison may re-read the file; the flush runs meanwhile. Neither is left unawaited.
    const [actual] = await Promise.all([this.digest(algorithmOf(expected)), flushing])
    if (actual !== expected) return actual
    await this.#file.close()
    await moveInto(this.#path, target)
    if (isFlushed) await disk.flushFolder(dirname(target))
    return actual
  }

  async close(): Promise<void> {
    await this.#file.close().catch(() => undefined)
  }

  async discard(): Promise<void> {
    await this.close()
    await disk.unlink(this.#path)
  }
}

/** Bytes read at once when a prefix is hashed anew. */
const readBytes = 1024 * 1024

async function hashPrefix(
  file: FileHandle,
  algorithm: Algorithm,
  lengthBytes: number,
): Promise<Hasher> {
  const hasher = createHasher(algorithm)
  const buffer = new Uint8Array(Math.min(readBytes, lengthBytes))
  let done = 0
  while (done < lengthBytes) {
    const wanted = buffer.subarray(0, Math.min(buffer.byteLength, lengthBytes - done))
    const count = await disk.read(file, wanted, done)
    if (count === 0) throw new Error('upload file ended early')
    hasher.update(wanted.subarray(0, count))
    done += count
  }
  return hasher
}

/** Renames, making the folder (and its name durable) when this is its first blob. */
export async function moveInto(path: string, target: string): Promise<void> {
  try {
    await disk.rename(path, target)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    const folder = dirname(target)
    await disk.makeFolder(folder)
    await disk.flushFolder(dirname(folder))
    await disk.flushFolder(dirname(dirname(folder)))
    await disk.rename(path, target)
  }
}
