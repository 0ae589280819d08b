/**
 * @module The time of the log in etcd, as a seam: tests move it instead of waiting.
 * @apart the engine's parts share it, and a test puts its own in its place
 */
import { type Clock, systemClock } from '../../../runtime/clock.ts'

export interface Time extends Pick<Clock, 'monotonic'> {
  /** Runs `action` once, `ms` from now. The returned function takes that back. */
  after(ms: number, action: () => void): () => void
}

export const systemTime: Time = {
  monotonic: () => systemClock.monotonic(),
  after: (ms, action) => {
    const timer = setTimeout(action, ms)
    return () => clearTimeout(timer)
  },
}
