/**
 * @module Lists that have lost more than half of what they had: the run goes on and copies, an operator hears of it,
 * and a prune waits for one.
 */
import { recordEvent } from '../../metadata/edits.ts'
import type { RunParts } from './parts.ts'

/** Whether a list of `now` entries, of which there were `before`, has shrunk so far. */
export function hasShrunk(before: number | undefined, now: number): boolean {
  return before !== undefined && now * 2 < before
}

/** Says it in the log and in the history. `repository`: its name here; empty: the list of all of them. */
export async function recordShrink(
  { metadata, clock, logger, config }: RunParts,
  by: string,
  repository: string,
  what: string,
): Promise<void> {
  logger.warn({ sync: config.name, repository, reason: 'shrunk' }, what)
  const why = `${config.name}: ${what}`.slice(0, whyMax)
  const row = { at: clock.now(), action: 'sync-shrunk', repository, by, why } as const
  await metadata.commit({ checks: [], changes: [recordEvent(row)] })
}

/** Longest sentence of an event, characters. */
const whyMax = 300
