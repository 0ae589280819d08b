/**
 * @module The thread that waits for the disk so that the event loop does not: opens and maps blob
 * files, brings pages into memory before the main thread reads them, unmaps.
 */
import { closeSync, fstatSync, openSync } from 'node:fs'
import { type Libc, loadLibc } from '../src/runtime/libc.ts'
import {
  type PagerReply,
  type PagerRequest,
  type PagerSetup,
  toWorkerFailure,
} from '../src/runtime/worker-messages.ts'
import { LmdbEnvironment } from '../src/storage/lmdb-environment.ts'
import { damagedCode } from '../src/storage/ports.ts'
import type { DatabaseName } from '../src/storage/schema.ts'
import { checkOpened, isWrittenAfter, verifyFile } from '../src/storage/worker-genuine.ts'

export default function page({ port, metadataPath }: PagerSetup) {
  const libc = loadLibc()
  const metadata = new LmdbEnvironment(metadataPath, false)
  port.on('message', (requests: readonly PagerRequest[]) => {
    const replies: PagerReply[] = []
    for (const request of requests) {
      const reply = answer(libc as Libc, metadata, request)
      if (reply instanceof Promise) void reply.then((late) => port.postMessage([late]))
      else if (reply !== undefined) replies.push(reply)
    }
    if (replies.length > 0) port.postMessage(replies)
  })
  return new Promise<void>((resolve, reject) => {
    port.on('close', () => metadata.close().then(resolve, reject))
  })
}

/** At once wherever it can be; only a file in doubt is read, in steps between other requests. */
function answer(
  libc: Libc,
  metadata: LmdbEnvironment,
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
        return map(libc, request)
      case 'verify':
        return verified(request).catch((error: unknown) => failed(id, error))
      case 'check':
        checkOpened(request.file)
        return { kind: 'done', id }
      case 'populate':
        if (request.file !== undefined) checkOpened(request.file)
        libc.populate(request.address, request.length)
        return { kind: 'done', id }
      case 'touch':
        metadata.refresh()
        metadata.getBytes(request.database as DatabaseName, request.key)
        return { kind: 'done', id }
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

function map(
  libc: Libc,
  request: PagerRequest & { kind: 'map' },
): PagerReply | Promise<PagerReply> {
  const { id, path, sizeBytes, writtenBefore } = request
  const descriptor = openSync(path, 'r')
  try {
    const stats = fstatSync(descriptor)
    if (stats.size !== sizeBytes) {
      const message = `file holds ${stats.size} bytes, its row says ${sizeBytes}`
      throw Object.assign(new Error(message), { code: damagedCode })
    }
    const { digest } = request
    if (
      digest !== undefined &&
      writtenBefore !== undefined &&
      isWrittenAfter(stats, writtenBefore)
    ) {
      return verified({ id, path, digest, writtenBefore }).then(
        () => mapNow(libc, request),
        (error: unknown) => failed(id, error),
      )
    }
    const address = libc.map(descriptor, sizeBytes)
    populateFirst(libc, address, request)
    const file = { path, sizeBytes, inode: stats.ino, modifiedMs: stats.mtimeMs }
    return { kind: 'mapped', id, address, file }
  } finally {
    closeSync(descriptor)
  }
}

/** After the comparison: the file has its time back, or it is mapped without looking at it. */
function mapNow(libc: Libc, request: PagerRequest & { kind: 'map' }): PagerReply {
  try {
    const again = map(libc, { ...request, writtenBefore: undefined })
    return again as PagerReply
  } catch (error) {
    return failed(request.id, error)
  }
}

function populateFirst(
  libc: Libc,
  address: bigint,
  { sizeBytes, populateBytes }: PagerRequest & { kind: 'map' },
): void {
  try {
    libc.populate(address, populateBytes)
  } catch (error) {
    libc.unmap(address, sizeBytes)
    throw error
  }
}
