/**
 * @module Times of schedules, each taken once over all nodes of a mesh. The schedule of every node fires; which of them
 * does the work is decided by a row, at one place in the order of all. What is compared is the time by the expression,
 * not by a clock: a node that wakes late, or whose clock is off, finds it taken.
 *
 * The nodes need one time zone: an expression means other times elsewhere.
 */
import type { MetadataStore } from '../metadata/port.ts'
import type { Check } from '../metadata/transaction.ts'
import { commitAttemptsMax } from '../registry/limits.ts'
import type { Clock } from '../runtime/clock.ts'
import { lastTime } from '../runtime/schedule.ts'
import type { MemberRun } from './leads.ts'

/** Timers may fire so much early, ms. */
const earlyMs = 50

export class Ticks {
  readonly #clock: Clock
  readonly #run: () => MemberRun | undefined

  /** `run`: this node's; undefined while it has none. */
  constructor(clock: Clock, run: () => MemberRun | undefined) {
    this.#clock = clock
    this.#run = run
  }

  /** `work` as the schedule of each node may call it: it runs on one of them, and is told the time, ms since 1970. */
  once(
    metadata: MetadataStore,
    schedule: string,
    expression: string,
    work: (at: number) => Promise<void>,
  ): () => Promise<void> {
    return async () => {
      const at = lastTime(expression, this.#clock.now() + earlyMs)
      if (at !== undefined && (await this.take(metadata, schedule, at))) await work(at)
    }
  }

  /**
   * Whether this node does the work of the schedule's time `at`, ms since 1970: no node has taken it, or a later one.
   * Throws what the last commit threw; then another node may do it, or none.
   */
  async take(metadata: MetadataStore, schedule: string, at: number): Promise<boolean> {
    let failure: unknown
    for (let attempt = 0; attempt < commitAttemptsMax; attempt += 1) {
      const run = this.#run()
      if (run === undefined) return false
      const stored = metadata.get('ticks', schedule)
      if (stored !== undefined && stored.at >= at) {
        // An attempt whose outcome was not heard.
        const isOwn = stored.member === run.member && stored.boot === run.boot
        return failure !== undefined && stored.at === at && isOwn
      }
      const here = { in: 'ticks', key: schedule } as const
      const check: Check =
        stored === undefined
          ? { check: 'absent', ...here }
          : { check: 'unchanged', ...here, row: stored }
      const row = { at, ...run }
      try {
        const changes = [{ change: 'put', ...here, row }] as const
        if ((await metadata.commit({ checks: [check], changes })).applied) return true
      } catch (error) {
        failure = error
        if (attempt >= unheardMax) throw error
      }
    }
    return false
  }
}

/** Attempts whose outcome was not heard, each of some seconds. */
const unheardMax = 2
