/**
 * @module What the examiner and its thread say to each other: plain data only.
 */
import type { MessagePort } from 'node:worker_threads'
import type { Candidate, Examination, Subject } from '../verdicts/examine.ts'

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
}

export interface ExamineReply {
  readonly id: number
  /** Undefined: the thread failed over it, which is a fault of this program. */
  readonly examination: Examination | undefined
  readonly fault?: string
}
