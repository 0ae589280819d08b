/**
 * @module The clock seam: wall time for rows and logs, monotonic time for durations. Tests hand in
 * their own, so that ages and time-outs need no sleeping.
 */

export interface Clock {
  /** Milliseconds since the epoch. May step backwards when the machine's clock is set. */
  now(): number
  /** Milliseconds on a clock that never steps. */
  monotonic(): number
}

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
}
