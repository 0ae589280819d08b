/**
 * @module What jobs need to know of a mesh: who runs here, and how the right to run a job is taken that no two nodes
 * may run at once. `mesh/leads.ts` implements it; on one node there is none, and nothing asks.
 */
import type { LeadCheck } from '../metadata/transaction.ts'

/** A run of a member of the mesh. */
export interface MemberRun {
  readonly member: number
  readonly boot: number
}

/** The right to run a job, of this node's run. */
export interface Lead {
  /** Goes with every transaction of the job: it is refused once the lead is another's. */
  readonly check: LeadCheck
  /** Aborted when this node hears that it has lost the lead, and when it has given it back. */
  readonly signal: AbortSignal
}

export interface LeadSource {
  /** This node's run; undefined while it has none. */
  readonly run: MemberRun | undefined
  /**
   * Resolves when the lead is taken, in the log and in the rows here; undefined: a run has it, perhaps this one.
   * Rejects with LOG_SILENT after five seconds, and then takes nothing.
   */
  take(job: string): Promise<Lead | undefined>
  /** Gives it back; nothing when it is lost. In the log a moment later. */
  give(lead: Lead): void
}

/** The lead is another's, or was given up with the run: the transaction was not applied, and nothing was changed. */
export class LeadLost extends Error {
  override readonly name = 'LeadLost'

  constructor(job: string) {
    super(
      `this node may not go on with ${job}: it was cut off from the others, and another may do it now`,
    )
  }
}

/** Another run has the lead of the job. */
export class LeadTaken extends Error {
  override readonly name = 'LeadTaken'

  constructor(job: string) {
    super(`another node is at ${job} already`)
  }
}
