/**
 * @module Sends the view of this node: a consistent copy first, on the same disk, beside running reads and
 * writes; then its bytes as fast as the receiver takes them.
 */
import { createHash } from 'node:crypto'
import { mkdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { disk, type FileHandle } from '../../../runtime/disk.ts'
import { schemaVersion } from '../../schema.ts'
import type { LmdbEnvironment } from '../environment.ts'
import {
  encodeSnapshotHeader,
  hashBytes,
  requireRoomFor,
  SnapshotError,
  type SnapshotHeader,
  type SnapshotRoom,
  snapshotFolders,
  snapshotFormat,
  viewFile,
} from './format.ts'

/** Bytes of a piece of the stream, at most. */
const pieceBytes = 256 * 1024

export interface SnapshotSenderOptions {
  /** Open for as long as the sender is used. */
  readonly environment: Pick<LmdbEnvironment, 'copyTo'>
  /** The folder of the environment. */
  readonly metadata: string
  readonly cluster: string
  readonly room: SnapshotRoom
}

/** A copy that is ready to be sent. It takes its space on the disk until it is closed. */
export interface Snapshot {
  readonly header: SnapshotHeader
  /** Of the whole stream. */
  readonly streamBytes: number
  /** The stream, once. It reads as it is asked; ending it early is allowed. Closes the snapshot at its end. */
  bytes(): AsyncGenerator<Uint8Array, void, undefined>
  /** Gives the space back. A second time does nothing. */
  close(): Promise<void>
}

export class SnapshotSender {
  readonly #options: SnapshotSenderOptions
  #isBusy = false

  constructor(options: SnapshotSenderOptions) {
    this.#options = options
  }

  /**
   * Copies the view as it is now. One at a time: throws a SnapshotError 'busy' until the last one was closed,
   * and 'no-room' where the disk may not take the copy, whose size is at most that of the view. Nothing
   * stays when it throws; what a process that died has left goes with `installSnapshot` or the next one.
   */
  async take(): Promise<Snapshot> {
    if (this.#isBusy) throw new SnapshotError('busy', 'another snapshot is being sent; try later')
    this.#isBusy = true
    const { copy } = snapshotFolders(this.#options.metadata)
    let file: FileHandle | undefined
    try {
      file = await this.#copyTo(copy)
      const sizeBytes = (await file.stat()).size
      return this.#snapshotOf(file, sizeBytes)
    } catch (error) {
      await file?.close()
      this.#isBusy = false
      throw error
    } finally {
      // The open file keeps its bytes for as long as it is read, and loses them with this process.
      await rm(copy, { recursive: true, force: true })
    }
  }

  async #copyTo(folder: string): Promise<FileHandle> {
    const { environment, metadata, room } = this.#options
    await rm(folder, { recursive: true, force: true })
    const { size } = await stat(join(metadata, viewFile))
    requireRoomFor(size, room)
    await mkdir(folder, { mode: 0o750 })
    try {
      await environment.copyTo(folder)
    } catch (error) {
      const isFull = /ENOSPC|no space left/i.test(String(error))
      if (!isFull) throw error
      throw new SnapshotError('no-room', 'the disk ran full while a snapshot was copied', {
        cause: error,
      })
    }
    return disk.open(join(folder, viewFile), 'r')
  }

  #snapshotOf(file: FileHandle, sizeBytes: number): Snapshot {
    const { cluster } = this.#options
    const header = { format: snapshotFormat, cluster, schemaVersion, sizeBytes } as const
    const start = encodeSnapshotHeader(header)
    let isOpen = true
    const close = async () => {
      if (!isOpen) return
      isOpen = false
      await file.close()
      this.#isBusy = false
    }
    async function* bytes() {
      const hash = createHash('sha256').update(start)
      try {
        yield start
        for await (const piece of piecesOf(file, sizeBytes)) {
          hash.update(piece)
          yield piece
        }
        yield hash.digest()
      } finally {
        await close()
      }
    }
    return { header, streamBytes: start.length + sizeBytes + hashBytes, bytes, close }
  }
}

/** Each piece is a buffer of its own: a socket may hold it for as long as it likes. */
async function* piecesOf(file: FileHandle, sizeBytes: number): AsyncGenerator<Buffer> {
  let position = 0
  while (position < sizeBytes) {
    const piece = Buffer.allocUnsafe(Math.min(pieceBytes, sizeBytes - position))
    const count = await disk.read(file, piece, position)
    if (count === 0) throw new Error('the copy of the view is shorter than it was')
    yield piece.subarray(0, count)
    position += count
  }
}
