/**
 * @module Work at the times of a cron expression. The only user of croner (no dependencies, runs on
 * every supported Node, understands the five usual fields in local time).
 */
import { Cron } from 'croner'

export interface Schedule {
  /** The next time, ms since the epoch; undefined when there is none. */
  readonly next: number | undefined
  stop(): void
}

/**
 * Runs `work` at each of the expression's times; a run that is still going on is not started again.
 * Throws when the expression is not valid. A failed run goes to `onError`, the next still comes.
 */
export function startSchedule(
  expression: string,
  work: () => Promise<void>,
  onError: (error: unknown) => void,
): Schedule {
  const job = new Cron(expression, { protect: true, unref: true, catch: onError }, work)
  return {
    get next() {
      return job.nextRun()?.getTime()
    },
    stop: () => job.stop(),
  }
}
