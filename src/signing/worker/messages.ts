/**
 * @module What the examiner and its thread say to each other: plain data only.
 */
import type { MessagePort } from 'node:worker_threads'
import type { Candidate, Subject } from '../verdicts/examine.ts'
import type { Finding } from '../verdicts/finding.ts'
import type { Rule, Verdict } from '../verdicts/policy.ts'
import type { WantedSigner } from '../verdicts/signers.ts'

/** The thread that looks at signatures: `workers/signature.ts`. */
export interface SignatureSetup {
  readonly port: MessagePort
}

/** A public key, checked at the start; PEM, because a key object of a thread belongs to it. */
export interface NamedKey {
  readonly name: string
  readonly pem: string
  /** Signatures of later do not count, ms since the epoch; undefined: it has no end. */
  readonly untilMs?: number | undefined
}

/** A trusted root of sigstore, checked at the start. */
export interface NamedRoot {
  readonly name: string
  readonly json: string
  /** When its file was written, or its newest key began, whichever is later, ms since the epoch. */
  readonly renewedAt: number
}

/** A trust store of Notation, checked at the start. */
export interface NamedStore {
  readonly name: string
  readonly type: 'ca' | 'signingAuthority' | 'tsa'
  /** DER. */
  readonly certificates: readonly Uint8Array[]
}

/** What signatures are verified with. */
export interface Trust {
  /** Another one whenever keys, roots or stores change: what the thread has read of them is kept until then. */
  readonly version: number
  readonly keys: readonly NamedKey[]
  readonly roots: readonly NamedRoot[]
  readonly stores: readonly NamedStore[]
  /** All that the configuration names. */
  readonly signers: readonly WantedSigner[]
  /** Names or SHA-256 of keys, SHA-256 of certificates: lower-case hex. */
  readonly revoked: { readonly keys: readonly string[]; readonly certificates: readonly string[] }
  /** ms since the epoch. */
  readonly now: number
}

export interface ExamineRequest {
  readonly id: number
  readonly subject: Subject
  readonly candidates: readonly Candidate[]
  readonly trust: Trust
  /** Of the policy that governs the image; undefined: none does. */
  readonly rules: readonly Rule[] | undefined
  /** Tags that every signature has to name, to count; empty: none. */
  readonly tags: readonly string[]
  /** What it may take, ms. */
  readonly msMax: number
}

export interface Examined {
  readonly findings: readonly Finding[]
  /** Something was left out: too many, too long, or the time was up. */
  readonly isTruncated: boolean
  /** By the rules of the request. */
  readonly verdict: Verdict | undefined
  /** What it took, ms. */
  readonly ms: number
}

export interface ExamineReply {
  readonly id: number
  /** Undefined: the thread failed over it, which is a fault of this program. */
  readonly examined: Examined | undefined
  readonly fault?: string
}
