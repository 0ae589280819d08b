/**
 * @module A run that goes on, with what ends it.
 */
import { setMaxListeners } from 'node:events'
import type { RunningJob } from '../../jobs/jobs.ts'
import type { JobState } from '../../metadata/rows/jobs.ts'
import type { SyncRequest, SyncResult } from '../syncs.ts'
import type { RunParts } from './parts.ts'
import { type RunEnd, type RunHow, SourceRun } from './source-run.ts'

/** A run that is wanted. */
export interface WantedRun {
  readonly request: SyncRequest
  /** It keeps to the windows. */
  readonly isScheduled: boolean
}

export type StopCause = 'cancelled' | 'paused' | 'timeout' | 'server-stop'

export class ActiveRun {
  readonly wanted: WantedRun
  readonly run: SourceRun
  /** Resolves when nothing of it runs any more. Never rejects. */
  readonly ended: Promise<void>
  readonly #soft = new AbortController()
  readonly #hard = new AbortController()
  #job: RunningJob | undefined
  #cause: StopCause | undefined
  #finish!: () => void

  /** Throws on patterns of the request that are none. `keep`: see `RunHow`. */
  constructor(parts: RunParts, wanted: WantedRun, keep: RunHow['keep']) {
    this.wanted = wanted
    // Every tag and request in work listens; none stays.
    setMaxListeners(0, this.#soft.signal, this.#hard.signal)
    this.run = new SourceRun(parts, {
      ...wanted,
      soft: this.#soft.signal,
      hard: this.#hard.signal,
      onProgress: () => this.#job?.update(this.run.tally.numbers),
      keep,
    })
    this.ended = new Promise((resolve) => {
      this.#finish = resolve
    })
  }

  /** Undefined: it was left to run to its end. */
  get cause(): StopCause | undefined {
    return this.#cause
  }

  get job(): string | undefined {
    return this.#job?.id
  }

  isJob(job: RunningJob): void {
    this.#job = job
    job.signal.addEventListener('abort', () => this.stop('cancelled'), { once: true })
    if (job.signal.aborted) this.stop('cancelled')
  }

  /** Its current tags end first, but for a stop of the server. */
  stop(cause: StopCause): void {
    this.#cause ??= cause
    const reason = new Error(`the run is ended: ${cause}`)
    if (cause === 'server-stop') this.#hard.abort(reason)
    this.#soft.abort(reason)
  }

  finish(): void {
    this.#finish()
  }
}

/** What a stop from outside makes of the end. */
export function endOf(end: RunEnd, cause: StopCause | undefined): RunEnd {
  if (end.result !== 'cancelled' || cause === undefined) return end
  switch (cause) {
    case 'timeout':
      return { ...end, result: 'partial', message: 'timeout: the run took longer than it may' }
    case 'server-stop':
      return { ...end, message: 'the server stopped before the run ended' }
    case 'paused':
      return { ...end, message: 'it was paused' }
    default:
      return end
  }
}

/** The end of the job of a run. */
export function jobStateOf({ result }: RunEnd, cause: StopCause | undefined): JobState {
  if (cause === 'server-stop' && result === 'cancelled') return 'stopped'
  return STATES[result]
}

const STATES: Readonly<Record<SyncResult, JobState>> = {
  ok: 'done',
  partial: 'done',
  failed: 'failed',
  cancelled: 'cancelled',
}
