/**
 * @module The twin of `blobs/files/mapped-reader.ts` for machines where files cannot be mapped: reads windows
 * asynchronously into buffers of a bounded pool. Same port, same promises, slower.
 */

import type { Digest } from '../../registry/digest.ts'
import { windowBytesMax } from '../../registry/limits.ts'
import { disk, type FileHandle } from '../../runtime/disk.ts'
import type { DriverReader, Promised } from '../driver.ts'
import { type BlobSource, damage, type OpenFile } from '../port.ts'
import { type BlobPaths, blobPath } from './layout.ts'
import { isWrittenAfter } from './worker/verify-file.ts'

/** Window read at once, bytes: half the bound, because every reader holds one. */
const readBytesMax = windowBytesMax / 2

/** Resolves when the blob's file is its digest; rejects with `EDAMAGED` when it is not. */
export type VerifyBlob = (digest: Digest, row: Promised) => Promise<void>

export class BlobFiles implements DriverReader {
  readonly kind = 'file'
  readonly slowBecause: string | undefined
  readonly mappedBytes = 0
  readonly #paths: BlobPaths
  readonly #buffers: BufferPool

  readonly #verify: VerifyBlob

  /**
   * `cacheBytes` bounds the buffers of all readers; a reader without one waits its turn. `verify`
   * compares a file with its digest on another thread. `slowBecause`: why files are not mapped.
   */
  constructor(paths: BlobPaths, cacheBytes: number, verify: VerifyBlob, slowBecause?: string) {
    this.slowBecause = slowBecause
    this.#verify = verify
    this.#paths = paths
    this.#buffers = new BufferPool(Math.max(8, Math.floor(cacheBytes / readBytesMax)))
  }

  /**
   * A file that is no blob yet, opened once for all its readers: it may get another name meanwhile.
   * Nobody reads further than is asked for.
   */
  async openPath(path: string, sizeBytes: number): Promise<OpenFile> {
    const file = await disk.open(path, 'r')
    let users = 1
    const leave = () => {
      users -= 1
      if (users === 0) file.close().catch(() => undefined)
    }
    const lend = () => {
      users += 1
      return new FileReader(file, sizeBytes, undefined, this.#buffers, leave)
    }
    return { lend, close: leave }
  }

  read(digest: Digest, { sizeBytes }: Promised): Promise<Uint8Array> {
    return readWholeFile(blobPath(this.#paths, digest), sizeBytes)
  }

  isRead(): boolean {
    return false
  }

  /** Nothing is cached. */
  forget(): void {}

  async open(digest: Digest, row: Promised): Promise<BlobSource> {
    let file: FileHandle | undefined
    try {
      file = await disk.open(blobPath(this.#paths, digest), 'r')
      const stats = await file.stat()
      if (stats.size !== row.sizeBytes) {
        const message = `file holds ${stats.size} bytes, its row says ${row.sizeBytes}`
        throw damage(message)
      }
      if (isWrittenAfter(stats, row.createdAt)) await this.#verify(digest, row)
      const { mtimeMs } = await file.stat()
      return new FileReader(file, row.sizeBytes, mtimeMs, this.#buffers)
    } catch (error) {
      await file?.close()
      throw error
    }
  }
}

/** The bytes of a file that has so many. Rejects with `EDAMAGED` when it has not. */
export async function readWholeFile(path: string, sizeBytes: number): Promise<Uint8Array> {
  const file = await disk.open(path, 'r')
  try {
    const { size } = await file.stat()
    if (size !== sizeBytes) throw damage(`file holds ${size} bytes, its row says ${sizeBytes}`)
    const bytes = new Uint8Array(sizeBytes)
    for (let done = 0; done < sizeBytes; ) {
      const count = await disk.read(file, bytes.subarray(done), done)
      if (count === 0) throw damage(`file ended after ${done} of ${sizeBytes} bytes`)
      done += count
    }
    return bytes
  } finally {
    await file.close()
  }
}

class FileReader implements BlobSource {
  readonly sizeBytes: number
  readonly #file: FileHandle
  readonly #buffers: BufferPool
  /** When the file was last written to; undefined while it grows. */
  readonly #modifiedMs: number | undefined
  readonly #onClose: () => void
  #buffer: Uint8Array | undefined
  #windowOffset = 0
  #windowBytes = 0
  #reading: Promise<void> | undefined
  #isClosed = false

  /**
   * `modifiedMs` undefined: the file grows; bytes behind those asked for are not there yet, and must
   * not be read ahead.
   */
  constructor(
    file: FileHandle,
    sizeBytes: number,
    modifiedMs: number | undefined,
    buffers: BufferPool,
    onClose: () => void = () => void file.close().catch(() => undefined),
  ) {
    this.#onClose = onClose
    this.#file = file
    this.#modifiedMs = modifiedMs
    this.sizeBytes = sizeBytes
    this.#buffers = buffers
  }

  ready(offset: number, length: number): number | Promise<void> {
    const inWindow = offset - this.#windowOffset
    if (inWindow >= 0 && inWindow < this.#windowBytes) {
      return Math.min(length, this.#windowBytes - inWindow)
    }
    this.#reading ??= this.#read(offset, length).finally(() => {
      this.#reading = undefined
    })
    return this.#reading
  }

  async #read(offset: number, length: number): Promise<void> {
    this.#buffer ??= await this.#buffers.take()
    if (this.#isClosed) return this.#release()
    const modifiedMs = this.#modifiedMs
    const isGrowing = modifiedMs === undefined
    const wanted = isGrowing ? this.#buffer.subarray(0, length) : this.#buffer
    const bytesRead = await disk.read(this.#file, wanted, offset)
    if (bytesRead === 0) throw new Error(`file ended before byte ${offset}`)
    if (!isGrowing && (await this.#file.stat()).mtimeMs !== modifiedMs) {
      throw new Error('file was written to while it was served')
    }
    this.#windowOffset = offset
    this.#windowBytes = bytesRead
    if (this.#isClosed) this.#release()
  }

  use<R>(offset: number, length: number, callback: (bytes: Uint8Array) => R): R {
    const start = offset - this.#windowOffset
    return callback(this.#buffer!.subarray(start, start + length))
  }

  close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    if (this.#reading === undefined) this.#release()
    this.#onClose()
  }

  #release(): void {
    if (this.#buffer !== undefined) this.#buffers.give(this.#buffer)
    this.#buffer = undefined
    this.#windowBytes = 0
  }
}

/** A fixed number of equal buffers; whoever comes when none is left waits in line. */
class BufferPool {
  readonly #free: Uint8Array[] = []
  readonly #waiting: ((buffer: Uint8Array) => void)[] = []
  #canMake: number

  constructor(count: number) {
    this.#canMake = count
  }

  take(): Promise<Uint8Array> {
    const buffer = this.#free.pop()
    if (buffer !== undefined) return Promise.resolve(buffer)
    if (this.#canMake > 0) {
      this.#canMake -= 1
      return Promise.resolve(new Uint8Array(readBytesMax))
    }
    return new Promise((resolve) => this.#waiting.push(resolve))
  }

  give(buffer: Uint8Array): void {
    const next = this.#waiting.shift()
    if (next === undefined) this.#free.push(buffer)
    else next(buffer)
  }
}
