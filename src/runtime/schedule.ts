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
 * The first time of the expression that is later than `after`, ms since the epoch; undefined when none
 * comes. By the wall clock of the time zone: a time that an hour of the spring leaves out comes right
 * behind it, one that an hour of the autumn repeats comes once.
 */
export function nextTime(expression: string, after: number, timezone?: string): number | undefined {
  const options = { paused: true, ...(timezone === undefined ? {} : { timezone }) }
  return new Cron(expression, options).nextRun(new Date(after))?.getTime()
}

/**
 * The last time of the expression that is not later than `until`, ms since the epoch; undefined when there is none. By
 * the wall clock of the time zone, as `nextTime`.
 */
export function lastTime(expression: string, until: number, timezone?: string): number | undefined {
  const options = { paused: true, ...(timezone === undefined ? {} : { timezone }) }
  // It finds what is before a time.
  const [last] = new Cron(expression, options).previousRuns(1, new Date(until + 1))
  return last?.getTime()
}

/** Why the expression has no times; undefined when it has. */
export function scheduleProblem(expression: string, timezone?: string): string | undefined {
  try {
    const options = { paused: true, ...(timezone === undefined ? {} : { timezone }) }
    const next = new Cron(expression, options).nextRun()
    return next === null ? 'no day ever matches it' : undefined
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
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
