/**
 * @module Verification of everything stored, seen from the main thread: one walk at a time, in a
 * worker of its own; what is damaged is taken out of service (or only counted); the place where an
 * interrupted walk stopped is kept in the metadata.
 */

import type { Quarantine } from '../blobs/quarantine.ts'
import type { MetadataStore } from '../metadata/port.ts'
import type { Digest } from '../registry/digest.ts'
import type { Clock } from '../runtime/clock.ts'
import { WorkerError } from '../runtime/worker-failure.ts'
import { WorkerPool } from '../runtime/worker-pool.ts'
import type { StoreSetup } from './setup.ts'
import type { Finding, ScrubReply } from './worker/messages.ts'

export interface ScrubOptions {
  readonly setup: StoreSetup
  readonly metadata: MetadataStore
  readonly quarantine: Quarantine
  readonly clock: Clock
  /** Other nodes may have the files that are not here. */
  readonly isShared?: boolean
}

export interface ScrubReport {
  readonly entries: number
  readonly bytes: number
  readonly damaged: readonly { readonly digest: Digest; readonly reason: string }[]
  /** False when it was stopped or failed before the end. */
  readonly isComplete: boolean
}

export interface ScrubStatus {
  readonly state: 'never' | 'running' | 'complete' | 'interrupted'
  readonly startedAt: number | undefined
  readonly entries: number
  readonly bytes: number
  readonly damaged: number
}

/** What one walk has come to. */
interface Walk {
  readonly isolates: boolean
  readonly damaged: { readonly digest: Digest; readonly reason: string }[]
  /** Rows being changed because of it; awaited before the walk counts as over. */
  readonly acting: Promise<void>[]
  cursor: string | undefined
  cursorKeptAt: number
}

/** Damaged entries that a report lists; all are counted, logged and acted on. */
const listedMax = 1_000

/** How often the cursor is written down while a walk runs, ms. */
const cursorEveryMs = 10_000

export class Scrub {
  readonly #options: ScrubOptions
  #status: ScrubStatus = {
    state: 'never',
    startedAt: undefined,
    entries: 0,
    bytes: 0,
    damaged: 0,
  }
  #stop: (() => void) | undefined
  #running: Promise<ScrubReport> | undefined

  constructor(options: ScrubOptions) {
    this.#options = options
  }

  get status(): ScrubStatus {
    return this.#status
  }

  /**
   * Walks once, from where an interrupted walk stopped. With `isolates`, damaged blobs and
   * manifests are taken out of service. A walk that is running is joined.
   */
  run(bytesPerSecond: number, isolates: boolean): Promise<ScrubReport> {
    this.#running ??= this.#walk(bytesPerSecond, isolates).finally(() => {
      this.#running = undefined
      this.#stop = undefined
    })
    return this.#running
  }

  /** Stops a running walk; the next one goes on from there. */
  async stop(): Promise<void> {
    this.#stop?.()
    await this.#running?.catch(() => undefined)
  }

  async #walk(bytesPerSecond: number, isolates: boolean): Promise<ScrubReport> {
    const { setup, metadata, clock, isShared = false } = this.#options
    const after = metadata.get('cursors', 'scrub')
    const walk: Walk = {
      isolates,
      damaged: [],
      acting: [],
      cursor: after,
      cursorKeptAt: clock.monotonic(),
    }
    this.#status = { state: 'running', startedAt: clock.now(), entries: 0, bytes: 0, damaged: 0 }
    const pool = new WorkerPool({ worker: 'scrub', threads: 1, tasksPerThread: 1 })
    const task = pool.start({ setup, bytesPerSecond, after, isShared })
    this.#stop = () => task.port.postMessage({ kind: 'stop' })
    let state: ScrubStatus['state'] = 'interrupted'
    try {
      const isComplete = await new Promise<boolean>((resolve, reject) => {
        task.ended.catch(reject)
        task.port.on('message', (reply: ScrubReply) => {
          if (reply.kind !== 'ended') this.#onReply(walk, reply)
          else if (reply.failure === undefined) resolve(reply.isComplete)
          else reject(new WorkerError(reply.failure))
        })
      })
      await Promise.all(walk.acting)
      await this.#keepCursor(isComplete ? undefined : walk.cursor)
      if (isComplete) state = 'complete'
      const { entries, bytes } = this.#status
      return { entries, bytes, damaged: walk.damaged, isComplete }
    } finally {
      this.#status = { ...this.#status, state }
      task.port.close()
      await task.ended.catch(() => undefined)
      await pool.close()
    }
  }

  #onReply(walk: Walk, reply: Exclude<ScrubReply, { kind: 'ended' }>): void {
    const status = this.#status
    if (reply.kind === 'finding') {
      const { finding } = reply
      this.#status = { ...status, damaged: status.damaged + 1 }
      if (walk.damaged.length < listedMax) walk.damaged.push(finding)
      if (walk.isolates) walk.acting.push(this.#isolate(finding))
      return
    }
    const { entries, bytes, cursor } = reply
    this.#status = { ...status, entries: status.entries + entries, bytes: status.bytes + bytes }
    walk.cursor = cursor
    const now = this.#options.clock.monotonic()
    if (now - walk.cursorKeptAt < cursorEveryMs) return
    walk.cursorKeptAt = now
    walk.acting.push(this.#keepCursor(cursor))
  }

  #isolate({ kind, digest, row, reason }: Finding): Promise<void> {
    const { quarantine } = this.#options
    return kind === 'blob'
      ? quarantine.isolate(digest, row!, reason)
      : quarantine.isolateManifest(digest, reason)
  }

  async #keepCursor(cursor: string | undefined): Promise<void> {
    const changes =
      cursor === undefined
        ? [{ change: 'delete' as const, in: 'cursors' as const, key: 'scrub' }]
        : [{ change: 'put' as const, in: 'cursors' as const, key: 'scrub', row: cursor }]
    await this.#options.metadata.commit({ checks: [], changes })
  }
}
