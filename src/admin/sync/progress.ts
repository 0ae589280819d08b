/**
 * @module The status of a source as it changes, as server-sent events: at most one a second, until its run has
 * ended. Progress is no row of the history, so it is no event of `/admin/events`.
 */
import type { Asker } from '../../auth/asker.ts'
import type { SyncStatus } from '../../sync/syncs.ts'
import { AdminProblem } from '../problem.ts'
import { toStatus } from './answers.ts'

/** Streams at the same time. */
export const progressListenersMax = 64

export interface ProgressOptions {
  /** Undefined: the source is gone. */
  readonly status: () => SyncStatus | undefined
  readonly asker: Asker
  readonly signal: AbortSignal
}

export class ProgressStreams {
  readonly #everyMs: number
  readonly #renewEvery: number
  #open = 0

  /** `renewEvery`: after so many looks the stream says that it is there, and asks whether it may be. */
  constructor(everyMs = 1_000, renewEvery = 15) {
    this.#everyMs = everyMs
    this.#renewEvery = renewEvery
  }

  get openCount(): number {
    return this.#open
  }

  /** Throws ADMIN_BUSY where too many listen. */
  open(options: ProgressOptions): AsyncIterable<string> {
    if (this.#open >= progressListenersMax) {
      const message = `more than ${progressListenersMax} follow runs already; try again, or ask for the status`
      throw new AdminProblem('ADMIN_BUSY', { message })
    }
    this.#open += 1
    let isEnded = false
    const end = () => {
      if (!isEnded) this.#open -= 1
      isEnded = true
    }
    // A client that leaves before the first piece is asked for leaves nobody who ends it.
    options.signal.addEventListener('abort', end)
    const pieces = this.#read(options, end)
    return {
      [Symbol.asyncIterator]: () => ({
        next: () => pieces.next(),
        return: async () => {
          end()
          return pieces.return(undefined)
        },
      }),
    }
  }

  async *#read(options: ProgressOptions, end: () => void): AsyncGenerator<string, undefined> {
    const { status, signal } = options
    let { asker } = options
    let told = ''
    try {
      for (let look = 1; !signal.aborted; look++) {
        const now = status()
        if (now === undefined) return undefined
        const text = JSON.stringify(toStatus(now))
        if (text !== told) yield `event: progress\ndata: ${text}\n\n`
        told = text
        if (now.runningJob === undefined) {
          yield `event: end\ndata: ${JSON.stringify({ result: now.lastResult })}\n\n`
          return undefined
        }
        if (look % this.#renewEvery === 0) {
          const renewed = await asker.renew().catch(() => undefined)
          if (renewed?.isAdmin !== true) {
            yield 'event: end\ndata: {"reason":"the credentials are not good any more"}\n\n'
            return undefined
          }
          asker = renewed
          yield ': still here\n\n'
        }
        await pause(this.#everyMs, signal)
      }
      return undefined
    } finally {
      end()
    }
  }
}

/** Ends early when the client leaves. */
function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer)
      signal.removeEventListener('abort', done)
      resolve()
    }
    const timer = setTimeout(done, ms)
    signal.addEventListener('abort', done)
  })
}
