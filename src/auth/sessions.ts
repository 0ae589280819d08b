/**
 * @module Logins in the pages: a signed text that the browser keeps as a cookie, of a type of its own, so that it is
 * good for nothing else. It ends with its user, with the password or access token that was given, with a logout, and
 * after a time in which it was not used. Nothing of it is kept here but what was ended.
 */
import { randomUUID } from 'node:crypto'
import type { Clock } from '../runtime/clock.ts'
import { CredentialsRefused } from './authenticator.ts'
import type { Caller, SessionFacts } from './caller.ts'
import type { Claims } from './jwt.ts'
import type { Verdicts } from './login-cache.ts'
import type { EndedSession, Revocations } from './revocations.ts'
import type { TokenService } from './token-service.ts'

export interface SessionsOptions {
  readonly tokens: Pick<TokenService, 'identityOf' | 'sign' | 'claimsOf' | 'userOf'>
  /** Of cookies alone: what is good there is good nowhere else. */
  readonly verdicts: Verdicts
  readonly ended: Pick<Revocations, 'isRevoked'>
  /** Resolves when the login is ended here, and the others will hear of it. */
  readonly end: (session: EndedSession) => Promise<void>
  readonly loginLifeMs: number
  readonly clock: Pick<Clock, 'now'>
}

/** A cookie and what it says. */
export interface OpenSession {
  readonly token: string
  readonly caller: Caller
}

const sessionType = 'session+jwt'

/** Life of a cookie that is not used, ms. */
export const sessionLifeMs = 12 * 60 * 60 * 1000

/** A cookie of this age is renewed when it is used, ms. */
const renewAfterMs = 15 * 60 * 1000

/** How much longer an ended login is remembered than its cookies last: other nodes hear of it a little later, ms. */
const marginMs = 60 * 60 * 1000

/** Judged once more so often: the end of a token must be noticed, ms. */
const verdictLifeMs = 60_000

export class Sessions {
  readonly #options: SessionsOptions
  readonly #judging = new Map<string, Promise<Caller>>()
  /** What the cookie of a caller says. */
  readonly #claims = new WeakMap<SessionFacts, Claims>()

  constructor(options: SessionsOptions) {
    this.#options = options
  }

  /** A new login of a caller whose password or access token was judged right. */
  async open(caller: Caller): Promise<OpenSession> {
    const { ended, clock } = this.#options
    const { name: user } = caller
    let at = Math.floor(clock.now() / 1000)
    // All logins of the user until this second may just have been ended.
    if (ended.isRevoked({ user, ids: [], at })) at += 1
    const { claims } = this.#options.tokens.identityOf(caller)
    // No user of ours: there is nothing that could end it.
    if (!('pwd' in claims)) throw new CredentialsRefused('wrong-credentials', user)
    return this.#sign(caller, { ...claims, sid: randomUUID(), auth_time: at })
  }

  /** The caller of a cookie, at once where it was judged lately. Throws or rejects with CredentialsRefused. */
  judge(token: string): Caller | Promise<Caller> {
    const { verdicts } = this.#options
    const hash = verdicts.hash(token)
    const known = verdicts.get(hash)?.caller
    if (known !== undefined) return known
    const judging = this.#judging.get(hash)
    if (judging !== undefined) return judging
    const judged = this.#judge(token, hash).finally(() => this.#judging.delete(hash))
    this.#judging.set(hash, judged)
    return judged
  }

  /** The next cookie of the login of a caller; undefined: this one is new enough, or its login was ended. */
  async renew(caller: Caller): Promise<string | undefined> {
    const { ended, clock } = this.#options
    const { session, name: user } = caller
    if (session === undefined || clock.now() < session.issuedAt + renewAfterMs) return undefined
    // With the fingerprint that it has: the password may have changed since it was judged.
    const claims = this.#claims.get(session)
    const at = session.startedAt / 1000
    if (claims === undefined || ended.isRevoked({ user, ids: [session.id], at })) return undefined
    return (await this.#sign(caller, claims)).token
  }

  /** Ends the login of a caller, with all of its cookies. False: it has none. */
  async close({ session, name: user }: Caller): Promise<boolean> {
    if (session === undefined) return false
    const { clock, end } = this.#options
    const until = clock.now() + sessionLifeMs + marginMs
    await end({ id: session.id, user, until })
    return true
  }

  async #judge(token: string, hash: string): Promise<Caller> {
    const { tokens, verdicts, ended, clock } = this.#options
    const { generation } = verdicts
    const claims = await tokens.claimsOf(token, sessionType)
    const { sub: user = '', sid, auth_time: at, exp = 0 } = claims
    if (typeof sid !== 'string' || typeof at !== 'number') {
      throw new CredentialsRefused('invalid-token')
    }
    const caller = tokens.userOf(claims, 'session')
    if (ended.isRevoked({ user, ids: [sid], at })) {
      throw new CredentialsRefused('invalid-token', user)
    }
    const found = this.#callerOf(caller, claims)
    // Keys, users or access tokens may have changed meanwhile.
    if (verdicts.generation === generation) {
      verdicts.put(hash, found, Math.min(verdictLifeMs, Math.max(0, exp * 1000 - clock.now())))
    }
    return found
  }

  async #sign(caller: Caller, identity: Claims): Promise<OpenSession> {
    const { tokens, clock, loginLifeMs } = this.#options
    const iat = Math.floor(clock.now() / 1000)
    const { end } = tokens.identityOf(caller)
    const lifeEnd = Number(identity['auth_time']) + loginLifeMs / 1000
    const exp = Math.floor(Math.min(iat + sessionLifeMs / 1000, lifeEnd, end))
    const claims = { ...identity, iat, exp }
    return {
      token: await tokens.sign(claims, sessionType),
      caller: this.#callerOf(caller, claims),
    }
  }

  /** Who has logged in, by this cookie. */
  #callerOf(caller: Caller, claims: Claims): Caller {
    const { sid, auth_time: at, iat = 0, exp = 0 } = claims
    const session: SessionFacts = {
      id: String(sid),
      startedAt: Number(at) * 1000,
      issuedAt: iat * 1000,
      expiresAt: exp * 1000,
    }
    this.#claims.set(session, claims)
    return Object.freeze({ ...caller, via: 'session', session })
  }
}
