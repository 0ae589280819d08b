/**
 * @module Uploads on their way to files, seen from the main thread: copies each chunk once into a
 * pooled buffer, hands full buffers to the worker that owns the upload, and says when the socket
 * has to wait.
 */

import type { MessagePort } from 'node:worker_threads'
import type { Algorithm, Digest } from '../../registry/digest.ts'
import { requireDigest } from '../../registry/digest-mismatch.ts'
import { storageFault } from '../../registry/disk-fault.ts'
import { RegistryError } from '../../registry/errors.ts'
import {
  chunkBytesMax,
  sessionInFlightBytesMax,
  totalInFlightBytesMax,
} from '../../registry/limits.ts'
import { disk } from '../../runtime/disk.ts'
import type { LentSocket } from '../../runtime/lent-socket.ts'
import { WorkerError } from '../../runtime/worker-failure.ts'
import type { LongTask, WorkerPool } from '../../runtime/worker-pool.ts'
import type { DriverWriter } from '../driver.ts'
import type { GrowingBlob, OpenFile, PendingBlob, Received, Room, UploadTail } from '../port.ts'
import { ChunkPool } from './chunk-pool.ts'
import { HeldChunks } from './held-chunks.ts'
import { type BlobPaths, blobPath, uploadPath } from './layout.ts'
import type { IngestReply, IngestRequest } from './worker/messages.ts'

/** How often one who follows hears of bytes that a worker reads from a socket: each message costs 0.1 ms. */
const followedBytes = 4 * 1024 * 1024

/** Omit over each member of the union. */
type WithoutId<R> = R extends { readonly id: number } ? Omit<R, 'id'> : never

export interface FileWriterOptions {
  readonly paths: BlobPaths
  readonly workers: WorkerPool
  /** False is the relaxed durability: files are left to the kernel's own time. */
  readonly isFlushed: boolean
  readonly room: Room
  /** Opens a file that is no blob yet: the reader's matter. */
  readonly openPath: (path: string, sizeBytes: number) => Promise<OpenFile>
}

export class FileBlobWriter implements DriverWriter {
  readonly #paths: BlobPaths
  readonly #workers: WorkerPool
  readonly #isFlushed: boolean
  readonly #openPath: FileWriterOptions['openPath']
  readonly room: Room
  readonly #chunks = new ChunkPool(chunkBytesMax, totalInFlightBytesMax)

  constructor({ paths, workers, isFlushed, room, openPath }: FileWriterOptions) {
    this.#paths = paths
    this.#workers = workers
    this.#isFlushed = isFlushed
    this.room = room
    this.#openPath = openPath
  }

  get isOverBudget(): boolean {
    return this.#chunks.isOverBudget
  }

  adopt(uploadId: string, algorithm: Algorithm, offsetBytes: number): PendingBlob {
    return this.#start(uploadId, algorithm, offsetBytes, undefined, undefined)
  }

  /** See `GrowingBlobs`. */
  grow(
    uploadId: string,
    algorithm: Algorithm,
    offsetBytes: number,
    sizeBytes: number | undefined,
  ): GrowingBlob {
    const held = new HeldChunks(this.#chunks)
    return this.#start(uploadId, algorithm, offsetBytes, sizeBytes, held)
  }

  #start(
    uploadId: string,
    algorithm: Algorithm,
    offsetBytes: number,
    sizeBytes: number | undefined,
    held: HeldChunks | undefined,
  ): WorkerUpload {
    if (!this.#workers.hasRoom) {
      throw new RegistryError('UPLOADS_BUSY')
    }
    const path = uploadPath(this.#paths, uploadId)
    const task = this.#workers.start({ path, algorithm, offsetBytes, sizeBytes })
    const target = (digest: Digest) => blobPath(this.#paths, digest)
    return new WorkerUpload(task, this.#chunks, held, offsetBytes, target, this.#isFlushed)
  }

  openGrowing(uploadId: string, sizeBytes: number): Promise<OpenFile> {
    return this.#openPath(uploadPath(this.#paths, uploadId), sizeBytes)
  }

  async openTail(uploadId: string): Promise<UploadTail> {
    const file = await disk.open(uploadPath(this.#paths, uploadId), 'r')
    return {
      read: (into, offset) => disk.read(file, into, offset),
      // It waits for a read that is under way.
      close: () => void file.close().catch(() => undefined),
    }
  }

  async discardFile(uploadId: string): Promise<void> {
    await disk.unlink(uploadPath(this.#paths, uploadId))
  }
}

class WorkerUpload implements GrowingBlob {
  readonly #port: MessagePort
  readonly #chunks: ChunkPool
  /** Of a blob that is read while it grows; undefined: buffers are handed over to the worker. */
  readonly #held: HeldChunks | undefined
  readonly #target: (digest: Digest) => string
  readonly #isFlushed: boolean
  readonly #asked = new Map<
    number,
    { resolve: (reply: IngestReply) => void; reject: (error: unknown) => void }
  >()
  #filling: Buffer | undefined
  #filledBytes = 0
  #inFlightBytes = 0
  /** Of buffers taken from the pool and not back yet: being filled or with the worker. */
  #bytesAway = 0
  #offsetBytes: number
  #markedBytes = 0
  #nextId = 1
  #writtenBytes: number
  #onWritten: ((isBroken: boolean) => void) | undefined
  #isFollowed = false
  #onDrained: (() => void) | undefined
  #gone: Error | undefined
  /** Whose rest the worker reads by itself. */
  #receiving: LentSocket | undefined

  constructor(
    task: LongTask,
    chunks: ChunkPool,
    held: HeldChunks | undefined,
    offsetBytes: number,
    target: (digest: Digest) => string,
    isFlushed: boolean,
  ) {
    this.#port = task.port
    this.#chunks = chunks
    this.#held = held
    this.#offsetBytes = offsetBytes
    this.#writtenBytes = offsetBytes
    this.#target = target
    this.#isFlushed = isFlushed
    this.#port.on('message', (reply: IngestReply) => this.#onReply(reply))
    task.ended.then(
      () => this.#onGone(new Error('upload worker has ended')),
      (error: unknown) => this.#onGone(new Error(`upload worker died: ${String(error)}`)),
    )
  }

  get offsetBytes(): number {
    return this.#offsetBytes
  }

  get writtenBytes(): number {
    return this.#writtenBytes
  }

  heldAt(offset: number): Uint8Array | undefined {
    return this.#held?.at(offset)
  }

  onWritten(listener: (isBroken: boolean) => void): void {
    this.#onWritten = listener
  }

  follow(onWritten: (writtenBytes: number) => void): void {
    this.#isFollowed = true
    this.#onWritten = (isBroken) => {
      if (!isBroken) onWritten(this.#writtenBytes)
    }
  }

  give(bytes: Uint8Array<ArrayBuffer>): void {
    if (this.#gone !== undefined) throw storageFault(this.#gone)
    if (bytes.byteLength === 0) return
    if (this.#held !== undefined) return this.append(bytes)
    this.#sendFilled()
    this.#offsetBytes += bytes.byteLength
    this.#bytesAway += this.#chunks.count(bytes.buffer)
    this.#filling = Buffer.from(bytes.buffer)
    this.#filledBytes = bytes.byteLength
    this.#sendFilled()
  }

  append(bytes: Uint8Array): void {
    if (this.#gone !== undefined) throw storageFault(this.#gone)
    const start = this.#offsetBytes
    this.#offsetBytes += bytes.byteLength
    let taken = 0
    while (taken < bytes.byteLength) {
      this.#filling ??= this.#takeChunk(start + taken, bytes.byteLength - taken)
      const room = this.#filling.byteLength - this.#filledBytes
      const part = bytes.subarray(taken, taken + room)
      // `set` copies into shared memory byte by byte where addresses are odd; `fill` is a memcpy.
      this.#filling.fill(part, this.#filledBytes, this.#filledBytes + part.byteLength)
      this.#filledBytes += part.byteLength
      this.#held?.grow(this.#filledBytes)
      taken += part.byteLength
      if (this.#filledBytes === this.#filling.byteLength) this.#sendFilled()
    }
    // As Nagle does: fill buffers while one is on its way, hold none back from an idle worker.
    if (this.#inFlightBytes === 0) this.#sendFilled()
  }

  /** What an idle worker is waiting for goes at once, in a buffer of just its size. */
  #takeChunk(start: number, bytes: number): Buffer {
    if (this.#held !== undefined) return this.#held.begin(start)
    const buffer = this.#chunks.take(this.#inFlightBytes === 0 ? bytes : undefined)
    this.#bytesAway += buffer.byteLength
    return Buffer.from(buffer)
  }

  #sendFilled(): void {
    if (this.#filling === undefined) return
    const { buffer } = this.#filling
    const length = this.#filledBytes
    this.#filling = undefined
    this.#filledBytes = 0
    this.#inFlightBytes += length
    if (buffer instanceof ArrayBuffer) this.#post({ kind: 'chunk', buffer, length }, [buffer])
    else this.#post({ kind: 'shared-chunk', buffer: buffer as SharedArrayBuffer, length })
  }

  async receive(socket: LentSocket): Promise<Received> {
    this.#sendFilled()
    const { descriptor, rest } = socket
    const id = this.#nextId
    socket.onCut = () => this.#post({ kind: 'stop-receiving', id })
    this.#receiving = socket
    const told = this.#isFollowed ? { toldBytes: followedBytes } : {}
    const reply = await this.#ask({ kind: 'receive', descriptor, rest, ...told })
    this.#receiving = undefined
    const { bytes, end } = reply as IngestReply & { kind: 'received' }
    socket.receivedBytes = bytes
    this.#offsetBytes += bytes
    return { bytes, end }
  }

  mustPause(onDrained: () => void): boolean {
    if (this.#inFlightBytes < sessionInFlightBytesMax && !this.#chunks.isOverBudget) return false
    if (this.#inFlightBytes === 0) {
      this.#chunks.whenFree(onDrained)
      return true
    }
    this.#onDrained = onDrained
    return true
  }

  async settle(): Promise<void> {
    this.#sendFilled()
    await this.#ask({ kind: 'settle' })
  }

  mark(): void {
    this.#sendFilled()
    this.#markedBytes = this.#offsetBytes
    this.#post({ kind: 'mark' })
  }

  async rollback(): Promise<void> {
    this.#sendFilled()
    await this.#ask({ kind: 'rollback' })
    this.#offsetBytes = this.#markedBytes
    this.#writtenBytes = Math.min(this.#writtenBytes, this.#markedBytes)
  }

  async verify(digest: Digest): Promise<void> {
    this.#sendFilled()
    refuseMismatch(digest, await this.#ask({ kind: 'verify', digest }))
  }

  async commit(digest: Digest): Promise<void> {
    this.#sendFilled()
    const target = this.#target(digest)
    const reply = await this.#ask({ kind: 'commit', digest, target, isFlushed: this.#isFlushed })
    refuseMismatch(digest, reply)
    // The file has its name; all that is left of the upload is its task.
    this.park()
  }

  park(): void {
    this.#end({ kind: 'park' })
  }

  discard(): void {
    this.#end({ kind: 'discard' })
  }

  #end(request: IngestRequest): void {
    this.#sendFilled()
    this.#post(request)
    this.#gone ??= new Error('upload was let go')
  }

  #ask(request: WithoutId<IngestRequest>): Promise<IngestReply> {
    if (this.#gone !== undefined) return Promise.reject(storageFault(this.#gone))
    const id = this.#nextId++
    return new Promise((resolve, reject) => {
      this.#asked.set(id, { resolve, reject })
      this.#post({ ...request, id } as IngestRequest)
    })
  }

  #post(request: IngestRequest, transfer: ArrayBuffer[] = []): void {
    this.#port.postMessage(request, transfer)
  }

  #onReply(reply: IngestReply): void {
    if (reply.kind === 'buffer') {
      if (reply.buffer !== undefined) {
        this.#bytesAway -= reply.buffer.byteLength
        this.#chunks.give(reply.buffer)
      }
      this.#inFlightBytes -= reply.length
      if (this.#inFlightBytes === 0) this.#sendFilled()
      this.#onMore(reply.writtenBytes)
      if (reply.isBroken) this.#onWritten?.(true)
      if (this.#inFlightBytes < sessionInFlightBytesMax / 2) this.#wake()
      return
    }
    if (reply.kind === 'receiving') {
      if (this.#receiving !== undefined) this.#receiving.receivedBytes = reply.bytes
      if (this.#isFollowed) this.#onMore(reply.writtenBytes)
      return
    }
    const asked = this.#asked.get(reply.id)!
    this.#asked.delete(reply.id)
    if (reply.kind === 'failed') asked.reject(storageFault(new WorkerError(reply.failure)))
    else asked.resolve(reply)
  }

  #onMore(writtenBytes: number): void {
    if (writtenBytes <= this.#writtenBytes) return
    this.#writtenBytes = writtenBytes
    this.#held?.release(writtenBytes)
    this.#onWritten?.(false)
  }

  #wake(): void {
    const onDrained = this.#onDrained
    this.#onDrained = undefined
    onDrained?.()
  }

  #onGone(error: Error): void {
    this.#gone ??= error
    for (const asked of this.#asked.values()) asked.reject(storageFault(error))
    this.#asked.clear()
    // Buffers that were with the worker are lost with it; the budget gets them back.
    this.#chunks.forget(this.#bytesAway)
    this.#held?.drop()
    this.#bytesAway = 0
    this.#inFlightBytes = 0
    this.#wake()
    this.#onWritten?.(true)
  }
}

function refuseMismatch(digest: Digest, reply: IngestReply): void {
  if (reply.kind === 'mismatch') requireDigest(digest, reply.actual)
}
