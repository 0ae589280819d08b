/**
 * @module Starts the serving set of a run of this node, with the clock that keeps it going.
 */
import type { ReadMode } from '../metadata/entry.ts'
import type { RunOfLog } from '../metadata/lmdb/log-commits.ts'
import type { Clock } from '../runtime/clock.ts'
import type { RoomState } from './room.ts'
import { ServingSet } from './serving.ts'

const tickMs = 100

export interface ServingOptions {
  readonly member: number
  readonly reads: ReadMode
  readonly leaseMs: number
  readonly clock: Clock
  /** Tells the other members which entries the reads of this run show. */
  readonly report: (boot: number, visible: number) => void
  /** Whether the disk has room for rows. Default: always. */
  readonly room?: () => RoomState
}

/** What the others wait beyond a lease, ms: clocks run apart by less in that time. */
const marginMs = 500

/** Ends with `close` of the set. */
export function startServing(run: RunOfLog, options: ServingOptions): ServingSet {
  const { member, reads, leaseMs, clock, report, room = () => 'enough' as const } = options
  const { boot, submit, isSilent, head, durable, applied, sessions } = run
  const set = new ServingSet(
    {
      member,
      boot,
      reads,
      leaseMs,
      marginMs,
      now: () => clock.monotonic(),
      submit,
      isSilent,
      head,
      durable,
      isShort: () => room() !== 'enough',
      report: (visible) => report(boot, visible),
      onClosed: () => clearInterval(timer),
    },
    applied,
    sessions,
  )
  let isHeld = false
  const timer = setInterval(() => {
    const isFull = room() === 'full'
    if (isFull !== isHeld) run.hold(isFull)
    isHeld = isFull
    set.tick()
  }, tickMs)
  set.tick()
  return set
}
