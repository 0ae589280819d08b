/**
 * @module One entry of the log as data: who sent it, what it says of the runs of members, and the transactions
 * that it orders. `log/codec.ts` makes bytes of it, `apply/entry.ts` rows.
 */
import type { MemberFacts, MemberState } from './rows/mesh.ts'
import type { CommitOutcome, Transaction } from './transaction.ts'

/** Who sent an entry, and as which of its own: what makes a repeated one known. */
export interface EntryHead {
  /** A member's number, given once and never again. */
  readonly member: number
  /** Number of the member's run. */
  readonly boot: number
  /** 1, 2, 3 … within the run. */
  readonly seq: number
  /** Entries of the same body that follow. */
  readonly piecesLeft: number
}

export interface Entry extends EntryHead {
  /** Bytes of the body, or of a piece of it. */
  readonly body: Uint8Array
}

export interface EntryBody {
  readonly controls: readonly Control[]
  /** Shared changes only. */
  readonly transactions: readonly Transaction[]
}

/** How a member answers for rows that change: it is waited for by every write, or it asks the log for each read. */
export type ReadMode = 'strict' | 'barrier'

/**
 * What a member says in the log, of its own run but for `member`, `state` and `absent`. `signal` numbers the signs of life
 * of a run: a lease hangs on which of them was seen.
 */
export type Control =
  /** A member joins under a number of its own. Undone when the number was given before. */
  | { readonly control: 'member'; readonly member: number; readonly facts: MemberFacts }
  /** A member is something else now. Undone when it has left, or there is none. */
  | { readonly control: 'state'; readonly member: number; readonly state: MemberState }
  /**
   * The run is here: it takes part from this index on. Its older runs, and what they sent late, count no more.
   * `level`: the newest rules that its program knows; absent: 1.
   */
  | {
      readonly control: 'present'
      readonly signal: number
      readonly reads: ReadMode
      readonly level?: number
    }
  /**
   * From the next entry on all apply by the rules of that level. Undone when they are in force, or when a member that
   * has not left runs a program that does not know them.
   */
  | { readonly control: 'raise'; readonly level: number }
  /**
   * Still here, once a second. `visible`: the index that its reads show; `durable`: what a power loss cannot take;
   * `chain`: the hash over all entries up to one that it has applied (`log/chain.ts`).
   */
  | {
      readonly control: 'beat'
      readonly signal: number
      readonly visible: number
      readonly durable: number
      readonly chain?: { readonly at: number; readonly hash: Uint8Array }
      /** The member's wall clock, ms since 1970: no more than a hint of how far clocks are apart. */
      readonly clock?: number
    }
  /**
   * A run was silent since its beat at that index: it is put out, and what it sends is void until it is present
   * again. Undone when there is a newer beat.
   */
  | {
      readonly control: 'absent'
      readonly member: number
      readonly boot: number
      readonly beat: number
    }
  /**
   * Pins of the run are over: these, and all whose number is below `below`. A transaction behind it that names one
   * is refused. The member may remove a file only behind this entry: so no clock decides about a copy.
   */
  | { readonly control: 'revoke'; readonly pins: readonly number[]; readonly below: number }
  /**
   * The run takes the lead of a job. Undone while another run, or itself, has it and takes part; done, what it does
   * as that job names this entry's index (`LeadCheck`).
   */
  | { readonly control: 'lead'; readonly job: string }
  /** The run gives the lead of a job back. Undone when it has it no more. */
  | { readonly control: 'yield'; readonly job: string }

/** What became of an entry; the same on every node. */
export type EntryFate =
  | 'applied'
  /** A piece of a longer body: it waits for the others. */
  | 'kept'
  /** Applied before: its answer was lost, and it was sent again. */
  | 'repeated'
  /** Of a run that is over, or was put out: nothing of it was done, nor will be. */
  | 'void'
  /** The program cannot apply it: it is left out everywhere. */
  | 'poison'

export interface AppliedEntry {
  readonly index: number
  readonly member: number
  readonly boot: number
  readonly seq: number
  readonly fate: EntryFate
  /** As it was applied: with the changes of the node's own tables, where it sent it. Else empty, like the outcomes. */
  readonly body: EntryBody
  /** One for each transaction. */
  readonly outcomes: readonly CommitOutcome[]
  /** For each control whether it was done. */
  readonly done: readonly boolean[]
}

/** What a node's front end has to know of an entry that was applied. */
export interface SeenEntry
  extends Pick<AppliedEntry, 'index' | 'member' | 'boot' | 'fate' | 'done'> {
  readonly controls: readonly Control[]
  /** What it changed for readers (`paths.ts`). */
  readonly paths: readonly string[]
}
