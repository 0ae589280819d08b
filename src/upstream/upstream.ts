/**
 * @module Another registry, as one who asks it sees it: requests with authorization, redirects, retries and
 * fail-over to the next URL, all within a deadline. What the registry counts of us is its account's; what
 * is cached is not known here.
 */

import type { Clock } from '../runtime/clock.ts'
import type { Account, AccountLimits, Accounts, Budget } from './account.ts'
import type { BreakerState } from './breaker.ts'
import { type Answer, type HttpCall, type HttpClient, headerOf, readBody } from './client.ts'
import { toUpstreamError, UpstreamError } from './error.ts'
import { ratedBody } from './rated-body.ts'
import { judgeStatus, readWords } from './status.ts'
import { judgeTarget, type Reach } from './target-rules.ts'
import type { Wanting } from './tokens.ts'
import { type Credential, Credentials } from './tokens.ts'

export interface UpstreamOptions {
  /** URLs, tried in order. A path in one is put before every repository's name. */
  readonly bases: readonly string[]
  readonly credentials: readonly Credential[]
  readonly limits: AccountLimits
  /** The way there: part of whom an account is of. */
  readonly caFile: string | undefined
  readonly proxy: string | undefined
  readonly accounts: Accounts
  readonly http: HttpClient
  readonly clock: Clock
  /** A number from 0 to 1, for the jitter. */
  readonly random: () => number
  readonly onRequest: (kind: 'HEAD' | 'GET') => void
  readonly onFailure: (error: UpstreamError) => void
  readonly onBytes: (count: number) => void
}

export interface Ask {
  readonly method: 'GET' | 'HEAD'
  readonly repository: string
  /** What follows the repository: `manifests/latest`, `blobs/sha256:…`. */
  readonly tail: string
  readonly headers?: Readonly<Record<string, string>>
  /** ms on the monotonic clock. */
  readonly deadline: number
  /** Attempts over all URLs; 1: no retry. */
  readonly attempts?: number
  /** A GET whose body may be large. */
  readonly isBulk?: boolean
}

/** One URL of the upstream, and our accounts there. */
interface Base {
  readonly url: URL
  readonly prefix: string
  /** By each credential that it may be asked with; undefined: without one. */
  readonly accounts: ReadonlyMap<Credential | undefined, Account>
}

const attemptsDefault = 3
const redirectsMax = 5
const backoffMs = 150
const userAgent = 'fastregistry-mirror'

export class Upstream {
  readonly #options: UpstreamOptions
  readonly #bases: readonly Base[]
  readonly #credentials: Credentials

  constructor(options: UpstreamOptions) {
    this.#options = options
    this.#credentials = new Credentials(options.credentials)
    const { limits, caFile, proxy, accounts } = options
    this.#bases = options.bases.map((text) => {
      const url = new URL(text)
      const path = url.pathname.replace(/^\/|\/$/g, '')
      const prefix = path === '' ? '' : `${path}/`
      const { origin } = url
      // Those alone that are asked with: what is joined has these limits for all who share it.
      const mine = this.#credentials
        .below(prefix)
        .map(
          (credential) =>
            [credential, accounts.join({ origin, credential, caFile, proxy }, limits)] as const,
        )
      return { url: new URL(origin), prefix, accounts: new Map(mine) }
    })
  }

  /** By host; where several credentials ask it, how the worst of them stands. */
  get breakers(): readonly { readonly host: string; readonly state: BreakerState }[] {
    const worst = new Map<string, BreakerState>()
    for (const { host, state } of this.#accounts().flatMap(({ breakers }) => breakers)) {
      const known = worst.get(host)
      const isWorse = known === undefined || STATES.indexOf(state) > STATES.indexOf(known)
      if (isWorse) worst.set(host, state)
    }
    return [...worst].map(([host, state]) => ({ host, state }))
  }

  /** By credential: what was said last. */
  get budgets(): readonly Budget[] {
    const latest = new Map<string, Budget>()
    for (const { budget } of this.#accounts()) {
      const known = budget && latest.get(budget.credential)
      if (budget === undefined || (known !== undefined && known.at > budget.at)) continue
      latest.set(budget.credential, budget)
    }
    return [...latest.values()]
  }

  #accounts(): readonly Account[] {
    return [...new Set(this.#bases.flatMap(({ accounts }) => [...accounts.values()]))]
  }

  #accountOf({ prefix, accounts }: Base, repository: string): Account {
    return accounts.get(this.#credentials.find(`${prefix}${repository}`))!
  }

  /** Whether every URL would be refused by its breaker: nothing is worth waiting for. */
  isShut(repository: string): boolean {
    return this.#bases.every((base) => this.#accountOf(base, repository).isShut(base.url.host))
  }

  /**
   * Takes a pass of every account that a range of the repository may be asked with. Returns what gives
   * it back, once; undefined when one of them has none left for this client (its key).
   */
  takePass(repository: string, client: string): (() => void) | undefined {
    const accounts = new Set(this.#bases.map((base) => this.#accountOf(base, repository)))
    const taken: (() => void)[] = []
    const giveBack = () => taken.forEach((give) => void give())
    for (const { passes } of accounts) {
      const give = passes.take(client)
      if (give === undefined) {
        giveBack()
        return undefined
      }
      taken.push(give)
    }
    return giveBack
  }

  /**
   * An answer of class 2xx or 304. Throws an `UpstreamError`: `missing` for a 404, else the last
   * failure once attempts or time are used up.
   */
  async ask(ask: Ask): Promise<Answer> {
    const attempts = ask.attempts ?? attemptsDefault
    let failure: UpstreamError | undefined
    for (let attempt = 0; attempt < attempts; attempt += 1) {
      if (attempt > 0) await this.#backOff(attempt, failure, ask.deadline)
      for (const base of this.#bases) {
        if (failure !== undefined && this.#options.clock.monotonic() >= ask.deadline) throw failure
        try {
          return await this.#askOne(ask, base)
        } catch (error) {
          const known = toUpstreamError(error, base.url.host)
          this.#options.onFailure(known)
          if (!known.isPassing) throw known
          // The cause is worth more than "not asked again".
          if (failure === undefined || known.kind !== 'circuit') failure = known
        }
      }
      if (failure?.kind === 'circuit') break
    }
    throw failure ?? new UpstreamError('timeout', 'no time left to ask upstream')
  }

  /** GET of a small resource: head and whole body. */
  async fetch(ask: Omit<Ask, 'method'>, bytesMax: number): Promise<Answer & { bytes: Buffer }> {
    let failure: UpstreamError | undefined
    // A body that breaks off is asked for again, as if the head had failed.
    for (let attempt = 0; attempt < 2; attempt += 1) {
      const answer = await this.ask({ ...ask, method: 'GET' })
      try {
        const bytes = await readBody(answer, bytesMax)
        return { ...answer, bytes }
      } catch (error) {
        failure = toUpstreamError(error, 'upstream')
        this.#options.onFailure(failure)
        if (!failure.isPassing || this.#options.clock.monotonic() >= ask.deadline) break
      }
    }
    throw failure!
  }

  async #askOne(ask: Ask, base: Base): Promise<Answer> {
    const { url: origin, prefix } = base
    const account = this.#accountOf(base, ask.repository)
    const { tokens, slots } = account
    const repository = `${prefix}${ask.repository}`
    const { deadline, method } = ask
    const wanting: Wanting = {
      base: origin,
      repository,
      send: (to, headers) => {
        const reach = this.#reachOf(to, origin)
        return this.#send(account, { method: 'GET', url: to, headers, deadline, reach, slots })
      },
    }
    let authorization = await tokens.authorize(wanting)
    let url = new URL(`/v2/${repository}/${ask.tail}`, origin)
    let hasReauthorized = false
    /** A token without credentials for the host that a redirect has named. */
    let named: { readonly origin: string; readonly header: string } | undefined
    for (let redirects = 0; redirects <= redirectsMax; ) {
      // Credentials go to the upstream itself and to nobody whom it names.
      const isOwn = url.origin === origin.origin
      const headers: Record<string, string> = {
        'User-Agent': userAgent,
        'Accept-Encoding': 'identity',
        ...ask.headers,
      }
      const shown = isOwn ? authorization?.header : named?.origin === url.origin && named.header
      if (typeof shown === 'string') headers['Authorization'] = shown
      const reach = this.#reachOf(url, origin)
      const isBulk = ask.isBulk === true
      const call = { method, url, headers, deadline, reach, slots, isBulk }
      const answer = await this.#send(account, call)
      const { status } = answer
      if (isOwn) account.noteBudget(answer.headers)
      if (status === 200 || status === 206 || status === 304) {
        return this.#accept(account, answer, url, isOwn)
      }
      if (status >= 300 && status < 400) {
        const location = headerOf(answer.headers, 'location')
        answer.body.abort()
        if (location === undefined) throw this.#garbage(url, status, 'no Location', isOwn)
        url = judgeTarget(location, url, origin.protocol === 'https:')
        redirects += 1
        continue
      }
      const words = await readWords(answer)
      const challenge = headerOf(answer.headers, 'www-authenticate')
      if (status === 401 && isOwn && !hasReauthorized) {
        hasReauthorized = true
        const next = await tokens.reauthorize(wanting, challenge, authorization)
        if (next !== undefined) {
          authorization = next
          continue
        }
      }
      if (status === 401 && !isOwn && named === undefined) {
        const header = await tokens.anonymous(wanting, url, challenge)
        named = { origin: url.origin, header: header ?? '' }
        if (header !== undefined) continue
      }
      // A password that is good otherwise is not refused: it is this repository that is.
      const isCredential =
        status === 401 &&
        isOwn &&
        authorization?.isCredential === true &&
        !(await this.#isTaken(account, wanting, authorization.header))
      throw judgeStatus(url, answer, { method, isOwn, isCredential }, words)
    }
    throw new UpstreamError('redirect', `${origin.host}: more than ${redirectsMax} redirects`, {
      host: origin.host,
    })
  }

  /** Whether the upstream takes a credential at all: asked once, with the support probe. */
  async #isTaken(account: Account, { base, send }: Wanting, header: string): Promise<boolean> {
    const known = account.isTaken(header)
    if (known !== undefined) return known
    const headers = { 'User-Agent': userAgent, Authorization: header }
    const answer = await send(new URL('/v2/', base), headers)
    answer.body.abort()
    const isTaken = answer.status === 200
    account.noteTaken(header, isTaken)
    return isTaken
  }

  /** Hosts that an upstream names may be private ones only where it is in a private network itself. */
  #reachOf(url: URL, origin: URL): Reach {
    if (url.origin === origin.origin) return 'any'
    return this.#options.http.isPrivate(origin.hostname) ? 'any' : 'public'
  }

  #accept(account: Account, answer: Answer, url: URL, isOwn: boolean): Answer {
    const coding = headerOf(answer.headers, 'content-encoding')
    if (coding !== undefined && coding !== '' && coding !== 'identity') {
      answer.body.abort()
      throw this.#garbage(url, answer.status, `content coding ${coding} was not asked for`, isOwn)
    }
    // A login page, or a proxy's error page: no registry answers a page with success.
    if (isWebPage(answer)) {
      answer.body.abort()
      throw this.#garbage(url, answer.status, 'a web page', isOwn)
    }
    return { ...answer, body: ratedBody(answer.body, account.byteRate, this.#options.onBytes) }
  }

  #garbage({ host }: URL, status: number, what: string, isOwn: boolean): UpstreamError {
    const words = isOwn ? what : undefined
    const isElsewhere = !isOwn
    const message = `${host} answers ${status}`
    return new UpstreamError('garbage', message, { host, status, words, isElsewhere })
  }

  /** One request to one host, through its breaker. 5xx and 429 count as the host's failures. */
  async #send(account: Account, call: HttpCall): Promise<Answer> {
    const { clock } = this.#options
    const { url, deadline, method } = call
    const { host } = url
    const leftMs = Math.max(0, deadline - clock.monotonic())
    const waitMs = account.requestRate.take(1)
    const isInTime = waitMs <= leftMs
    // It will not be asked: a debt for it would keep others waiting for nothing.
    if (!isInTime) account.requestRate.take(-1)
    if (waitMs > 0) await sleep(Math.min(waitMs, leftMs))
    if (!isInTime || clock.monotonic() >= deadline) {
      throw new UpstreamError('timeout', `${host}: no time left to ask`, { host, isOurs: true })
    }
    const breaker = account.breakerOf(host)
    breaker.enter(host)
    try {
      this.#options.onRequest(method)
      const answer = await this.#options.http.send(call)
      // A method that it does not know is no failure of the host.
      const isFailure = answer.status >= 500 && answer.status !== 501
      if (isFailure || answer.status === 429) {
        const how = { method, isOwn: false, isCredential: false }
        breaker.failed(judgeStatus(url, answer, how, undefined))
      } else breaker.succeeded()
      return answer
    } catch (error) {
      const known = toUpstreamError(error, host)
      if (known.isOurs) breaker.unheard()
      else breaker.failed(known)
      throw known
    }
  }

  async #backOff(attempt: number, failure: UpstreamError | undefined, deadline: number) {
    const { clock, random } = this.#options
    const left = deadline - clock.monotonic()
    const wanted = failure?.retryAfterMs ?? 0
    // Told to wait for longer than there is time: refused now rather than at the end.
    if (failure !== undefined && wanted >= Math.min(left, retryAfterWaitMsMax)) throw failure
    const jittered = backoffMs * 3 ** (attempt - 1) * (0.5 + random())
    await sleep(Math.min(Math.max(wanted, jittered), Math.max(0, left)))
  }
}

/** From good to bad. */
const STATES: readonly BreakerState[] = ['closed', 'half-open', 'open']

/** Longest `Retry-After` that a request waits out itself, ms. */
const retryAfterWaitMsMax = 3_000

function isWebPage(answer: Answer): boolean {
  const type = headerOf(answer.headers, 'content-type') ?? ''
  return /^text\/html\b/i.test(type.slice(0, 32))
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
