/**
 * @module What the examiner and its thread say to each other: plain data only.
 */
import type { MessagePort } from 'node:worker_threads'
import type { Candidate, Subject } from '../verdicts/examine.ts'
import type { Finding } from '../verdicts/finding.ts'
import type { Rule, Verdict } from '../verdicts/policy.ts'

/** The thread that looks at signatures: `workers/signature.ts`. */
export interface SignatureSetup {
  readonly port: MessagePort
}

/** A public key, checked at the start; PEM, because a key object of a thread belongs to it. */
export interface NamedKey {
  readonly name: string
  readonly pem: string
}

export interface ExamineRequest {
  readonly id: number
  readonly subject: Subject
  readonly candidates: readonly Candidate[]
  readonly keys: readonly NamedKey[]
  /** Of the policy that governs the image; undefined: none does. */
  readonly rules: readonly Rule[] | undefined
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
