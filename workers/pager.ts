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

export default function page({ port, metadataPath }: PagerSetup) {
  const libc = loadLibc()
  const metadata = new LmdbEnvironment(metadataPath, false)
  port.on('message', (requests: readonly PagerRequest[]) => {
    const replies: PagerReply[] = []
    for (const request of requests) {
      const reply = answer(libc as Libc, metadata, request)
      if (reply !== undefined) replies.push(reply)
    }
    if (replies.length > 0) port.postMessage(replies)
  })
  return new Promise<void>((resolve, reject) => {
    port.on('close', () => metadata.close().then(resolve, reject))
  })
}

function answer(
  libc: Libc,
  metadata: LmdbEnvironment,
  request: PagerRequest,
): PagerReply | undefined {
  if (request.kind === 'unmap') {
    libc.unmap(request.address, request.length)
    return undefined
  }
  try {
    switch (request.kind) {
      case 'map':
        return { kind: 'mapped', id: request.id, address: map(libc, request) }
      case 'populate':
        libc.populate(request.address, request.length)
        return { kind: 'done', id: request.id }
      case 'touch':
        metadata.refresh()
        metadata.getBytes(request.database as DatabaseName, request.key)
        return { kind: 'done', id: request.id }
    }
  } catch (error) {
    return { kind: 'failed', id: request.id, failure: toWorkerFailure(error) }
  }
}

function map(libc: Libc, request: PagerRequest & { kind: 'map' }): bigint {
  const descriptor = openSync(request.path, 'r')
  try {
    const actual = fstatSync(descriptor).size
    if (actual !== request.sizeBytes) {
      const message = `file holds ${actual} bytes, its row says ${request.sizeBytes}`
      throw Object.assign(new Error(message), { code: damagedCode })
    }
    const address = libc.map(descriptor, request.sizeBytes)
    try {
      libc.populate(address, request.populateBytes)
    } catch (error) {
      libc.unmap(address, request.sizeBytes)
      throw error
    }
    return address
  } finally {
    closeSync(descriptor)
  }
}
