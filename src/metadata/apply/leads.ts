/**
 * @module Who leads a job, as the log knows it: at most one run of one member at any place in the order. A lead ends
 * when its run gives it back, is put out, or is followed by a newer run of the member. No clock decides, and nobody has to
 * take it away: a run that was put out and comes in again has lost it, although the row may still name it.
 */
import type { RowAccess } from '../row-access.ts'
import type { LeadRow, SessionRow } from '../rows/mesh.ts'
import type { LeadCheck } from '../transaction.ts'

/** Names of jobs, characters: a name becomes a key. */
export const leadNameMax = 300

/** Whether the lead that was taken with that entry is still its run's. */
export function isLed(rows: RowAccess, { job, member, boot, index }: LeadCheck): boolean {
  const row = rows.get('leads', job) as LeadRow | undefined
  if (row === undefined || row.member !== member || row.boot !== boot) return false
  return row.index === index && stands(rows, row)
}

/**
 * Whether the run has the lead now: it was free, or its holder takes part no more. Throws TypeError when the name is none: the entry is poison then.
 */
export function takeLead(rows: RowAccess, job: string, by: LeadRow): boolean {
  requireName(job)
  const row = rows.get('leads', job) as LeadRow | undefined
  if (row !== undefined && stands(rows, row)) return false
  rows.put('leads', job, by)
  return true
}

/** Whether the run had it, and has it no more. Throws as `takeLead` does. */
export function yieldLead(
  rows: RowAccess,
  job: string,
  { member, boot }: Omit<LeadRow, 'index'>,
): boolean {
  requireName(job)
  const row = rows.get('leads', job) as LeadRow | undefined
  if (row === undefined || row.member !== member || row.boot !== boot) return false
  rows.delete('leads', job)
  return true
}

/** Whether its run has taken part from before it was taken until here: a newer run came in later. */
function stands(rows: RowAccess, { member, index }: LeadRow): boolean {
  const session = rows.get('sessions', String(member)) as SessionRow | undefined
  return session !== undefined && session.presentAt > 0 && session.presentAt <= index
}

function requireName(job: unknown): void {
  if (typeof job === 'string' && job.length > 0 && job.length <= leadNameMax) return
  throw new TypeError('the name of a job is missing, or too long')
}
