/**
 * @module What another registry counts of us: everything that belongs to one host and one credential. It
 * is shared by all who ask there with it, so that two mirrors of one registry do not ask twice as
 * much, learn of its failures together, and get one token. A request is sent when its turn has come: by the
 * rates, the gate of its class, the breaker of its host.
 */

import { BoundedMap } from '../runtime/bounded-map.ts'
import type { Clock } from '../runtime/clock.ts'
import { Rate } from '../runtime/token-bucket.ts'
import { type Ask, type PathAsk, REQUEST_CLASSES, type RequestClass } from './ask.ts'
import { Breaker, type BreakerState } from './breaker.ts'
import type { Answer, AnswerHeaders, HttpCall, HttpClient } from './client.ts'
import { toUpstreamError, UpstreamError } from './error.ts'
import { Gate, type Leave, type Outcome } from './gate.ts'
import { PassBudget } from './pass-budget.ts'
import { isReserved, type Quota, readQuota } from './quota.ts'
import { sleep } from './sleep.ts'
import { Slots } from './slots.ts'
import { judgeStatus } from './status.ts'
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
  /** Requests a second of a class, beside those that are known of the host. */
  readonly classes?: Readonly<Partial<Record<RequestClass, number>>>
}

const QUOTA_HEADERS = ['limit', 'remaining'].flatMap((it) => [
  `ratelimit-${it}`,
  `x-ratelimit-${it}`,
])

/** What hosts are known to allow, somewhat less than it. */
const KNOWN_HOSTS: Readonly<Record<string, Readonly<Record<RequestClass, number>>>> = {
  'quay.io': { api: 4, list: 4, manifest: 40, blob: 40 },
}

/** Longest that a class of requests is put off, ms. */
const putOffMsMax = 24 * 3600 * 1000

/** What a rate limit says is left, by credential. */
export interface Budget {
  readonly credential: string
  readonly limit: number | undefined
  readonly remaining: number | undefined
  readonly at: number
  /** When it is whole again, ms since 1970, where the host says it. */
  readonly resetAt?: number | undefined
}

/** Hosts whose breaker is remembered: those that redirects name come and go. */
const breakersMax = 256

/** Headers of which it is remembered whether the host takes them, and for how long. */
const takenMax = 64
const takenForMs = 15_000
const refusedForMs = 5_000

/** Longest that a request of a sync waits where the host says how long, ms. */
export const patientMsMax = 30_000

/** Its class where it is for the upstream itself; `token`, or `link` where a redirect leads. */
export type SentFor = RequestClass | 'token' | 'link'

/** What sends, and who counts it. */
export interface Sending {
  readonly http: HttpClient
  readonly onRequest: (kind: HttpCall['method']) => void
  /** Of the upstream itself; `token`: of whoever gives them. */
  readonly onAnswer?: (of: RequestClass | 'token', status: number) => void
}

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
  /** Of what hosts refuse to syncs because they ask too much: whoever waits for a pull is not held by it. */
  readonly #syncBreakers = new BoundedMap<string, Breaker>(breakersMax)
  readonly #taken = new Map<string, { readonly isTaken: boolean; readonly until: number }>()
  readonly #gates: Readonly<Record<RequestClass, Gate>>
  readonly #quotas = new Map<RequestClass, Quota>()
  /** Until when a class is not asked, ms since 1970. */
  readonly #putOffUntil = new Map<RequestClass, number>()
  #budget: Budget | undefined
  /** Whether a class has a rate. */
  #isRated: boolean

  constructor(
    { credential, origin }: Pick<AccountOwner, 'credential' | 'origin'>,
    limits: AccountLimits,
    clock: Clock,
    sharers?: () => number,
  ) {
    this.#credential = credential
    this.#clock = clock
    this.tokens = new Tokens(credential, clock)
    this.slots = new Slots(limits.connections)
    this.passes = new PassBudget(limits.connections)
    this.requestRate = new Rate(limits.requestsPerSecond, clock, 'all', 1, sharers)
    this.byteRate = new Rate(limits.bytesPerSecond, clock, 'all', 1, sharers)
    const known = KNOWN_HOSTS[new URL(origin).hostname]
    this.#isRated = known !== undefined || limits.classes !== undefined
    const windowMax = () => this.slots.perOrigin
    const gateOf = (of: RequestClass) => {
      const gate = new Gate({ perSecond: known?.[of] ?? 0, clock, windowMax, sharers })
      gate.lower(limits.classes?.[of] ?? 0)
      return gate
    }
    this.#gates = {
      api: gateOf('api'),
      list: gateOf('list'),
      manifest: gateOf('manifest'),
      blob: gateOf('blob'),
    }
  }

  /** One more who asks with it: of two limits the smaller one holds for both. */
  lower({ connections, bytesPerSecond, requestsPerSecond, classes }: AccountLimits): void {
    this.slots.lower(connections)
    this.passes.lower(connections)
    this.requestRate.lower(requestsPerSecond)
    this.byteRate.lower(bytesPerSecond)
    if (classes === undefined) return
    this.#isRated = true
    for (const of of REQUEST_CLASSES) this.#gates[of].lower(classes[of] ?? 0)
  }

  gateOf(of: RequestClass): Gate {
    return this.#gates[of]
  }

  /** Any answer. 5xx and 429 count as the host's failures. Throws an `UpstreamError`. */
  async send(call: HttpCall, of: SentFor, by: Sending): Promise<Answer> {
    const { host } = call.url
    const breakers = this.#breakersFor(call)
    // Many of a sync wait for one host: what is refused takes no turn from what is not.
    this.#requireOpen(call, of)
    if (call.isLater === true) for (const it of breakers) if (it.isShut) it.enter(host)
    await this.#waitForRate(call, of)
    const leave = await this.#enter(call, of)
    let outcome: Outcome = 'unheard'
    try {
      enterAll(breakers, host)
      const answer = await this.#ask(call, of, by)
      outcome = outcomeOf(answer)
      return answer
    } finally {
      leave(outcome)
    }
  }

  async #ask(call: HttpCall, of: SentFor, by: Sending): Promise<Answer> {
    const { method, url } = call
    const breakers = this.#breakersFor(call)
    try {
      by.onRequest(method)
      const answer = await by.http.send(call)
      const { status } = answer
      if (of !== 'link') by.onAnswer?.(of, status)
      // A method that it does not know is no failure of the host.
      const isFailure = (status >= 500 && status !== 501) || status === 429
      if (isFailure) {
        const isPatient = call.isLater === true
        const now = this.#clock.now()
        const how = { method, isOwn: false, isCredential: false, isPatient, now }
        const failure = judgeStatus(url, answer, how, undefined)
        const { retryAfterMs = 0 } = failure
        const isLong = retryAfterMs > patientMsMax
        if (isLong && of !== 'link' && of !== 'token') this.putOff(of, retryAfterMs)
        tellFailure(breakers, failure)
      } else for (const it of breakers) it.succeeded()
      return answer
    } catch (error) {
      const known = toUpstreamError(error, url.host)
      if (known.isOurs) for (const it of breakers) it.unheard()
      else tellFailure(breakers, known)
      throw known
    }
  }

  async #waitForRate(call: HttpCall, of: SentFor): Promise<void> {
    // Links of a sync lead to storage, which is not what its requests are counted for.
    if (call.isLater === true && of === 'link') return
    const clock = this.#clock
    const { deadline, signal } = call
    const leftMs = () => Math.max(0, deadline - clock.monotonic())
    const waitMs = this.requestRate.take(1)
    const isInTime = waitMs <= leftMs()
    // It will not be asked: a debt for it would keep others waiting for nothing.
    if (!isInTime) this.requestRate.take(-1)
    if (waitMs > 0) await sleep(Math.min(waitMs, leftMs()), signal)
    if (!isInTime || clock.monotonic() >= deadline) throw noTime(call)
  }

  /** Waits for the turn of a request of its class. */
  async #enter(call: HttpCall, of: SentFor): Promise<Leave> {
    if (of === 'link' || of === 'token') return () => undefined
    const clock = this.#clock
    const { deadline, isLater, signal } = call
    const by = isLater === true ? 'sync' : 'pull'
    const gate = this.#gates[of]
    // A pull is held back by a rate alone; what it was refused still counts.
    if (by === 'pull' && !this.#isRated) {
      return (outcome) => {
        if (outcome === 'congested') gate.refused()
      }
    }
    const leave = await gate.enter(by, deadline - clock.monotonic(), signal)
    if (leave === undefined) throw noTime(call)
    try {
      // What was answered meanwhile may have closed it.
      this.#requireOpen(call, of)
    } catch (error) {
      leave('unheard')
      throw error
    }
    return leave
  }

  /** Throws `limited` where a sync may not ask now: it was told so, or little is left of the quota. */
  #requireOpen({ url, method, isLater }: HttpCall, of: SentFor): void {
    if (isLater !== true || of === 'link' || of === 'token') return
    const until = this.closedUntil(of, method)
    if (until === undefined) return
    const { host } = url
    const retryAfterMs = until - this.#clock.now()
    const message = `${host}: a sync may not ask it for now`
    throw new UpstreamError('limited', message, { host, retryAfterMs, isOurs: true })
  }

  /** Nobody of a sync asks for anything of the class until then, ms from now. */
  putOff(of: RequestClass, ms: number): void {
    const until = this.#clock.now() + Math.min(ms, putOffMsMax)
    this.#putOffUntil.set(of, Math.max(until, this.#putOffUntil.get(of) ?? 0))
  }

  /**
   * When a sync may ask for the class again, ms since 1970; undefined: now. It leaves what the host counts to
   * those who wait for a pull, as soon as little is left of it.
   */
  closedUntil(of: RequestClass, method: string): number | undefined {
    const now = this.#clock.now()
    const until = this.#putOffUntil.get(of)
    // A clock that was set back keeps nobody waiting for longer than was said.
    if (until !== undefined && until > now && until <= now + putOffMsMax) return until
    const quota = this.#quotas.get(of)
    // HEADs are not what hosts count.
    if (quota === undefined || method === 'HEAD' || quota.resetAt <= now) return undefined
    return isReserved(quota, of) ? quota.resetAt : undefined
  }

  get breakers(): readonly { readonly host: string; readonly state: BreakerState }[] {
    return [...this.#breakers].map(([host, breaker]) => ({ host, state: breaker.state }))
  }

  /** The one of all; for a sync, the one of syncs as well. */
  #breakersFor({ url: { host }, isLater }: HttpCall): Breakers {
    const all = this.#breakerOf(host, this.#breakers)
    return isLater === true ? [all, this.#breakerOf(host, this.#syncBreakers)] : [all]
  }

  #breakerOf(host: string, known: BoundedMap<string, Breaker>): Breaker {
    let breaker = known.get(host)
    if (breaker === undefined) {
      breaker = new Breaker(this.#clock)
      known.set(host, breaker)
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

  noteBudget(headers: AnswerHeaders, of: RequestClass): void {
    if (!QUOTA_HEADERS.some((name) => name in headers)) return
    const at = this.#clock.now()
    const quota = readQuota(headers, at)
    if (quota === undefined) return
    const { limit, remaining } = quota
    const credential = this.#credential?.username ?? 'anonymous'
    this.#budget = { credential, limit, remaining, at, resetAt: quota.saidResetAt }
    this.#quotas.set(of, quota)
  }

  /** Whether the host takes a header that shows the credential; undefined while that is not known. */
  isTaken(header: string): boolean | undefined {
    const known = this.#taken.get(header)
    if (known === undefined) return undefined
    // A credential may end at any time.
    return this.#clock.monotonic() < known.until ? known.isTaken : undefined
  }

  noteTaken(header: string, isTaken: boolean): void {
    if (this.#taken.size >= takenMax) this.#taken.clear()
    const forMs = isTaken ? takenForMs : refusedForMs
    this.#taken.set(header, { isTaken, until: this.#clock.monotonic() + forMs })
  }
}

type Breakers = readonly [Breaker] | readonly [Breaker, Breaker]

/** Throws `circuit` where one of them is shut; then none of them waits for an outcome. */
function enterAll(breakers: Breakers, host: string): void {
  const entered: Breaker[] = []
  try {
    for (const breaker of breakers) {
      breaker.enter(host)
      entered.push(breaker)
    }
  } catch (error) {
    for (const breaker of entered) breaker.unheard()
    throw error
  }
}

/** A host that a sync asks too much has not failed for others: they learn it when they are told so themselves. */
function tellFailure([all, ofSyncs]: Breakers, failure: UpstreamError): void {
  const isOfSync = ofSyncs !== undefined && failure.kind === 'limited'
  if (isOfSync) all.unheard()
  else all.failed(failure)
  if (isOfSync) ofSyncs.failed(failure)
  else ofSyncs?.unheard()
}

function noTime({ url: { host } }: HttpCall): UpstreamError {
  return new UpstreamError('timeout', `${host}: no time left to ask`, { host, isOurs: true })
}

function outcomeOf({ status }: Answer): Outcome {
  if (status === 429 || status === 503) return 'congested'
  return status >= 500 ? 'unheard' : 'good'
}

/** Which limits of registries it is counted for. */
export function classOf(ask: Ask | PathAsk): RequestClass {
  if ('path' in ask) return ask.class
  if (ask.tail.startsWith('blobs/')) return 'blob'
  return ask.tail.startsWith('tags/') ? 'list' : 'manifest'
}
