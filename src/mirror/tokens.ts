/**
 * @module Authorization for upstream requests: remembers what each upstream challenged with, keeps
 * tokens by scope, renews them before they end, asks once for all who wait.
 */
import type { Clock } from '../runtime/clock.ts'
import { parseChallenge } from './challenge.ts'
import { basicHeader, bearerHeader, type Credential, type Credentials } from './credentials.ts'
import { type HttpAnswer, headerOf, readBody } from './http-client.ts'
import { judgeTarget } from './target-rules.ts'
import { UpstreamError } from './upstream-error.ts'

/** Tokens kept; the oldest goes. */
const tokensMax = 4096

/** Largest answer of a token server, bytes. */
const tokenBytesMax = 256 * 1024

/** Lifetime of a token whose server does not say. */
const defaultLifetimeSeconds = 60

interface Token {
  readonly header: string
  readonly usableUntil: number
}

export type Send = (
  url: URL,
  headers: Record<string, string>,
  deadline: number,
) => Promise<HttpAnswer>

export class Tokens {
  readonly #credentials: Credentials
  readonly #clock: Clock
  readonly #send: Send
  /** By origin of the upstream. */
  readonly #challenges = new Map<string, NonNullable<ReturnType<typeof parseChallenge>>>()
  readonly #tokens = new Map<string, Token>()
  readonly #fetching = new Map<string, Promise<Token>>()

  constructor(credentials: Credentials, clock: Clock, send: Send) {
    this.#credentials = credentials
    this.#clock = clock
    this.#send = send
  }

  /** What to send with the first attempt; undefined: nothing is known to be needed. */
  async authorize(base: URL, repository: string, deadline: number): Promise<string | undefined> {
    const credential = this.#credentials.find(repository)
    const own = credential === undefined ? undefined : await bearerHeader(credential)
    if (own !== undefined) return own
    const challenge = this.#challenges.get(base.origin)
    if (challenge === undefined) return undefined
    if (challenge.scheme === 'basic') return credential && (await basicHeader(credential))
    return (await this.#token(base, repository, credential, deadline)).header
  }

  /**
   * After a 401: learns the challenge and returns another header, or undefined when there is
   * nothing more to try. `sent` is what was refused.
   */
  async reauthorize(
    base: URL,
    repository: string,
    header: string | undefined,
    sent: string | undefined,
    deadline: number,
  ): Promise<string | undefined> {
    const challenge = parseChallenge(header)
    if (challenge === undefined) return undefined
    this.#challenges.set(base.origin, challenge)
    const key = keyOf(base, repository)
    if (this.#tokens.get(key)?.header === sent) this.#tokens.delete(key)
    const next = await this.authorize(base, repository, deadline)
    // A refused password stays refused; a fresh token has another text, or was never sent.
    return next === sent ? undefined : next
  }

  async #token(
    base: URL,
    repository: string,
    credential: Credential | undefined,
    deadline: number,
  ): Promise<Token> {
    const key = keyOf(base, repository)
    const kept = this.#tokens.get(key)
    if (kept !== undefined && this.#clock.monotonic() < kept.usableUntil) return kept
    const running = this.#fetching.get(key)
    if (running !== undefined) return running
    const fetching = this.#fetch(base, repository, credential, deadline).finally(() =>
      this.#fetching.delete(key),
    )
    this.#fetching.set(key, fetching)
    const token = await fetching
    this.#tokens.delete(key)
    this.#tokens.set(key, token)
    if (this.#tokens.size > tokensMax) {
      const [oldest] = this.#tokens.keys()
      this.#tokens.delete(oldest!)
    }
    return token
  }

  async #fetch(
    base: URL,
    repository: string,
    credential: Credential | undefined,
    deadline: number,
  ): Promise<Token> {
    const challenge = this.#challenges.get(base.origin)
    if (challenge?.scheme !== 'bearer') throw new Error('no bearer challenge')
    const url = judgeTarget(challenge.realm, base, base.protocol === 'https:')
    if (challenge.service !== undefined) url.searchParams.set('service', challenge.service)
    url.searchParams.set('scope', `repository:${repository}:pull`)
    const basic = credential === undefined ? undefined : await basicHeader(credential)
    const headers: Record<string, string> = { Accept: 'application/json' }
    if (basic !== undefined) headers['Authorization'] = basic
    const answer = await this.#send(url, headers, deadline)
    const text = (await readBody(answer, tokenBytesMax)).toString('utf8')
    if (answer.status !== 200) {
      const { host } = url
      const kind = answer.status >= 500 ? 'server' : answer.status === 429 ? 'limited' : 'auth'
      const message = `${host}: the token server answers ${answer.status}`
      throw new UpstreamError(kind, message, { host, status: answer.status, words: text })
    }
    return parseToken(text, headerOf(answer.headers, 'content-type'), this.#clock, url.host)
  }
}

function keyOf(base: URL, repository: string): string {
  return `${base.origin} ${repository}`
}

function parseToken(text: string, _type: string | undefined, clock: Clock, host: string): Token {
  let json: { token?: unknown; access_token?: unknown; expires_in?: unknown }
  try {
    json = JSON.parse(text) as typeof json
  } catch {
    throw new UpstreamError('garbage', `${host}: the token server does not answer JSON`, { host })
  }
  const token = json?.token ?? json?.access_token
  if (typeof token !== 'string' || !/^[\x21-\x7e]{1,65536}$/.test(token)) {
    throw new UpstreamError('garbage', `${host}: the token server gives no token`, { host })
  }
  const seconds = Number(json.expires_in ?? defaultLifetimeSeconds)
  const lifetimeMs = (Number.isFinite(seconds) ? Math.max(0, seconds) : 0) * 1000
  // Renewed before it ends: a request that is on its way must still arrive with it.
  const earlyMs = Math.min(10_000, lifetimeMs / 5)
  return { header: `Bearer ${token}`, usableUntil: clock.monotonic() + lifetimeMs - earlyMs }
}
