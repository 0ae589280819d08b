/**
 * @module When a source runs again after a run that could not begin: its credential was refused, or no host answered.
 */
import type { SyncStateRow } from '../../metadata/rows/upstream.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { RunEnd } from './source-run.ts'

/** First wait after a refused credential, and the longest, ms: more than that locks accounts. */
const refusedMs = 5 * 60_000
const refusedMsMax = 6 * 3_600_000

/** The same after a run in which no host answered: it may be back any minute. */
const downMs = 10_000
const downMsMax = 5 * 60_000

/** Of a credential that was refused once more: how often, and for how long it is left alone. Outlives a restart. */
export function refusedOnceMore(
  { refusals = 0 }: SyncStateRow,
  now: number,
): Pick<SyncStateRow, 'refusals' | 'refusedUntil'> {
  const ms = Math.min(refusedMsMax, refusedMs * 2 ** Math.min(refusals, 16))
  return { refusals: refusals + 1, refusedUntil: now + ms }
}

/**
 * What is left of that wait after a start, which may have brought another credential: as long as after a first refusal
 * at the most, so that a process that starts again and again locks no account.
 */
export function refusedAtStart(
  { refusedUntil, ...state }: SyncStateRow,
  now: number,
): SyncStateRow {
  if (refusedUntil === undefined) return state
  return { ...state, refusedUntil: Math.min(refusedUntil, now + refusedMs) }
}

/** Runs in a row in which no host answered. */
export class RunOutages {
  readonly #clock: Clock
  #runs = 0
  /** On the monotonic clock. */
  #until = 0

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** For how long no run begins by itself, ms. */
  get leftMs(): number {
    return this.#runs === 0 ? 0 : Math.max(0, this.#until - this.#clock.monotonic())
  }

  /** A run has ended. True: no host answered, as in the run before, of which an operator has heard. */
  note({ isDown, result }: RunEnd): boolean {
    if (result === 'cancelled') return false
    const runs = this.#runs
    this.#runs = isDown ? runs + 1 : 0
    this.#until = this.#clock.monotonic() + Math.min(downMsMax, downMs * 2 ** Math.min(runs, 16))
    return isDown && runs > 0
  }
}
