/**
 * @module Every account of the process: one for each host and credential, whichever mirrors and syncs use it.
 */
import type { Clock } from '../runtime/clock.ts'
import { Account, type AccountLimits, type AccountOwner } from './account.ts'

/** Every account of the process. */
export class Accounts {
  readonly #clock: Clock
  readonly #byOwner = new Map<string, Account>()
  readonly #sharers: (() => number) | undefined

  /** `sharers`: how many nodes ask with these accounts at the moment. Default: this one alone. */
  constructor(clock: Clock, sharers?: () => number) {
    this.#clock = clock
    this.#sharers = sharers
  }

  /** The account of this owner, for one more who asks. Bounded by the configuration. */
  join(owner: AccountOwner, limits: AccountLimits): Account {
    const key = keyOf(owner)
    const known = this.#byOwner.get(key)
    if (known !== undefined) {
      known.lower(limits)
      return known
    }
    const account = new Account(owner, limits, this.#clock, this.#sharers)
    this.#byOwner.set(key, account)
    return account
  }
}

/** The same for credentials that are the same, whichever repositories they are for. */
function keyOf({ origin, credential, caFile, proxy }: AccountOwner): string {
  const { username, secret, isToken, tokenServer } = credential ?? {}
  const who = credential && [username, secret?.kind, secret?.value, isToken, tokenServer]
  return JSON.stringify([origin, caFile, proxy, who])
}
