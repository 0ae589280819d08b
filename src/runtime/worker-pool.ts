/**
 * @module Worker threads. The only user of Piscina. Long work is one task that owns a MessagePort
 * for as long as it lives (Piscina has no affinity, a port has): an upload, the metadata writer,
 * the pager. Workers load from `dist/`, because Node 20 cannot run TypeScript in a worker.
 */
import { fileURLToPath } from 'node:url'
import { MessageChannel, type MessagePort } from 'node:worker_threads'
import { Piscina } from 'piscina'

export type WorkerName =
  | 'gc'
  | 'ingest'
  | 'log-writer'
  | 'manifest'
  | 'metadata-writer'
  | 'pager'
  | 'password'
  | 'reconcile'
  | 'scrub'
  | 'signature'

/**
 * A bound of a thread's heap for work of which little stays, MiB. Below 2 GiB V8 collects earlier: it
 * lets the heap grow to at most twice what lives, above it to four times.
 */
export const boundedHeapMiB = 1_800

/** What V8 itself allows up to Node 22. That of Node 24 would let each thread have 192. */
const youngMiBMax = 48

export interface WorkerPoolOptions {
  readonly worker: WorkerName
  /** Threads, started at once and kept. */
  readonly threads: number
  /** Long tasks that one thread carries at a time. */
  readonly tasksPerThread: number
  /** Room for short-lived objects of a thread, MiB; undefined: `youngMiBMax`. */
  readonly youngMiB?: number
  /** Bound of a thread's heap, MiB; undefined: V8's own. See `boundedHeapMiB`. */
  readonly heapMiB?: number
  /** Told when a thread dies that carries no task: it could not start, or fell over its own feet. */
  readonly onError?: (error: Error) => void
}

/** A running task: messages go through `port`; `ended` settles when it returns, throws or dies. */
export interface LongTask {
  readonly port: MessagePort
  readonly ended: Promise<void>
}

/** The compiled worker, from `src/` (under the test runner) and from `dist/src/` alike. */
export function workerUrl(worker: WorkerName | 'etcd-launcher'): string {
  const isCompiled = import.meta.url.includes('/dist/src/')
  const base = isCompiled ? '../../workers/' : '../../dist/workers/'
  return fileURLToPath(new URL(`${base}${worker}.js`, import.meta.url))
}

export class WorkerPool {
  readonly #pool: Piscina
  readonly #capacity: number
  /** Settles when each thread has loaded its modules, or has died of it. */
  readonly #loaded: Promise<void>
  /** Of tasks that have not ended. No abort signals: Piscina gives a task that has one a thread of its own. */
  readonly #refusals = new Set<(error: Error) => void>()
  #running = 0

  constructor(options: WorkerPoolOptions) {
    this.#capacity = options.threads * options.tasksPerThread
    this.#pool = new Piscina({
      filename: workerUrl(options.worker),
      minThreads: options.threads,
      maxThreads: options.threads,
      concurrentTasksPerWorker: options.tasksPerThread,
      atomics: 'disabled',
      resourceLimits: {
        maxYoungGenerationSizeMb: options.youngMiB ?? youngMiBMax,
        ...(options.heapMiB !== undefined && { maxOldGenerationSizeMb: options.heapMiB }),
      },
    })
    this.#pool.on('error', (error: Error) => {
      this.#refuseQueued(error)
      if (options.onError === undefined) throw error
      options.onError(error)
    })
    this.#loaded = new Promise((resolve) => {
      let loading = options.threads
      // A thread that still loads does not keep the process alive, and `close` waits for it: without
      // this a start that fails ends before it has said why.
      const alive = setInterval(() => undefined, 60_000)
      const oneLess = () => {
        loading -= 1
        if (loading > 0) return
        clearInterval(alive)
        resolve()
      }
      // The one message that a thread sends outside its tasks is `announceLoaded`.
      this.#pool.on('message', oneLess)
      this.#pool.on('workerDestroy', oneLess)
    })
  }

  /** Whether another long task would start at once; one that only queues would never be answered. */
  get hasRoom(): boolean {
    return this.#running < this.#capacity
  }

  /**
   * Starts a long task with `setup` and a port of its own. The port does not keep the process
   * alive. Throws when there is no room: callers look at `hasRoom` first.
   */
  start(setup: object): LongTask {
    if (!this.hasRoom) throw new Error('worker pool is full')
    const { port1, port2 } = new MessageChannel()
    this.#running += 1
    let refuse: (error: Error) => void = () => undefined
    const ended = new Promise<void>((resolve, reject) => {
      refuse = reject
      this.#pool.run({ ...setup, port: port2 }, { transferList: [port2] }).then(resolve, reject)
    }).finally(() => {
      this.#refusals.delete(refuse)
      this.#running -= 1
      port1.close()
    })
    this.#refusals.add(refuse)
    return { port: port1, ended }
  }

  /** Piscina starts no thread again that failed while it began: what waits for one would wait for ever. */
  #refuseQueued(error: Error): void {
    if (this.#pool.threads.length > 0) return
    for (const refuse of this.#refusals) refuse(error)
  }

  /** Ends every thread, none while it still loads; tasks that still run are cut off. */
  async close(): Promise<void> {
    await this.#loaded
    await this.#pool.destroy()
  }
}
