/**
 * @module The refusal of credentials that are not judged now, right or wrong: 503 with Retry-After.
 * Not of those that were judged and found wrong (`CredentialsRefused`).
 */
import { RegistryError } from '../registry/errors.ts'

/**
 * Why, as a word for the audit trail: the address (or the user from there) has failed too often; too
 * many passwords wait, or their worker is down; the keys of the token's issuer cannot be had.
 */
export type PutOffReason = 'throttled' | 'busy' | 'no-keys'

/** Names nobody, so that one of them does for a whole flood: to make an error costs most of it. */
export class LoginPutOff extends RegistryError {
  readonly reason: PutOffReason

  constructor(reason: PutOffReason, message: string, retryAfterSeconds: number) {
    super('LOGIN_PUT_OFF', { message, facts: { retryAfterSeconds } })
    this.reason = reason
  }
}
