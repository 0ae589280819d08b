/**
 * @module What another registry counts of us: everything that belongs to one host and one credential. It
 * is shared by all who ask there with it, so that two mirrors of one registry do not ask twice as
 * much, learn of its failures together, and get one token.
 */
import { BoundedMap } from '../runtime/bounded-map.ts'
import type { Clock } from '../runtime/clock.ts'
import { Rate } from '../runtime/token-bucket.ts'
import { Breaker, type BreakerState } from './breaker.ts'
import { type AnswerHeaders, headerOf } from './client.ts'
import { PassBudget } from './pass-budget.ts'
import { Slots } from './slots.ts'
import type { Credential } from './tokens.ts'
import { Tokens } from './tokens.ts'

/** Whom an account is of, and the way there: over another proxy a host may be another one. */
export interface AccountOwner {
  readonly origin: string
  /** Undefined: nobody in particular. */
  readonly credential: Credential | undefined
  readonly caFile: string | undefined
  readonly proxy: string | undefined
}

export interface AccountLimits {
  /** Requests under way to one host. */
  readonly connections: number
  /** 0: unlimited. */
  readonly bytesPerSecond: number
  readonly requestsPerSecond: number
}

/** What a rate limit says is left, by credential. */
export interface Budget {
  readonly credential: string
  readonly limit: number | undefined
  readonly remaining: number | undefined
  readonly at: number
}

/** Hosts whose breaker is remembered: those that redirects name come and go. */
const breakersMax = 256

/** Headers of which it is remembered whether the host takes them, and for how long that it does not. */
const takenMax = 64
const refusedForMs = 5_000

export class Account {
  readonly tokens: Tokens
  readonly slots: Slots
  /** Ranges asked for beside the fills. */
  readonly passes: PassBudget
  readonly requestRate: Rate
  readonly byteRate: Rate
  readonly #clock: Clock
  readonly #credential: Credential | undefined
  /** By host: the upstream's own, and those that it names. */
  readonly #breakers = new BoundedMap<string, Breaker>(breakersMax)
  readonly #taken = new Map<string, { readonly isTaken: boolean; readonly until: number }>()
  #budget: Budget | undefined

  constructor(credential: Credential | undefined, limits: AccountLimits, clock: Clock) {
    this.#credential = credential
    this.#clock = clock
    this.tokens = new Tokens(credential, clock)
    this.slots = new Slots(limits.connections)
    this.passes = new PassBudget(limits.connections)
    this.requestRate = new Rate(limits.requestsPerSecond, clock, 'all')
    this.byteRate = new Rate(limits.bytesPerSecond, clock, 'all')
  }

  /** One more who asks with it: of two limits the smaller one holds for both. */
  lower({ connections, bytesPerSecond, requestsPerSecond }: AccountLimits): void {
    this.slots.lower(connections)
    this.passes.lower(connections)
    this.requestRate.lower(requestsPerSecond)
    this.byteRate.lower(bytesPerSecond)
  }

  get breakers(): readonly { readonly host: string; readonly state: BreakerState }[] {
    return [...this.#breakers].map(([host, breaker]) => ({ host, state: breaker.state }))
  }

  breakerOf(host: string): Breaker {
    let breaker = this.#breakers.get(host)
    if (breaker === undefined) {
      breaker = new Breaker(this.#clock)
      this.#breakers.set(host, breaker)
    }
    return breaker
  }

  /** Whether a request to the host would be refused now. */
  isShut(host: string): boolean {
    return this.#breakers.get(host)?.isShut === true
  }

  /** What the host's last answer said; undefined where it counts nothing. */
  get budget(): Budget | undefined {
    return this.#budget
  }

  noteBudget(headers: AnswerHeaders): void {
    const limit = leadingNumber(headerOf(headers, 'ratelimit-limit'))
    const remaining = leadingNumber(headerOf(headers, 'ratelimit-remaining'))
    if (limit === undefined && remaining === undefined) return
    const credential = this.#credential?.username ?? 'anonymous'
    this.#budget = { credential, limit, remaining, at: this.#clock.now() }
  }

  /** Whether the host takes a header that shows the credential; undefined while that is not known. */
  isTaken(header: string): boolean | undefined {
    const known = this.#taken.get(header)
    if (known === undefined) return undefined
    return known.isTaken || this.#clock.monotonic() < known.until ? known.isTaken : undefined
  }

  noteTaken(header: string, isTaken: boolean): void {
    if (this.#taken.size >= takenMax) this.#taken.clear()
    this.#taken.set(header, { isTaken, until: this.#clock.monotonic() + refusedForMs })
  }
}

/** Every account of the process. */
export class Accounts {
  readonly #clock: Clock
  readonly #byOwner = new Map<string, Account>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** The account of this owner, for one more who asks. Bounded by the configuration. */
  join(owner: AccountOwner, limits: AccountLimits): Account {
    const key = keyOf(owner)
    const known = this.#byOwner.get(key)
    if (known !== undefined) {
      known.lower(limits)
      return known
    }
    const account = new Account(owner.credential, limits, this.#clock)
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

function leadingNumber(text: string | undefined): number | undefined {
  const match = /^(\d{1,15})/.exec((text ?? '').slice(0, 64).trim())
  return match === null ? undefined : Number(match[1])
}
