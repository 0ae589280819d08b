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

/** Why the expression has no times; undefined when it has. */
export function scheduleProblem(expression: string): string | undefined {
  try {
    const next = new Cron(expression, { paused: true }).nextRun()
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
