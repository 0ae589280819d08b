/**
 * @module Rows of the mesh: who its members are, how far their runs have come in the log, and where this node
 * stands in it. Numbers of entries are indexes of the log.
 */
/**
 * What a member is to the mesh. It owns files while it is `active`, whether it runs or not.
 *
 *   joining ─► active ─► draining ─► left      (it was asked to go, and what it had is elsewhere)
 *                 └────► out ─► active         (it was away for long; it is back when it says that it is)
 *
 *   witness ─► left                            (it votes in etcd, and has neither rows nor files)
 */
export type MemberState = 'joining' | 'active' | 'draining' | 'out' | 'left' | 'witness'

/** What a member says of itself when it joins. */
export interface MemberFacts {
  readonly name: string
  /** Where its peers reach it: `host:port`. */
  readonly address: string
  /** What fails together with it, such as a rack; empty where none was set. */
  readonly zone: string
  /** TiB that it has for files. */
  readonly weight: number
  /** SHA-256 of its public key (SubjectPublicKeyInfo, DER), hexadecimal. */
  readonly key: string
  /** It only votes. */
  readonly witness?: true
}

/** A member of the mesh, by its number. */
export interface MemberRow extends MemberFacts {
  readonly state: MemberState
  /** Index of the entry with which it joined. */
  readonly since: number
}

/** What is one for all members, whatever their configurations say. */
export interface ClusterRow {
  /** How many members own a blob's file. */
  readonly replicationFactor?: number
  /** The rules in force (`level.ts`); absent: 1. */
  readonly level?: number
}

/** A secret of the cluster, as all nodes keep it. */
export interface SecretRow {
  readonly sealed: Uint8Array
}

/** What the log knows of a member's last run (`apply/entry.ts`). Numbers of entries are indexes of the log. */
export interface SessionRow {
  readonly boot: number
  /** The last entry of the run that counted. */
  readonly seq: number
  /** Since when it takes part; 0: it was put out, or has not come in yet. */
  readonly presentAt: number
  /** Whether writes wait for its reads, or its reads ask the log. */
  readonly reads: 'strict' | 'barrier'
  /** Its last sign of life. */
  readonly beat: number
  /** What its reads show, at least, and what a loss of power cannot take from it. */
  readonly visible: number
  readonly durable: number
  /** The newest rules that its program knows (`level.ts`); absent: 1. */
  readonly level?: number
}

/**
 * Pins of a member's last run that are over (`apply/held.ts`): all numbers below one, and some from there on. A
 * pin without a word here may be used by one transaction more.
 */
export interface EndedPinsRow {
  readonly below: number
  /** In order, at most `endedPinsMax`. */
  readonly pins: readonly number[]
}

/** A blob's file on this node. */
export interface CopyRow {
  readonly bytes: number
  /** `owner`: others count on it. `cache`: it was fetched for pulls, and goes when room is short. */
  readonly role: 'owner' | 'cache'
  /** By this node's clock: the file was not written to since, ms since the epoch. */
  readonly addedAt: number
  /** Coarse. */
  readonly pulledAt: number
}

/** The last entry of the log that this node has applied. */
export interface PlaceRow {
  /** Which log it is of (`SequencedLog.identity`). */
  readonly log: string
  readonly index: number
  /** Where to follow on (`log/port.ts`). */
  readonly token: string
  /** Hash over all entries up to it and what they came to (`log/chain.ts`). */
  readonly chain: Uint8Array
}

/** Who runs a job that no two members may run at once (`apply/leads.ts`). */
export interface LeadRow {
  readonly member: number
  /** The member's run that took it: with the run it ends. */
  readonly boot: number
  /** Index of the entry with which it was taken: what is done under it names it. */
  readonly index: number
}

/** The last time of a schedule that was taken, and by which run: each is taken once over all members. */
export interface TickRow {
  /** By the schedule's expression, not by a clock: ms since 1970. */
  readonly at: number
  readonly member: number
  readonly boot: number
}
