/** @module What can go wrong between a node and the log in memory, and how long things take. */

/** May be changed at any time. Times are milliseconds, means of an exponential one; chances are 0 to 1. */
export interface LogFaults {
  requestMs: number
  replyMs: number
  /** From the log to a follower. */
  deliveryMs: number
  /** A call that was not answered rejects after this. */
  timeoutMs: number
  /** The request is lost: the call rejects and has done nothing. */
  loseRequest: number
  /** The call rejects although it was done. */
  loseReply: number
  /** An append rejects, and comes into the log later by `lateMs`. */
  late: number
  lateMs: number
  /** An append that resolves stands in the log twice, as after a client's own second try. */
  repeat: number
  /** A delivery has only some of the entries that are there. */
  split: number
  /** A delivery takes `stuckMs`, and what comes in meanwhile waits for it. */
  stuck: number
  stuckMs: number
  /** Breaks the port, for negative controls: a follower is not given an entry, and what follows comes. */
  dropEntry: number
}

export const NO_FAULTS: Readonly<LogFaults> = {
  requestMs: 1,
  replyMs: 1,
  deliveryMs: 1,
  timeoutMs: 1500,
  loseRequest: 0,
  loseReply: 0,
  late: 0,
  lateMs: 500,
  repeat: 0,
  split: 0,
  stuck: 0,
  stuckMs: 2000,
  dropEntry: 0,
}

/** What becomes of a call. */
export type CallFate = 'done' | 'loseRequest' | 'loseReply' | 'late' | 'repeat'

/** What a call that found no majority is told: nothing. It ends by its time-out. */
export const NO_ANSWER = Symbol('no answer')
