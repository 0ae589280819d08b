/**
 * @module Rows about signatures: what policies say of manifests, what was revoked, and which pulls a policy would
 * refuse. Times are ms since 1970.
 */
import type { Digest } from '../../registry/digest.ts'
import type { Tag } from '../../registry/tag.ts'

/** As a policy says it. */
export type VerdictState = 'verified' | 'incomplete' | 'untrusted' | 'unsigned'

/** One finding, as a refusal lists it. */
export interface TriedRow {
  readonly signature: string
  readonly scheme: string
  readonly signer?: string
  readonly result: string
  readonly reason?: string
}

/**
 * What the policy of a repository says of one of its manifests. `pending`: nothing, as long as it is being worked
 * out, or since something changed that it rested on.
 */
export interface VerdictRow {
  readonly state: VerdictState | 'pending'
  /** Fingerprint of the policy and of everything that decides with it; of a pending one: which attempt works on it. */
  readonly judgedBy: string
  /** Names of the keys whose signatures count. */
  readonly by: readonly string[]
  /** What `verified` rests on. */
  readonly rests: readonly { readonly manifest: Digest; readonly tag?: Tag }[]
  readonly at: number
  /** It says nothing from then on; undefined: it holds until something changes. */
  readonly validUntil?: number
  /** For the client, where it is not verified. */
  readonly message?: string
  /** What was found and why it does not count, where it is not verified; bounded by `triedMax`. */
  readonly tried?: readonly TriedRow[]
  /** Of a pending one: what it said before. */
  readonly was?: VerdictState
}

export const verdictShapes: readonly (readonly string[])[] = [
  ['state', 'judgedBy', 'by', 'rests', 'at'],
  ['manifest', 'tag'],
]

/** A digest that nobody may pull any more, in any repository. */
export interface RevokedRow {
  readonly at: number
  readonly by: string
  readonly reason: string
}

/** Who pulled, and how often. */
export interface PullerRow {
  /** The user's name; empty for anonymous. */
  readonly user: string
  readonly address: string
  readonly count: number
  readonly lastAt: number
}

export const pullersMax = 16

/** Pulls of one manifest that its policy refused, or would refuse. */
export interface PullViolationRow {
  readonly policy: string
  readonly mode: 'audit' | 'warn' | 'enforce'
  readonly state: string
  readonly message: string
  readonly count: number
  readonly firstAt: number
  readonly lastAt: number
  /** The last ones first; bounded by `pullersMax`. */
  readonly pullers: readonly PullerRow[]
}
