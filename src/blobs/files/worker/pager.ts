/**
 * @module The thread that waits for the disk so that the event loop does not: opens and maps blob
 * files, brings pages into memory before the main thread reads them, unmaps.
 */

import { closeSync, fstatSync, openSync, readSync, type Stats } from 'node:fs'
import { type MessagePort, receiveMessageOnPort } from 'node:worker_threads'
import { LmdbEnvironment } from '../../../metadata/lmdb/environment.ts'
import { assertNever } from '../../../registry/assert-never.ts'
import { type Libc, loadLibc } from '../../../runtime/libc.ts'
import { toWorkerFailure } from '../../../runtime/worker-failure.ts'
import { damage } from '../../port.ts'
import type { PagerReply, PagerRequest, PagerSetup } from './messages.ts'
import { checkOpened, isWrittenAfter, verifyFile } from './verify-file.ts'

/** What is left of a request after its start. */
interface End {
  /** Whether `run` does not have to wait for the disk, as far as one can see. */
  readonly isReady: () => boolean
  readonly run: () => PagerReply | Promise<PagerReply> | undefined
}

const always = () => true
const never = () => false

/**
 * Answers until the port closes. Each request is started when it is seen, also while an earlier one waits, so
 * that the disk has all of them at a time. Those that it has delivered end first.
 */
export function answerPages({ port, metadataPath, slots }: PagerSetup): Promise<void> {
  const libc = loadLibc()
  const metadata = new LmdbEnvironment(metadataPath, false)
  const tools = { libc: libc as Libc, metadata, slots }
  const replies = new Replies(port)
  port.on('message', (requests: readonly PagerRequest[]) => {
    let ends = requests.map((request) => start(tools, request))
    while (ends.length > 0) {
      const waiting = ends.filter((end) => {
        const isReady = end.isReady()
        if (isReady) replies.add(end.run())
        return !isReady
      })
      // What comes may wait long.
      replies.send()
      // One a round, the oldest: nobody is passed over for good.
      const oldest = waiting.shift()
      if (oldest !== undefined) replies.add(oldest.run())
      const more = (receiveMessageOnPort(port)?.message ?? []) as readonly PagerRequest[]
      ends = [...waiting, ...more.map((request) => start(tools, request))]
    }
    replies.send()
  })
  return new Promise<void>((resolve, reject) => {
    port.on('close', () => metadata.close().then(resolve, reject))
  })
}

/** Replies travel together, as long as none of them waits for the disk. */
class Replies {
  readonly #port: MessagePort
  #held: PagerReply[] = []

  constructor(port: MessagePort) {
    this.#port = port
  }

  add(reply: PagerReply | Promise<PagerReply> | undefined): void {
    if (reply instanceof Promise) void reply.then((late) => this.#port.postMessage([late]))
    else if (reply !== undefined) this.#held.push(reply)
  }

  send(): void {
    if (this.#held.length === 0) return
    this.#port.postMessage(this.#held)
    this.#held = []
  }
}

interface Tools {
  readonly libc: Libc
  readonly metadata: LmdbEnvironment
  readonly slots: SharedArrayBuffer
}

/** Starts a request; a mapping is taken away at once, before the next file gets its addresses. */
function start(tools: Tools, request: PagerRequest): End {
  const { libc } = tools
  if (request.kind === 'unmap' || request.kind === 'vacate') {
    libc[request.kind](request.address, request.length)
    return { isReady: always, run: () => undefined }
  }
  const { id } = request
  try {
    if (request.kind === 'map' || request.kind === 'read') return startFile(tools, request)
    if (request.kind === 'populate') libc.startReading(request.address, request.startBytes)
  } catch (error) {
    return { isReady: always, run: () => failed(id, error) }
  }
  const isReady =
    request.kind === 'populate' ? () => libc.isInMemory(request.address, request.length) : always
  return {
    isReady,
    run: () => {
      try {
        return answer(tools, request)
      } catch (error) {
        return failed(id, error)
      }
    },
  }
}

/** Immediately wherever it can be; only a file in doubt is read, in steps between other requests. */
function answer(
  { libc, metadata }: Tools,
  request: Exclude<PagerRequest, { kind: 'unmap' | 'vacate' | 'map' | 'read' }>,
): PagerReply | Promise<PagerReply> {
  const { id } = request
  switch (request.kind) {
    case 'verify':
      return verified(request).catch((error: unknown) => failed(id, error))
    case 'check':
      checkOpened(request.file)
      return { kind: 'done', id }
    case 'populate':
      if (request.file !== undefined) checkOpened(request.file)
      libc.populate(request.address, request.length)
      return { kind: 'done', id }
    case 'page-in':
      metadata.refresh()
      metadata.getBytes(request.database, request.key)
      return { kind: 'done', id }
    default:
      return assertNever(request)
  }
}

function failed(id: number, error: unknown): PagerReply {
  return { kind: 'failed', id, failure: toWorkerFailure(error) }
}

async function verified({ id, path, digest, writtenBefore }: InDoubt): Promise<PagerReply> {
  await verifyFile(path, digest, writtenBefore)
  return { kind: 'done', id }
}

type InDoubt = Pick<PagerRequest & { kind: 'verify' }, 'id' | 'path' | 'digest' | 'writtenBefore'>

/** Opens a file and goes on when it is what its row says, after a comparison if that is in doubt. */
function startFile(tools: Tools, request: PagerRequest & { kind: 'map' | 'read' }): End {
  const { id, path, digest, sizeBytes, writtenBefore } = request
  const descriptor = openSync(path, 'r')
  let isKept = false
  try {
    const stats = fstatSync(descriptor)
    if (stats.size !== sizeBytes) {
      throw damage(`file holds ${stats.size} bytes, its row says ${sizeBytes}`)
    }
    const isInDoubt = writtenBefore !== undefined && isWrittenAfter(stats, writtenBefore)
    if (digest !== undefined && isInDoubt) {
      // After the comparison the file has its time back, or it is used without looking at it.
      const right = { ...request, writtenBefore: undefined }
      const run = () =>
        verified({ id, path, digest, writtenBefore })
          .then(() => startFile(tools, right).run() as PagerReply)
          .catch((error: unknown) => failed(id, error))
      return { isReady: always, run }
    }
    if (request.kind === 'map') return startMap(tools.libc, request, descriptor, stats)
    isKept = true
    return startRead(tools, request, descriptor)
  } finally {
    if (!isKept) closeSync(descriptor)
  }
}

function startMap(
  libc: Libc,
  request: PagerRequest & { kind: 'map' },
  descriptor: number,
  stats: Stats,
): End {
  const { id, address, path, sizeBytes, populateBytes } = request
  libc.map(address, descriptor, sizeBytes)
  libc.startReading(address, populateBytes)
  const file = { path, sizeBytes, inode: stats.ino, modifiedMs: stats.mtimeMs }
  return {
    isReady: () => populateBytes === 0 || libc.isInMemory(address, populateBytes),
    run: () => {
      try {
        if (populateBytes > 0) libc.populate(address, populateBytes)
        return { kind: 'mapped', id, file }
      } catch (error) {
        return failed(id, error)
      }
    },
  }
}

/** The descriptor is closed with the end. */
function startRead(
  { libc, slots }: Tools,
  { id, sizeBytes, slotOffset }: PagerRequest & { kind: 'read' },
  descriptor: number,
): End {
  libc.startReadingFile(descriptor, sizeBytes)
  return {
    isReady: never,
    run: () => {
      try {
        readInto(new Uint8Array(slots, slotOffset, sizeBytes), descriptor)
        return { kind: 'done', id }
      } catch (error) {
        return failed(id, error)
      } finally {
        closeSync(descriptor)
      }
    },
  }
}

function readInto(slot: Uint8Array, descriptor: number): void {
  let done = 0
  while (done < slot.byteLength) {
    const count = readSync(descriptor, slot, done, slot.byteLength - done, done)
    if (count === 0) throw damage(`file ended after ${done} of ${slot.byteLength} bytes`)
    done += count
  }
}
