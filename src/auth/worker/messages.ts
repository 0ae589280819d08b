/**
 * @module What the queue of passwords and its thread say to each other: plain data only.
 */
import type { MessagePort } from 'node:worker_threads'

/** The thread that compares passwords: `workers/password.ts`. */
export interface PasswordSetup {
  readonly port: MessagePort
}

export interface PasswordRequest {
  readonly id: number
  readonly password: string
  readonly hash: string
}

export interface PasswordReply {
  readonly id: number
  readonly isRight: boolean
}
