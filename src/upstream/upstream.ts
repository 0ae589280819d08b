/**
 * @module One mirror's upstream as a registry: requests with authorization, redirects, retries and
 * fail-over to the next URL, all within a deadline. Knows nothing of what is cached.
 */

import type { Clock } from '../runtime/clock.ts'
import { Breaker, type BreakerState } from './breaker.ts'
import {
  type HttpAnswer,
  type HttpBody,
  type HttpCall,
  type HttpClient,
  headerOf,
  readBody,
} from './client.ts'
import { type Credential, Credentials } from './credentials.ts'
import { toUpstreamError, UpstreamError } from './error.ts'
import { RateGate } from './rate-gate.ts'
import { judgeStatus, readWords } from './status.ts'
import { judgeTarget, type Reach } from './target-rules.ts'
import { Tokens } from './tokens.ts'

export interface UpstreamOptions {
  readonly bases: readonly string[]
  readonly credentials: readonly Credential[]
  readonly bytesPerSecond: number
  readonly requestsPerSecond: number
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

/** What a rate limit says is left, by credential. */
export interface Budget {
  readonly credential: string
  readonly limit: number | undefined
  readonly remaining: number | undefined
  readonly at: number
}

const attemptsDefault = 3
const redirectsMax = 5
const backoffMs = 150
const userAgent = 'fastregistry-mirror'

export class Upstream {
  readonly #options: UpstreamOptions
  readonly #bases: readonly { readonly url: URL; readonly prefix: string }[]
  readonly #credentials: Credentials
  readonly #tokens: Tokens
  readonly #breakers = new Map<string, Breaker>()
  readonly #budgets = new Map<string, Budget>()
  readonly #taken = new Map<string, { readonly isTaken: boolean; readonly until: number }>()
  readonly #requestGate: RateGate
  readonly #byteGate: RateGate

  constructor(options: UpstreamOptions) {
    this.#options = options
    this.#bases = options.bases.map((text) => {
      const url = new URL(text)
      const path = url.pathname.replace(/^\/|\/$/g, '')
      return { url: new URL(url.origin), prefix: path === '' ? '' : `${path}/` }
    })
    this.#credentials = new Credentials(options.credentials)
    this.#requestGate = new RateGate(options.requestsPerSecond, options.clock)
    this.#byteGate = new RateGate(options.bytesPerSecond, options.clock)
    this.#tokens = new Tokens(this.#credentials, options.clock, (url, headers, deadline, base) => {
      const reach = this.#reachOf(url, base)
      return this.#send({ method: 'GET', url, headers, deadline, reach })
    })
  }

  get breakers(): readonly { readonly host: string; readonly state: BreakerState }[] {
    return [...this.#breakers].map(([host, breaker]) => ({ host, state: breaker.state }))
  }

  get budgets(): readonly Budget[] {
    return [...this.#budgets.values()]
  }

  /** Whether every URL would be refused by its breaker: nothing is worth waiting for. */
  get isShut(): boolean {
    return this.#bases.every(({ url }) => this.#breakers.get(url.host)?.isShut === true)
  }

  /**
   * An answer of class 2xx or 304. Throws an `UpstreamError`: `missing` for a 404, else the last
   * failure once attempts or time are used up.
   */
  async ask(ask: Ask): Promise<HttpAnswer> {
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
  async fetch(ask: Omit<Ask, 'method'>, bytesMax: number): Promise<HttpAnswer & { bytes: Buffer }> {
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

  async #askOne(
    ask: Ask,
    { url: origin, prefix }: { readonly url: URL; readonly prefix: string },
  ): Promise<HttpAnswer> {
    const repository = `${prefix}${ask.repository}`
    const { deadline, method } = ask
    let authorization = await this.#tokens.authorize(origin, repository, deadline)
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
      const answer = await this.#send({
        method,
        url,
        headers,
        deadline,
        reach,
        isBulk: ask.isBulk === true,
      })
      const { status } = answer
      if (isOwn) this.#noteBudget(repository, answer)
      if (status === 200 || status === 206 || status === 304) {
        return this.#accept(answer, url, isOwn)
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
        const next = await this.#tokens.reauthorize(
          origin,
          repository,
          challenge,
          authorization,
          deadline,
        )
        if (next !== undefined) {
          authorization = next
          continue
        }
      }
      if (status === 401 && !isOwn && named === undefined) {
        const header = await this.#tokens.anonymous(url, challenge, origin, deadline)
        named = { origin: url.origin, header: header ?? '' }
        if (header !== undefined) continue
      }
      // A password that is good otherwise is not refused: it is this repository that is.
      const isCredential =
        status === 401 &&
        isOwn &&
        authorization?.isCredential === true &&
        !(await this.#isTaken(origin, authorization.header, deadline))
      throw judgeStatus(url, answer, { method, isOwn, isCredential }, words)
    }
    throw new UpstreamError('redirect', `${origin.host}: more than ${redirectsMax} redirects`, {
      host: origin.host,
    })
  }

  /** Whether the upstream takes a credential at all: asked once, with the support probe. */
  async #isTaken(origin: URL, header: string, deadline: number): Promise<boolean> {
    const known = this.#taken.get(header)
    const now = this.#options.clock.monotonic()
    if (known !== undefined && (known.isTaken || now < known.until)) return known.isTaken
    const headers = { 'User-Agent': userAgent, Authorization: header }
    const url = new URL('/v2/', origin)
    const answer = await this.#send({ method: 'GET', url, headers, deadline, reach: 'any' })
    answer.body.abort()
    const isTaken = answer.status === 200
    if (this.#taken.size >= credentialsMax) this.#taken.clear()
    this.#taken.set(header, { isTaken, until: now + refusedForMs })
    return isTaken
  }

  /** Hosts that an upstream names may be private ones only where it is in a private network itself. */
  #reachOf(url: URL, origin: URL): Reach {
    if (url.origin === origin.origin) return 'any'
    return this.#options.http.isPrivate(origin.hostname) ? 'any' : 'public'
  }

  #accept(answer: HttpAnswer, url: URL, isOwn: boolean): HttpAnswer {
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
    return { ...answer, body: this.#limited(answer.body) }
  }

  #garbage({ host }: URL, status: number, what: string, isOwn: boolean): UpstreamError {
    const words = isOwn ? what : undefined
    const isElsewhere = !isOwn
    const message = `${host} answers ${status}`
    return new UpstreamError('garbage', message, { host, status, words, isElsewhere })
  }

  /** Counts bytes, and holds the body to the mirror's rate. */
  #limited(body: HttpBody): HttpBody {
    let isPausedByReader = false
    let isPausedByRate = false
    return {
      read: (onChunk) =>
        body.read((bytes) => {
          this.#options.onBytes(bytes.byteLength)
          const waitMs = this.#byteGate.take(bytes.byteLength)
          if (waitMs > 0 && !isPausedByRate) {
            isPausedByRate = true
            body.pause()
            setTimeout(() => {
              isPausedByRate = false
              if (!isPausedByReader) body.resume()
            }, waitMs)
          }
          onChunk(bytes)
        }),
      pause: () => {
        isPausedByReader = true
        body.pause()
      },
      resume: () => {
        isPausedByReader = false
        if (!isPausedByRate) body.resume()
      },
      abort: () => body.abort(),
    }
  }

  /** One request to one host, through its breaker. 5xx and 429 count as the host's failures. */
  async #send(call: HttpCall): Promise<HttpAnswer> {
    const { clock } = this.#options
    const { url, deadline, method } = call
    const { host } = url
    const waitMs = this.#requestGate.take(1)
    if (waitMs > 0) await sleep(Math.min(waitMs, Math.max(0, deadline - clock.monotonic())))
    if (clock.monotonic() >= deadline) {
      throw new UpstreamError('timeout', `${host}: no time left to ask`, { host, isOurs: true })
    }
    const breaker = this.#breakerOf(host)
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

  #noteBudget(repository: string, { headers }: HttpAnswer): void {
    const limit = leadingNumber(headerOf(headers, 'ratelimit-limit'))
    const remaining = leadingNumber(headerOf(headers, 'ratelimit-remaining'))
    if (limit === undefined && remaining === undefined) return
    const credential = this.#credentials.find(repository)?.username ?? 'anonymous'
    const at = this.#options.clock.now()
    this.#budgets.set(credential, { credential, limit, remaining, at })
  }

  #breakerOf(host: string): Breaker {
    let breaker = this.#breakers.get(host)
    if (breaker === undefined) {
      // Hosts that redirects name come and go; only so many are remembered.
      if (this.#breakers.size >= breakersMax) {
        const [oldest] = this.#breakers.keys()
        this.#breakers.delete(oldest!)
      }
      breaker = new Breaker(this.#options.clock)
      this.#breakers.set(host, breaker)
    }
    return breaker
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

/** Credentials of which it is remembered whether they are taken, and for how long that they are not. */
const credentialsMax = 64
const refusedForMs = 5_000

/** Hosts whose breaker is remembered. */
const breakersMax = 256

/** Longest `Retry-After` that a request waits out itself, ms. */
const retryAfterWaitMsMax = 3_000

function leadingNumber(text: string | undefined): number | undefined {
  const match = /^(\d{1,15})/.exec((text ?? '').slice(0, 64).trim())
  return match === null ? undefined : Number(match[1])
}

function isWebPage(answer: HttpAnswer): boolean {
  const type = headerOf(answer.headers, 'content-type') ?? ''
  return /^text\/html\b/i.test(type.slice(0, 32))
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
