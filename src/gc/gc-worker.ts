/**
 * @module The main thread's end of the collection's worker: starts a task, hands its batches to
 * whoever settles them, passes a stop on, rebuilds its failure.
 */
import { WorkerError } from '../runtime/worker-messages.ts'
import { WorkerPool } from '../runtime/worker-pool.ts'
import type { GcReply, GcRequest, GcSetup } from './worker-messages.ts'

export interface TaskListener {
  onMarked?(reply: Extract<GcReply, { kind: 'marked' }>): Promise<void> | void
  /** Settles a batch; resolves to how many steps the next ones should have. */
  onSteps?(reply: Extract<GcReply, { kind: 'steps' }>): Promise<number>
  onTotal?(bytes: number): void
}

/**
 * Runs one task to its end. False when it was stopped before; rejects with what failed, here or in
 * the worker. Nothing of it runs any more when this settles.
 */
export async function runGcTask(
  storagePath: string,
  task: GcSetup['task'],
  signal: AbortSignal,
  listener: TaskListener,
): Promise<boolean> {
  const pool = new WorkerPool({ worker: 'gc', threads: 1, tasksPerThread: 1 })
  const { port, ended } = pool.start({ storagePath, task })
  const send = (request: GcRequest) => port.postMessage(request)
  const stop = () => send({ kind: 'stop' })
  const settling = new Set<Promise<void>>()
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
          case 'steps':
            settle(
              listener.onSteps!(reply).then((stepsAtOnce) =>
                send({ kind: 'settled', id: reply.id, stepsAtOnce }),
              ),
            )
            return
          case 'ended':
            if (reply.failure !== undefined) reject(new WorkerError(reply.failure))
            else resolve(reply.isComplete)
        }
      })
    })
    await Promise.all(settling)
    return isComplete && !signal.aborted
  } finally {
    signal.removeEventListener('abort', stop)
    port.close()
    await Promise.allSettled(settling)
    await ended.catch(() => undefined)
    await pool.close()
  }
}
