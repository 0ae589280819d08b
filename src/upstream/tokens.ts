/**
 * @module Authorization for upstream requests: remembers what each upstream challenged with, keeps
 * tokens by scope, renews them before they end, asks once for all who wait. Passwords go to the
 * upstream itself and to the token server that is its own, or was configured; to nobody else.
 */

import { readFile } from 'node:fs/promises'
import { BoundedMap } from '../runtime/bounded-map.ts'
import type { Clock } from '../runtime/clock.ts'
import { type BearerChallenge, type Challenge, parseChallenges } from './challenge.ts'
import { type Answer, headerOf, readBody } from './client.ts'
import { UpstreamError } from './error.ts'
import { judgeTarget, requireTokenServer } from './target-rules.ts'
import { parseToken, scopeOf, type Token, tokenFailure } from './token-answers.ts'

/** Tokens, scopes and challenges kept; the oldest goes. */
const tokensMax = 4096

/** Largest answer of a token server, bytes. */
const tokenBytesMax = 256 * 1024

/** Redirects of a token server that are followed. */
const redirectsMax = 3

/** A refused password is not sent again for this long, ms: accounts are locked for less. */
const refusedForMs = 5_000

/** The request that wants to be authorized. */
export interface Wanting {
  /** The upstream. */
  readonly base: URL
  readonly repository: string
  /** What is asked for instead of the repository; empty: a token without a scope. */
  readonly scope?: string | undefined
  /** Where no token is given for a repository, it is found out whether that is for the credential. */
  readonly tellsApart?: boolean
  /** Asks a host that the upstream has named, by GET, within the request's deadline. */
  readonly send: (url: URL, headers: Record<string, string>) => Promise<Answer>
}

/** What to send, and whether it shows the configured credential itself. */
export interface Authorization {
  readonly header: string
  readonly isCredential: boolean
}

interface TokenRequest {
  readonly wanting: Wanting
  /** Who has challenged: the upstream, or a host that its redirect has named. */
  readonly url: URL
  readonly challenge: BearerChallenge
  readonly scope: string
  /** Undefined: a token for anybody. */
  readonly credential?: Credential | undefined
}

interface Refused {
  readonly until: number
  readonly error: UpstreamError
}

export class Tokens {
  readonly #credential: Credential | undefined
  readonly #clock: Clock
  /** By origin of the upstream. */
  readonly #challenges = new BoundedMap<string, Challenge>(tokensMax)
  readonly #scopes = new BoundedMap<string, string>(tokensMax)
  readonly #tokens = new BoundedMap<string, Token>(tokensMax)
  readonly #fetching = new Map<string, Promise<Token>>()
  readonly #refused = new BoundedMap<string, Refused>(tokensMax)

  /** Without a credential: tokens for anybody. */
  constructor(credential: Credential | undefined, clock: Clock) {
    this.#credential = credential
    this.#clock = clock
  }

  /** What to send with the first attempt; undefined: nothing is known to be needed. */
  async authorize(wanting: Wanting): Promise<Authorization | undefined> {
    const credential = this.#credential
    const own = credential === undefined ? undefined : await bearerHeader(credential)
    if (own !== undefined) return { header: own, isCredential: true }
    const challenge = this.#challenges.get(wanting.base.origin)
    if (challenge === undefined) return undefined
    if (challenge.scheme === 'basic') return basicOf(credential)
    const { header } = await this.#token(wanting, challenge)
    return { header, isCredential: false }
  }

  /**
   * After a 401: learns the challenge and returns another header, or undefined when there is
   * nothing more to try. `sent` is what was refused.
   */
  async reauthorize(
    wanting: Wanting,
    header: string | undefined,
    sent: Authorization | undefined,
  ): Promise<Authorization | undefined> {
    const { base } = wanting
    const [challenge, other] = parseChallenges(header)
    if (challenge === undefined) return undefined
    this.#challenges.set(base.origin, challenge)
    const key = keyOf(wanting)
    if (this.#tokens.get(key)?.header === sent?.header) this.#tokens.delete(key)
    if (challenge.scheme === 'bearer') {
      this.#scopes.set(key, scopeFor(challenge, wanting))
    }
    try {
      const next = await this.authorize(wanting)
      // A refused password stays refused; a fresh token has another text, or was never sent.
      return next?.header === sent?.header ? undefined : next
    } catch (error) {
      // Where the token server does not do it, a registry that takes passwords itself may.
      const basic = other === undefined ? undefined : await basicOf(this.#credential)
      if (basic === undefined) throw error
      this.#challenges.set(base.origin, other!)
      return basic
    }
  }

  /**
   * A token without credentials for a host that an upstream's redirect has named; undefined where its
   * challenge asks for more than that.
   */
  async anonymous(
    wanting: Wanting,
    url: URL,
    header: string | undefined,
  ): Promise<string | undefined> {
    const challenge = parseChallenges(header).find((it) => it.scheme === 'bearer')
    if (challenge?.scheme !== 'bearer' || challenge.scope === undefined) return undefined
    const { scope } = challenge
    const token = await this.#fetch({ wanting, url, challenge, scope })
    return token.header
  }

  async #token(wanting: Wanting, challenge: BearerChallenge): Promise<Token> {
    const { base } = wanting
    const credential = this.#credential
    const key = keyOf(wanting)
    const kept = this.#tokens.get(key)
    if (kept !== undefined && this.#clock.monotonic() < kept.usableUntil) return kept
    const refused = this.#refused.get(key)
    if (refused !== undefined && this.#clock.monotonic() < refused.until) throw refused.error
    // Whoever holds to limits of its own may wait for long: nobody who pulls joins that.
    const flight = wanting.tellsApart === true ? `${key} later` : key
    const running = this.#fetching.get(flight)
    if (running !== undefined) return running
    const scope = this.#scopes.get(key) ?? scopeFor(challenge, wanting)
    const request = { wanting, url: base, challenge, scope, credential }
    const fetching = this.#fetch(request)
      .catch(async (error: unknown) => {
        throw await this.#told(request, error)
      })
      .finally(() => this.#fetching.delete(flight))
    this.#fetching.set(flight, fetching)
    try {
      const token = await fetching
      this.#tokens.set(key, token)
      this.#refused.delete(key)
      return token
    } catch (error) {
      if (error instanceof UpstreamError && error.kind === 'auth') {
        this.#refused.set(key, { until: this.#clock.monotonic() + refusedForMs, error })
      }
      throw error
    }
  }

  /**
   * What was refused: the credential, or what it asked for. GitLab and GHCR say 403 to both: a token for
   * nothing in particular is given to every good credential.
   */
  async #told(request: TokenRequest, error: unknown): Promise<unknown> {
    const { wanting, scope, credential } = request
    if (wanting.tellsApart !== true || scope === '' || credential === undefined) return error
    if (!(error instanceof UpstreamError) || error.kind !== 'auth') return error
    if (error.status !== 401 && error.status !== 403) return error
    try {
      await this.#fetch({ ...request, scope: '' })
    } catch (other) {
      return other instanceof UpstreamError && other.isPassing ? other : error
    }
    const { message, host, status, words } = error
    return new UpstreamError('denied', message, { host, status, words, cause: error })
  }

  async #fetch(request: TokenRequest): Promise<Token> {
    const { wanting, challenge, scope, credential } = request
    const { base } = wanting
    const isTls = base.protocol === 'https:'
    let url = judgeTarget(challenge.realm, request.url, isTls)
    if (challenge.service !== undefined) url.searchParams.set('service', challenge.service)
    if (scope !== '') url.searchParams.set('scope', scope)
    const basic = await basicOf(credential)
    if (basic !== undefined) await requireTokenServer(url, base, credential?.tokenServer)
    const { origin } = url
    for (let redirects = 0; redirects <= redirectsMax; redirects += 1) {
      const headers: Record<string, string> = { Accept: 'application/json' }
      if (basic !== undefined && url.origin === origin) headers['Authorization'] = basic.header
      const answer = await wanting.send(url, headers)
      const text = (await readBody(answer, tokenBytesMax)).toString('utf8')
      const location = headerOf(answer.headers, 'location')
      if (answer.status >= 300 && answer.status < 400 && location !== undefined) {
        url = judgeTarget(location, url, isTls)
        continue
      }
      if (answer.status !== 200) {
        const how = { hasCredential: basic !== undefined, now: this.#clock.now() }
        throw tokenFailure(answer, text, url.host, how)
      }
      return parseToken(text, this.#clock, url.host)
    }
    const { host } = url
    throw new UpstreamError('redirect', `${host}: more than ${redirectsMax} redirects`, { host })
  }
}

async function basicOf(credential: Credential | undefined): Promise<Authorization | undefined> {
  const header = credential === undefined ? undefined : await basicHeader(credential)
  return header === undefined ? undefined : { header, isCredential: true }
}

function keyOf({ base, repository, scope }: Wanting): string {
  return scope === undefined ? `${base.origin} ${repository}` : `${base.origin} scope ${scope}`
}

function scopeFor(challenge: BearerChallenge, { repository, scope }: Wanting): string {
  return scope ?? scopeOf(challenge.scope, repository)
}

export interface Credential {
  readonly prefix: string
  readonly username: string | undefined
  readonly secret: { readonly kind: 'text' | 'file'; readonly value: string }
  readonly isToken: boolean
  /** The one token server that they may be sent to; undefined: one of the upstream's own domain. */
  readonly tokenServer: string | undefined
}

/** Whose credentials a repository is asked for with: the longest prefix counts. */
export class Credentials {
  readonly #byLength: readonly Credential[]

  constructor(credentials: readonly Credential[]) {
    this.#byLength = [...credentials].sort((a, b) => b.prefix.length - a.prefix.length)
  }

  /** Prefixes hold whole path components: `team` covers `team/app`, not `teamwork/app`. */
  find(repository: string): Credential | undefined {
    return this.#byLength.find((credential) => {
      const stem = stemOf(credential)
      return stem === '' || repository === stem || repository.startsWith(`${stem}/`)
    })
  }

  /** All that `find` may give for repositories below a path (`team/`, or empty); undefined: none. */
  below(path: string): readonly (Credential | undefined)[] {
    const found: Credential[] = []
    for (const credential of this.#byLength) {
      const stem = stemOf(credential)
      if (stem === '' || path.startsWith(`${stem}/`)) return [...found, credential]
      if (stem.startsWith(path)) found.push(credential)
    }
    return [...found, undefined]
  }
}

function stemOf({ prefix }: Credential): string {
  return prefix.replace(/\/$/, '')
}

/** Secrets that live in files are read when they are needed, so that a rotated one counts at once. */
export async function secretOf({ secret }: Credential): Promise<string> {
  return secret.kind === 'text' ? secret.value : (await readFile(secret.value, 'utf8')).trim()
}

/** `Basic …`, where the credential is a user's; undefined for a bare token. */
export async function basicHeader(credential: Credential): Promise<string | undefined> {
  if (credential.username === undefined) return undefined
  const pair = `${credential.username}:${await secretOf(credential)}`
  return `Basic ${Buffer.from(pair).toString('base64')}`
}

/** `Bearer …` for a token that is sent as it is. */
export async function bearerHeader(credential: Credential): Promise<string | undefined> {
  if (!credential.isToken || credential.username !== undefined) return undefined
  return `Bearer ${await secretOf(credential)}`
}
