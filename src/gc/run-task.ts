/**
 * @module The main thread's end of the collection's worker: starts a task, hands its batches to
 * whoever settles them, passes a stop on, rebuilds its failure.
 */

import type { MetadataStore } from '../metadata/port.ts'
import { assertNever } from '../registry/assert-never.ts'
import type { Digest } from '../registry/digest.ts'
import { WorkerError } from '../runtime/worker-failure.ts'
import { boundedHeapMiB, WorkerPool } from '../runtime/worker-pool.ts'
import type { StoreSetup } from '../storage/setup.ts'
import type { OldestRows } from './sweep/purge.ts'
import type { ExplainedItem, FileWork, GcReply, GcRequest, GcSetup } from './worker/messages.ts'

export interface TaskListener {
  onMarked?(reply: Extract<GcReply, { kind: 'marked' }>): Promise<void> | void
  /** Settles a batch; resolves to how many candidates the next ones should have. */
  onCandidates?(reply: Extract<GcReply, { kind: 'candidates' }>, doFiles: DoFiles): Promise<number>
  onPurged?(oldest: OldestRows): Promise<void> | void
  onTotal?(bytes: number): void
  onExplained?(items: readonly ExplainedItem[]): void
}

/** Has the worker move or remove files; resolves to the digests for which that failed. */
export type DoFiles = (work: FileWork) => Promise<ReadonlySet<Digest>>

/** What a plan's thread keeps is its largest repository: no larger than the store. */
const smallStoreRows = 500_000

/**
 * Bound of the heap while a plan is made, where the plan surely fits; else undefined, V8's own.
 * Measured for one repository of which everything goes: 1.0 KB a manifest, 1.6 KB one with a tag; a
 * tag that was moved often has some more.
 */
export function gcHeapMiB(metadata: Pick<MetadataStore, 'count'>): number | undefined {
  const rows = metadata.count('manifests') + metadata.count('tags')
  return rows <= smallStoreRows ? boundedHeapMiB : undefined
}

/**
 * Runs one task to its end. False when it was stopped before; rejects with what failed, here or in
 * the worker. Nothing of it runs any more when this settles. `heapMiB`: see `gcHeapMiB`.
 */
export async function runGcTask(
  setup: StoreSetup,
  task: GcSetup['task'],
  signal: AbortSignal,
  listener: TaskListener,
  heapMiB?: number,
): Promise<boolean> {
  // What goes through a sweep or a purge is gone with its batch.
  const bound = task.kind === 'sweep' || task.kind === 'purge' ? boundedHeapMiB : heapMiB
  // It walks millions of rows that nobody keeps: a small nursery is as fast, and much less memory.
  const pool = new WorkerPool({
    worker: 'gc',
    threads: 1,
    tasksPerThread: 1,
    youngMiB: 3,
    ...(bound !== undefined && { heapMiB: bound }),
  })
  const { port, ended } = pool.start({ setup, task })
  const send = (request: GcRequest) => port.postMessage(request)
  const stop = () => send({ kind: 'stop' })
  const settling = new Set<Promise<void>>()
  const files = new Map<
    number,
    { readonly work: FileWork; readonly resolve: (failed: ReadonlySet<Digest>) => void }
  >()
  let fileId = 0
  const doFiles: DoFiles = (work) => {
    fileId += 1
    send({ kind: 'files', id: fileId, work })
    return new Promise((resolve) => files.set(fileId, { work, resolve }))
  }
  try {
    if (signal.aborted) stop()
    signal.addEventListener('abort', stop)
    const isComplete = await new Promise<boolean>((resolve, reject) => {
      const settle = (work: Promise<void>) => {
        settling.add(work)
        work.then(() => settling.delete(work), reject)
      }
      ended.then(() => reject(new Error('the worker has ended')), reject)
      port.on('message', (reply: GcReply) => {
        switch (reply.kind) {
          case 'marked':
            settle(Promise.resolve(listener.onMarked?.(reply)))
            return
          case 'total':
            listener.onTotal?.(reply.bytes)
            return
          case 'explained':
            listener.onExplained?.(reply.items)
            return
          case 'candidates':
            settle(
              listener.onCandidates!(reply, doFiles).then((atOnce) =>
                send({ kind: 'settled', id: reply.id, atOnce }),
              ),
            )
            return
          case 'files':
            files.get(reply.id)?.resolve(new Set(reply.failed))
            files.delete(reply.id)
            return
          case 'purged':
            settle(Promise.resolve(listener.onPurged?.(reply.oldest)))
            return
          case 'ended':
            if (reply.failure !== undefined) reject(new WorkerError(reply.failure))
            else resolve(reply.isComplete)
            return
          default:
            assertNever(reply)
        }
      })
    })
    await Promise.all(settling)
    return isComplete && !signal.aborted
  } finally {
    signal.removeEventListener('abort', stop)
    port.close()
    // Whether a worker that is gone had done it, nobody knows.
    for (const { work, resolve } of files.values()) resolve(new Set(work.digests))
    await Promise.allSettled(settling)
    await ended.catch(() => undefined)
    await pool.close()
  }
}
