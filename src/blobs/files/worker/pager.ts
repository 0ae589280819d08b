/**
 * @module The thread that waits for the disk so that the event loop does not: opens and maps blob
 * files, brings pages into memory before the main thread reads them, unmaps.
 */

import { closeSync, fstatSync, openSync, readSync, type Stats } from 'node:fs'
import { LmdbEnvironment } from '../../../metadata/lmdb/environment.ts'
import { assertNever } from '../../../registry/assert-never.ts'
import { type Libc, loadLibc } from '../../../runtime/libc.ts'
import { toWorkerFailure } from '../../../runtime/worker-failure.ts'
import { damage } from '../../port.ts'
import type { PagerReply, PagerRequest, PagerSetup } from './messages.ts'
import { checkOpened, isWrittenAfter, verifyFile } from './verify-file.ts'

/** Answers until the port closes. */
export function answerPages({ port, metadataPath, slots }: PagerSetup): Promise<void> {
  const libc = loadLibc()
  const metadata = new LmdbEnvironment(metadataPath, false)
  port.on('message', (requests: readonly PagerRequest[]) => {
    const replies: PagerReply[] = []
    for (const request of requests) {
      const reply = answer({ libc: libc as Libc, metadata, slots }, request)
      if (reply instanceof Promise) void reply.then((late) => port.postMessage([late]))
      else if (reply !== undefined) replies.push(reply)
    }
    if (replies.length > 0) port.postMessage(replies)
  })
  return new Promise<void>((resolve, reject) => {
    port.on('close', () => metadata.close().then(resolve, reject))
  })
}

interface Tools {
  readonly libc: Libc
  readonly metadata: LmdbEnvironment
  readonly slots: SharedArrayBuffer
}

/** Immediately wherever it can be; only a file in doubt is read, in steps between other requests. */
function answer(
  { libc, metadata, slots }: Tools,
  request: PagerRequest,
): PagerReply | Promise<PagerReply> | undefined {
  if (request.kind === 'unmap') {
    libc.unmap(request.address, request.length)
    return undefined
  }
  const { id } = request
  try {
    switch (request.kind) {
      case 'map':
        return withFile(request, (descriptor, stats) => map(libc, request, descriptor, stats))
      case 'read':
        return withFile(request, (descriptor) => read(slots, request, descriptor))
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
  } catch (error) {
    return failed(id, error)
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

/** Opens the file; `use` is called when it is what its row says, after a comparison if in doubt. */
function withFile(
  request: PagerRequest & { kind: 'map' | 'read' },
  use: (descriptor: number, stats: Stats) => PagerReply,
): PagerReply | Promise<PagerReply> {
  const { id, path, digest, sizeBytes, writtenBefore } = request
  const descriptor = openSync(path, 'r')
  try {
    const stats = fstatSync(descriptor)
    if (stats.size !== sizeBytes) {
      throw damage(`file holds ${stats.size} bytes, its row says ${sizeBytes}`)
    }
    const isInDoubt = writtenBefore !== undefined && isWrittenAfter(stats, writtenBefore)
    if (digest !== undefined && isInDoubt) {
      return verified({ id, path, digest, writtenBefore }).then(
        () => withVerifiedFile(request, use),
        (error: unknown) => failed(id, error),
      )
    }
    return use(descriptor, stats)
  } finally {
    closeSync(descriptor)
  }
}

/** After the comparison: the file has its time back, or it is used without looking at it. */
function withVerifiedFile(
  request: PagerRequest & { kind: 'map' | 'read' },
  use: (descriptor: number, stats: Stats) => PagerReply,
): PagerReply {
  try {
    return withFile({ ...request, writtenBefore: undefined }, use) as PagerReply
  } catch (error) {
    return failed(request.id, error)
  }
}

function map(
  libc: Libc,
  request: PagerRequest & { kind: 'map' },
  descriptor: number,
  stats: Stats,
): PagerReply {
  const { id, path, sizeBytes } = request
  const address = libc.map(descriptor, sizeBytes)
  populateFirst(libc, address, request)
  const file = { path, sizeBytes, inode: stats.ino, modifiedMs: stats.mtimeMs }
  return { kind: 'mapped', id, address, file }
}

function read(
  slots: SharedArrayBuffer,
  { id, sizeBytes, slotOffset }: PagerRequest & { kind: 'read' },
  descriptor: number,
): PagerReply {
  const slot = new Uint8Array(slots, slotOffset, sizeBytes)
  let done = 0
  while (done < sizeBytes) {
    const count = readSync(descriptor, slot, done, sizeBytes - done, done)
    if (count === 0) throw damage(`file ended after ${done} of ${sizeBytes} bytes`)
    done += count
  }
  return { kind: 'done', id }
}

function populateFirst(
  libc: Libc,
  address: bigint,
  { sizeBytes, populateBytes }: PagerRequest & { kind: 'map' },
): void {
  try {
    if (populateBytes > 0) libc.populate(address, populateBytes)
  } catch (error) {
    libc.unmap(address, sizeBytes)
    throw error
  }
}
