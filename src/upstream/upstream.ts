/**
 * @module Another registry, as one who asks it sees it: requests with authorization, redirects, retries and
 * fail-over to the next URL, all within a deadline. What the registry counts of us is its account's; what
 * is cached is not known here.
 */

import type { Clock } from '../runtime/clock.ts'
import {
  type Account,
  type AccountLimits,
  type Budget,
  classOf,
  patientMsMax,
  type Sending,
} from './account.ts'
import type { Accounts } from './accounts.ts'
import type { Ask, PathAsk } from './ask.ts'
import type { BreakerState } from './breaker.ts'
import { type Answer, headerOf, readBody } from './client.ts'
import { isOfLimit, toUpstreamError, UpstreamError } from './error.ts'
import { Pace, type Paced, type PacedAsk, type PaceRates } from './pace.ts'
import { ratedBody } from './rated-body.ts'
import { sleep } from './sleep.ts'
import { judgeStatus, readWords } from './status.ts'
import { judgeTarget, type Reach, urlOf } from './target-rules.ts'
import type { Wanting } from './tokens.ts'
import { type Credential, Credentials } from './tokens.ts'

export interface UpstreamOptions extends Sending, PaceRates {
  readonly clock: Clock
  /** URLs, tried in order. A path in one is put before every repository's name. */
  readonly bases: readonly string[]
  readonly credentials: readonly Credential[]
  readonly limits: AccountLimits
  /** The way there: part of whom an account is of. */
  readonly caFile: string | undefined
  readonly proxy: string | undefined
  readonly accounts: Accounts
  /** A number from 0 to 1, for the jitter. */
  readonly random: () => number
  readonly onFailure: (error: UpstreamError) => void
  readonly onBytes: (count: number) => void
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

/** Whose request it is, for the logs of the other side. */
function userAgentOf(by: Ask['by']): string {
  return by === 'sync' ? 'fastregistry-sync' : 'fastregistry-mirror'
}

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

  /** Which registry it is: two upstreams of the same hosts have the same. */
  get realm(): string {
    const origins = this.#bases.map(({ url }) => url.origin)
    return [...new Set(origins)].sort().join(' ')
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
   * failure once attempts or time are used up. A sync waits for its turn at a host that is asked too
   * much; where that takes long it gets `limited` with `retryAt`. Throws what its signal was aborted with.
   */
  async ask(ask: Ask | PathAsk, pace = this.#paceOf(ask)): Promise<Answer> {
    const attempts = ask.attempts ?? attemptsDefault
    let failure: UpstreamError | undefined
    let waits = 0
    for (let attempt = 0; attempt < attempts; ) {
      if (failure !== undefined) await this.#backOff(ask, attempt + waits, failure, pace)
      for (const base of this.#bases) {
        ask.signal?.throwIfAborted()
        if (failure !== undefined && this.#options.clock.monotonic() >= pace.deadline) {
          throw this.#givenUp(ask, failure)
        }
        try {
          return await this.#askOne(ask, base, pace)
        } catch (error) {
          ask.signal?.throwIfAborted()
          if (ask.waitSignal?.aborted === true && error === ask.waitSignal.reason) throw error
          const known = toUpstreamError(error, base.url.host)
          this.#options.onFailure(known)
          if (!known.isPassing) throw known
          // The cause is worth more than "not asked again".
          if (failure === undefined || known.kind !== 'circuit' || ask.by === 'sync') {
            failure = known
          }
        }
      }
      // Whoever asks too much has not failed, and neither has the host.
      if (ask.by === 'sync' && isOfLimit(failure)) waits += 1
      else if (failure?.kind === 'circuit') break
      else attempt += 1
    }
    throw failure ?? new UpstreamError('timeout', 'no time left to ask upstream')
  }

  #paceOf(ask: PacedAsk): Paced {
    const { requestRate, contentRate } = this.#options
    if ((requestRate ?? contentRate) !== undefined) return new Pace(this.#options, ask)
    return { deadline: ask.deadline, turn: () => undefined }
  }

  /** GET of a small resource: head and whole body. */
  async fetch(
    ask: Omit<Ask, 'method'> | PathAsk,
    bytesMax: number,
  ): Promise<Answer & { bytes: Buffer }> {
    let failure: UpstreamError | undefined
    const pace = this.#paceOf(ask)
    // A body that breaks off is asked for again, as if the head had failed.
    for (let attempt = 0; attempt < 2; attempt += 1) {
      const answer = await this.ask({ method: 'GET', ...ask }, pace)
      try {
        const bytes = await readBody(answer, bytesMax)
        return { ...answer, bytes }
      } catch (error) {
        ask.signal?.throwIfAborted()
        failure = toUpstreamError(error, 'upstream')
        this.#options.onFailure(failure)
        if (!failure.isPassing || this.#options.clock.monotonic() >= pace.deadline) break
      }
    }
    throw failure!
  }

  async #askOne(ask: Ask | PathAsk, base: Base, pace: Paced): Promise<Answer> {
    const { url: origin, prefix } = base
    const isPath = 'path' in ask
    const own = isPath ? '' : ask.repository
    const account = this.#accountOf(base, own)
    const { tokens, slots } = account
    const repository = `${prefix}${own}`
    const { method, signal } = ask
    const isPatient = ask.by === 'sync'
    const of = classOf(ask)
    const wanting: Wanting = {
      base: origin,
      repository,
      ...(isPath ? { scope: ask.scope } : {}),
      tellsApart: isPatient,
      send: async (to, headers) => {
        await pace.turn()
        const { deadline } = pace
        const reach = this.#reachOf(to, origin)
        const call = { method: 'GET', url: to, headers, deadline, reach, slots, signal } as const
        return account.send({ ...call, isLater: isPatient }, 'token', this.#options)
      },
    }
    const ownHeaders = (isPath && ask.ownHeaders) || {}
    const isShown = 'Authorization' in ownHeaders || (isPath && ask.isOpen === true)
    let authorization = isShown ? undefined : await tokens.authorize(wanting)
    let url = urlOf(ask, origin, repository)
    let hasReauthorized = false
    /** A token without credentials for the host that a redirect has named. */
    let named: { readonly origin: string; readonly header: string } | undefined
    for (let redirects = 0; redirects <= redirectsMax; ) {
      // Credentials go to the upstream itself and to nobody whom it names.
      const isOwn = url.origin === origin.origin
      const headers: Record<string, string> = {
        'User-Agent': userAgentOf(ask.by),
        'Accept-Encoding': 'identity',
        ...ask.headers,
        ...(isOwn ? ownHeaders : {}),
      }
      const shown = isOwn ? authorization?.header : named?.origin === url.origin && named.header
      if (typeof shown === 'string') headers['Authorization'] = shown
      const reach = this.#reachOf(url, origin)
      const isBulk = ask.isBulk === true
      const body = isPath ? ask.body : undefined
      // What a redirect leads to is storage, which is not what requests are counted for.
      if (isOwn) await pace.turn(method === 'GET' && (of === 'manifest' || of === 'blob'))
      const { deadline } = pace
      const call = { method, url, headers, body, deadline, reach, slots, isBulk, signal }
      const answer = await account.send(
        { ...call, isLater: isPatient },
        isOwn ? of : 'link',
        this.#options,
      )
      const { status } = answer
      if (isOwn) account.noteBudget(answer.headers, of)
      if (status === 200 || status === 206 || status === 304) {
        return this.#accept(account, answer, url, isOwn)
      }
      if (status >= 300 && status < 400 && method !== 'POST') {
        const location = headerOf(answer.headers, 'location')
        answer.body.abort()
        if (location === undefined) throw this.#garbage(url, status, 'no Location', isOwn)
        url = judgeTarget(location, url, origin.protocol === 'https:')
        redirects += 1
        continue
      }
      const words = await readWords(answer)
      const challenge = headerOf(answer.headers, 'www-authenticate')
      if (status === 401 && isOwn && !hasReauthorized && !isShown) {
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
      const isJudged = isPath && ask.isJudgedByAsker === true
      const isCredential =
        status === 401 &&
        isOwn &&
        !isJudged &&
        authorization?.isCredential === true &&
        !(await this.#isTaken(account, wanting, authorization.header))
      const now = this.#options.clock.now()
      throw judgeStatus(url, answer, { method, isOwn, isCredential, isPatient, now }, words)
    }
    throw new UpstreamError('redirect', `${origin.host}: more than ${redirectsMax} redirects`, {
      host: origin.host,
    })
  }

  /** Whether the upstream takes a credential at all: asked once, with the support probe. */
  async #isTaken(account: Account, { base, send }: Wanting, header: string): Promise<boolean> {
    const known = account.isTaken(header)
    if (known !== undefined) return known
    const headers = { 'User-Agent': userAgentOf(undefined), Authorization: header }
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

  async #backOff(
    ask: Ask | PathAsk,
    attempt: number,
    failure: UpstreamError,
    { deadline }: Paced,
  ): Promise<void> {
    const { clock, random } = this.#options
    const left = deadline - clock.monotonic()
    const isPatient = ask.by === 'sync'
    const waitMsMax = isPatient ? patientMsMax : retryAfterWaitMsMax
    const wanted = failure.retryAfterMs ?? 0
    // Told to wait for longer than there is time: refused now rather than at the end.
    const isTooLong = isPatient && isOfLimit(failure) ? wanted > waitMsMax : wanted >= waitMsMax
    if (isTooLong || wanted >= left) throw this.#givenUp(ask, failure)
    const steps = isPatient && isOfLimit(failure) ? Math.min(attempt, 2) : attempt
    const jittered = backoffMs * 3 ** (steps - 1) * (0.5 + random())
    await sleep(Math.min(Math.max(wanted, jittered), Math.max(0, left)), ask.signal)
  }

  /** For a sync: a limit as such, whatever has refused the request last, and its end. */
  #givenUp({ by }: Ask | PathAsk, failure: UpstreamError): UpstreamError {
    if (by !== 'sync' || !isOfLimit(failure)) return failure
    const { host, status, words, retryAfterMs = askAgainMs } = failure
    return new UpstreamError('limited', failure.message, {
      host,
      status,
      words,
      retryAfterMs,
      retryAt: this.#options.clock.now() + retryAfterMs,
      isOurs: failure.isOurs,
      cause: failure,
    })
  }
}

/** From good to bad. */
const STATES: readonly BreakerState[] = ['closed', 'half-open', 'open']

/** Longest `Retry-After` that a pull waits out itself, ms. */
const retryAfterWaitMsMax = 3_000

/** When a sync may ask again where the host does not say it, ms. */
const askAgainMs = 60_000

function isWebPage(answer: Answer): boolean {
  const type = headerOf(answer.headers, 'content-type') ?? ''
  return /^text\/html\b/i.test(type.slice(0, 32))
}
