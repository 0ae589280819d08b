/**
 * @module What all repositories of a run share, and how its requests wait: for a host that wants to be left
 * alone, and for one that does not answer.
 */
import { Semaphore } from '../../runtime/semaphore.ts'
import { writerOf } from '../journal.ts'
import type { SyncError } from '../port.ts'
import { isDown, retryAtOf, toSyncError } from '../sources/failures.ts'
import type { Windows } from '../windows.ts'
import type { RunParts } from './parts.ts'
import { recordShrink } from './shrinks.ts'
import type { Tally } from './tally.ts'
import { Gate, waitMsMax } from './waits/gate.ts'
import { HeldNames } from './waits/held-names.ts'
import { Outage } from './waits/outage.ts'
import { Refusals } from './waits/refusals.ts'

/** Times that one request waits for a host that is back and still does not answer it. */
const outagesMax = 3

export interface RunScope {
  readonly parts: RunParts
  readonly tally: Tally
  readonly gate: Gate
  readonly outage: Outage
  /** Names of lists that are held. */
  readonly names: HeldNames
  /** Tags in work. */
  readonly slots: Semaphore
  /** Ends a copy in its middle: the server stops. */
  readonly hard: AbortSignal
  /** Ends requests of lists, and begins no tag: a person wants it, or nothing more can come. */
  readonly soft: AbortSignal
  readonly isForced: boolean
  readonly by: string
  /** Undefined: every tag. */
  readonly isAskedTag: ((tag: string) => boolean) | undefined
  readonly refusals: Refusals
  /** Tags that are tried once more at the end of the run. */
  readonly again: { count: number }
  /** Says that a list has shrunk, of a repository here or, with an empty name, of all of them. */
  readonly shrunk: (repository: string, what: string) => Promise<void>
}

export interface ScopeHow extends Pick<RunScope, 'hard' | 'soft' | 'isForced' | 'isAskedTag'> {
  /** Undefined: the run may go on at any time. */
  readonly windows: Windows | undefined
  /** Lets the run end with this: it concerns all that would follow. The first one counts. */
  readonly end: (error: SyncError) => void
}

export function openScope(parts: RunParts, tally: Tally, how: ScopeHow): RunScope {
  const { clock, sleep, space, config, logger, upstream } = parts
  const { windows, end, ...signals } = how
  const { soft } = how
  const by = writerOf(config.name)
  const onWait = (message: string | undefined) => {
    tally.waiting = message
  }
  const probe = () => upstream.probe(soft)
  const outage = new Outage({
    clock,
    sleep,
    probe,
    signal: soft,
    onWait,
    onBegin: ({ reason, message }) =>
      logger.warn(
        { sync: config.name, reason, message },
        'upstream does not answer: the run waits',
      ),
    onOver: (ms) =>
      logger.info({ sync: config.name, seconds: Math.round(ms / 1_000) }, 'upstream answers again'),
    onDead: end,
  })
  return {
    ...signals,
    parts,
    tally,
    by,
    outage,
    gate: new Gate({ clock, sleep, space, windows, signal: soft, onWait }),
    names: new HeldNames(),
    slots: new Semaphore(config.concurrency),
    refusals: new Refusals({ probe, end }),
    again: { count: 0 },
    shrunk: (repository, what) => recordShrink(parts, by, repository, what),
  }
}

/**
 * Runs what upstream may put off, or fail to hear, again when it may. `waits`: also for a host that does not answer
 * at all.
 */
export async function patiently<T>(
  scope: RunScope,
  work: () => Promise<T>,
  waits = true,
): Promise<T> {
  const { gate, parts, outage, soft } = scope
  const until = parts.clock.monotonic() + waitMsMax
  let outages = 0
  for (;;) {
    await gate.pass()
    try {
      return await work()
    } catch (error) {
      if (soft.aborted) throw error
      if (toSyncError(error).reason === 'rate-limited') {
        if (parts.clock.monotonic() >= until) throw error
        gate.holdUntil(retryAtOf(error))
        continue
      }
      outages += 1
      if (!waits || !isDown(error) || outages > outagesMax || !(await outage.wait(error)))
        throw error
    }
  }
}
