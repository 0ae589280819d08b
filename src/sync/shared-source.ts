/**
 * @module A source that all nodes of a mesh have, as the runner of one of them sees it. One runs at once, under the lead
 * of the source; what the runs of others came to stands in the rows.
 */
import type { Jobs } from '../jobs/jobs.ts'
import type { Ticks } from '../jobs/ticks.ts'
import { lastTime } from '../runtime/schedule.ts'
import { writerOf } from './journal.ts'
import type { ActiveRun } from './runs/active-run.ts'
import type { RunParts } from './runs/parts.ts'
import type { RunEnd } from './runs/source-run.ts'
import { type Moment, type RunTimes, storedTimes } from './schedule.ts'

/** How often a run looks whether another node was asked to pause it, ms. */
const watchMs = 2_000

type Parts = Pick<RunParts, 'config' | 'journal' | 'metadata' | 'sleep'>

export interface SharedSourceParts extends Parts {
  readonly jobs: Jobs
  readonly ticks: Ticks
}

export class SharedSource {
  readonly #parts: SharedSourceParts
  /** The last run that was looked at, as far as it had come. */
  #seen: string | undefined

  constructor(parts: SharedSourceParts) {
    this.#parts = parts
  }

  /** The job of a run on another node. To be asked while none runs here. */
  get jobElsewhere(): string | undefined {
    return this.#parts.jobs.running(writerOf(this.#parts.config.name))
  }

  /** The times to go by, when a run was begun or has ended anywhere since the last look. `isOk`: as in `RunTimes`. */
  timesOf(before: RunTimes, isOk: boolean, now: Moment): RunTimes {
    const { journal, config } = this.#parts
    const [last] = journal.runs(config.name, 1)
    if (last === undefined) return before
    const { startedAt, endedAt } = last
    const seen = `${startedAt} ${endedAt}`
    if (seen === this.#seen) return before
    const isNew = this.#seen !== undefined
    this.#seen = seen
    const isDone = isOk || before.isDone || (isNew && endedAt !== undefined)
    const times = storedTimes({ startedAt, endedAt: endedAt ?? startedAt }, isDone, now)
    return { ...times, startedAt: Math.max(times.startedAt, before.startedAt) }
  }

  /** Whether the run that is due is this node's: of each time of a schedule one is. Throws what the log says. */
  async takes(now: Moment): Promise<boolean> {
    const { config, metadata, ticks } = this.#parts
    const { mode, schedule, timezone, name } = config
    // Without times of its own, who has the lead runs.
    if (mode !== 'continuous' || schedule === undefined) return true
    const at = lastTime(schedule, now.wall, timezone)
    return at === undefined || (await ticks.take(metadata, writerOf(name), at))
  }

  /** While a run goes on here, another node may be asked to pause it. */
  async watch(active: ActiveRun): Promise<void> {
    const { journal, sleep, config } = this.#parts
    const over = new AbortController()
    void active.ended.then(() => over.abort())
    while (!over.signal.aborted) {
      await sleep(watchMs, over.signal)
      if (journal.state(config.name)?.isPaused === true) active.stop('paused')
    }
  }

  /** A run without a job of its own. Throws LeadTaken while the source runs on another node. */
  run(active: ActiveRun): Promise<RunEnd> {
    return this.#parts.jobs.under(writerOf(this.#parts.config.name), (signal) => {
      signal?.addEventListener('abort', () => active.stop('cancelled'), { once: true })
      return active.run.run()
    })
  }
}
