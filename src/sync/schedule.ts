/**
 * @module When the next run of a source begins. Functions of given times: whoever waits asks again after
 * every run, every change, and at least each minute, because the machine's clock may be set meanwhile.
 *
 *   once                        now, unless it has run; later only when it is asked for
 *   continuous with schedule    at the first tick after the start of the last run
 *   continuous without          `intervalMs` after the end of the last run
 *   manual                      only when it is asked for
 *
 * A tick that fell into the last run, or into a time without a server, lies between the start of the last
 * run and now. However many there are, that is one run, begun at once: nothing else is remembered of them.
 */
import type { SyncSourceConfig } from '../config/config.ts'
import type { Random } from '../runtime/random.ts'
import { nextTime } from '../runtime/schedule.ts'
import { opensAt } from './windows.ts'

export type Timing = Pick<
  SyncSourceConfig,
  'mode' | 'schedule' | 'timezone' | 'windows' | 'intervalMs'
>

/** One look at both clocks (`runtime/clock.ts`), ms. */
export interface Moment {
  readonly wall: number
  readonly monotonic: number
}

/** What is known of the runs of a source. */
export interface RunTimes {
  /**
   * Start of the last run, by itself or asked for, by the wall clock; of a source that never ran, when it
   * was first seen. Ticks after it count.
   */
  readonly startedAt: number
  /** End of the last run by the monotonic clock; undefined: it never ran. */
  readonly endedAt: number | undefined
  /** A run succeeded with what the configuration selects now, or one has ended since the server started. */
  readonly isDone: boolean
}

/** Longest wait before the caller looks at the clock again, ms. */
export const lookMsMax = 60_000

/** Start jitter: so much of the period, and at most so many ms. */
const jitterShareMax = 0.1
const jitterMsMax = 60_000

/** The times of a source whose last run ended before this process began, by the wall clock. */
export function storedTimes(
  last: { readonly startedAt: number; readonly endedAt: number } | undefined,
  isDone: boolean,
  now: Moment,
): RunTimes {
  if (last === undefined) return { startedAt: now.wall, endedAt: undefined, isDone }
  const sinceMs = Math.max(0, now.wall - last.endedAt)
  return settled({ startedAt: last.startedAt, endedAt: now.monotonic - sinceMs, isDone }, now)
}

/**
 * The times to go on with. A start that lies ahead was written before the clock was set back: ticks count
 * from now then. The caller keeps what it gets, at each look: else no tick until that start would count.
 */
export function settled(times: RunTimes, now: Moment): RunTimes {
  return times.startedAt <= now.wall ? times : { ...times, startedAt: now.wall }
}

/**
 * When the next run begins, by the wall clock; not later than now: immediately. Undefined: only when it
 * is asked for. `times` are settled. `share`: what `drawShare` gave for this run, so that asking again moves
 * nothing.
 */
export function nextRunAt(
  timing: Timing,
  times: RunTimes,
  now: Moment,
  share: number,
): number | undefined {
  const tick = nextTick(timing, times, now)
  if (tick === undefined) return undefined
  const at = tick.at + jitterMs(tick.periodMs, share)
  // A window holds for the run, not for its tick: one that is over opens again later.
  return opensAt(timing, Math.max(at, now.wall))
}

/** How long to wait before the next look at the clocks, ms; 0: the run is due. */
export function lookAfterMs(at: number | undefined, now: Moment): number {
  return at === undefined ? lookMsMax : Math.min(lookMsMax, Math.max(0, at - now.wall))
}

/** From 0 to below 1; drawn once for each run that is waited for. */
export function drawShare(random: Random): number {
  const bytes = random.bytes(4)
  return new DataView(bytes.buffer, bytes.byteOffset, 4).getUint32(0) / 2 ** 32
}

/** How much later than its tick a run begins, so that nodes with one schedule do not begin together. */
export function jitterMs(periodMs: number, share: number): number {
  return Math.floor(share * Math.min(periodMs * jitterShareMax, jitterMsMax))
}

interface Tick {
  readonly at: number
  /** To the tick after it; 0: there is none. */
  readonly periodMs: number
}

function nextTick(timing: Timing, times: RunTimes, now: Moment): Tick | undefined {
  const { mode, schedule, timezone, intervalMs } = timing
  if (mode === 'manual') return undefined
  if (mode === 'once') return times.isDone ? undefined : { at: now.wall, periodMs: 0 }
  if (schedule === undefined) {
    if (times.endedAt === undefined) return { at: now.wall, periodMs: 0 }
    const leftMs = times.endedAt + intervalMs - now.monotonic
    return { at: now.wall + leftMs, periodMs: intervalMs }
  }
  const at = nextTime(schedule, times.startedAt, timezone)
  if (at === undefined) return undefined
  const following = nextTime(schedule, at, timezone)
  return { at, periodMs: following === undefined ? 0 : following - at }
}
