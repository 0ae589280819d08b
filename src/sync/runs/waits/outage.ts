/**
 * @module A host that does not answer at all: the run waits for it, and says so once, however many repositories
 * meet it. After some minutes the run is given up.
 */
import type { Clock } from '../../../runtime/clock.ts'
import { SyncError } from '../../port.ts'
import { isUnanswered, toSyncError } from '../../sources/failures.ts'
import type { Sleep } from '../parts.ts'

/** First wait before the host is asked again, and the longest, ms. */
const waitMsMin = 1_000
const waitMsMax = 30_000

/** Longest that a run waits for a host that does not answer, ms. */
const outageMsMax = 300_000

export interface OutageParts {
  readonly clock: Clock
  readonly sleep: Sleep
  /** A request that says whether the host answers. */
  readonly probe: () => Promise<void>
  /** Ends every wait. */
  readonly signal: AbortSignal
  /** Undefined: it no longer waits. */
  readonly onWait: (message: string | undefined) => void
  /** Once an outage. */
  readonly onBegin: (error: SyncError) => void
  readonly onOver: (ms: number) => void
  /** The host has not come back in time. */
  readonly onDead: (error: SyncError) => void
}

export class Outage {
  readonly #parts: OutageParts
  #waiting: Promise<boolean> | undefined

  constructor(parts: OutageParts) {
    this.#parts = parts
  }

  /** Resolves when the host answers: true. False: it does not, and the run ends. Never rejects. */
  wait(error: unknown): Promise<boolean> {
    this.#waiting ??= this.#wait(error).finally(() => {
      this.#waiting = undefined
    })
    return this.#waiting
  }

  /**
   * For what may concern something else than the host. True: the host did not answer, and does again. False: it
   * answers, so it is not the cause, or it is given up.
   */
  async check(): Promise<boolean> {
    const failure = this.#waiting === undefined ? await this.#ask() : undefined
    if (this.#waiting === undefined && failure === undefined) return false
    return this.wait(failure)
  }

  async #wait(first: unknown): Promise<boolean> {
    const { clock, sleep, signal, onWait, onBegin, onOver, onDead } = this.#parts
    const begin = clock.monotonic()
    let error = first
    onBegin(toSyncError(error))
    onWait('waiting for upstream to answer')
    try {
      for (let ms = waitMsMin; !signal.aborted; ms = Math.min(waitMsMax, ms * 2)) {
        await sleep(ms, signal)
        if (signal.aborted) return false
        const failure = await this.#ask()
        const downMs = clock.monotonic() - begin
        if (failure === undefined) {
          onOver(downMs)
          return true
        }
        error = failure
        if (downMs >= outageMsMax) {
          const { message } = toSyncError(error)
          onDead(new SyncError('unreachable', message, true, { cause: error }))
          return false
        }
      }
      return false
    } finally {
      onWait(undefined)
    }
  }

  /** Undefined: it answers, whatever it says. */
  async #ask(): Promise<unknown> {
    try {
      await this.#parts.probe()
      return undefined
    } catch (error) {
      return isUnanswered(error) ? error : undefined
    }
  }
}
