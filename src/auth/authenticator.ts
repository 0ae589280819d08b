/**
 * @module From an `Authorization` header to a caller. Credentials that were judged lately cost one
 * HMAC; the others are judged once, however many requests bring them at the same time.
 */
import type { AccessTokens } from './access-tokens.ts'
import { anonymousCaller, type Caller, type Origin } from './caller.ts'
import type { Verdicts } from './login-cache.ts'
import type { Passwords } from './passwords.ts'

/** Why credentials were not taken: a word for the audit trail and for the challenge. */
export type RefusalReason = 'malformed' | 'wrong-credentials' | 'invalid-token'

export class CredentialsRefused extends Error {
  readonly reason: RefusalReason
  /** The name that was claimed, where one was. */
  readonly user: string | undefined
  /** A good token that came too late, and when it ended (ms since the epoch). */
  readonly expired: { readonly caller: Caller; readonly at: number } | undefined

  constructor(reason: RefusalReason, user?: string, expired?: CredentialsRefused['expired']) {
    super(`credentials refused: ${reason}`)
    this.expired = expired
    this.name = 'CredentialsRefused'
    this.reason = reason
    this.user = user
  }
}

/** Judges bearer tokens: our own and those of a foreign issuer. */
export interface BearerVerifier {
  /** The caller and how long that holds, ms. Throws CredentialsRefused. */
  verify(token: string): Promise<{ readonly caller: Caller; readonly lifeMs: number }>
}

export interface AuthenticatorOptions {
  readonly verdicts: Verdicts
  /** Undefined: there are no users. */
  readonly passwords: Passwords | undefined
  readonly accessTokens: AccessTokens | undefined
  readonly bearer: BearerVerifier | undefined
}

/** How long a right and a wrong password are remembered, ms. */
const rightLifeMs = 5 * 60_000
const wrongLifeMs = 10_000

/** Longest header that is looked at, characters. */
const headerLengthMax = 32 * 1024

export class Authenticator {
  readonly #options: AuthenticatorOptions
  readonly #judging = new Map<string, Promise<Caller>>()

  constructor(options: AuthenticatorOptions) {
    this.#options = options
  }

  /** At once where the answer is known. Throws or rejects with CredentialsRefused or LoginPutOff. */
  authenticate(header: string | undefined, from: Origin): Caller | Promise<Caller> {
    if (header === undefined) return anonymousCaller
    const { verdicts } = this.#options
    const inUse = verdicts.inUse(header)
    if (inUse !== undefined) return inUse
    if (header.length > headerLengthMax) throw new CredentialsRefused('malformed')
    const hash = verdicts.hash(header)
    const verdict = verdicts.get(hash)
    if (verdict !== undefined) {
      if (verdict.caller !== undefined) {
        verdicts.use(header, verdict.caller)
        return verdict.caller
      }
      throw new CredentialsRefused('wrong-credentials', parseBasic(header)?.name)
    }
    // The socket tells the address now, not after an await; refusals are booked under it.
    const { remoteAddress } = from
    const judging = this.#judging.get(hash)
    if (judging !== undefined) return judging
    const judged = this.#judge(header, hash, remoteAddress)
    if (!(judged instanceof Promise)) return judged
    const shared = judged.finally(() => this.#judging.delete(hash))
    this.#judging.set(hash, shared)
    return shared
  }

  /** A name and a password that did not come in a header (`POST /token`). */
  async login(name: string, password: string, from: Origin): Promise<Caller> {
    const text = Buffer.from(`${name}:${password}`).toString('base64')
    return this.authenticate(`Basic ${text}`, from)
  }

  /** Only what needs a worker or WebCrypto is a promise: refusals in a flood must cost little. */
  #judge(header: string, hash: string, address: string): Caller | Promise<Caller> {
    const bearer = credentialsOf(header, 'bearer')
    if (bearer !== undefined && BEARER.test(bearer)) return this.#judgeBearer(bearer, hash)
    const basic = parseBasic(header)
    if (basic === undefined) throw new CredentialsRefused('malformed')
    const { name, password } = basic
    // containers/image sends an empty pair when it has none.
    if (name === '' && password === '') return anonymousCaller
    const { passwords, accessTokens } = this.#options
    // Looked up every time: an expiry or a revocation holds at once.
    const byToken = accessTokens?.find(name, password)
    if (byToken !== undefined) return byToken
    if (passwords === undefined) throw new CredentialsRefused('wrong-credentials', name)
    passwords.requireTurn(name, address)
    return this.#judgePassword(passwords, basic, hash, address)
  }

  async #judgeBearer(token: string, hash: string): Promise<Caller> {
    const { bearer, verdicts } = this.#options
    if (bearer === undefined) throw new CredentialsRefused('invalid-token')
    const { generation } = verdicts
    const { caller, lifeMs } = await bearer.verify(token)
    // Keys, users or access tokens may have changed meanwhile.
    if (verdicts.generation === generation) verdicts.put(hash, caller, lifeMs)
    return caller
  }

  async #judgePassword(
    passwords: Passwords,
    { name, password }: { name: string; password: string },
    hash: string,
    address: string,
  ): Promise<Caller> {
    const { verdicts } = this.#options
    const { generation } = verdicts
    const isRight = await passwords.check(name, password, address)
    const caller = isRight ? passwords.callerOf(name, 'basic') : undefined
    if (verdicts.generation === generation) {
      verdicts.put(hash, caller, isRight ? rightLifeMs : wrongLifeMs)
    }
    if (caller === undefined) throw new CredentialsRefused('wrong-credentials', name)
    return caller
  }
}

const BEARER = /^[A-Za-z0-9._~+/=-]+$/
const BASE64 = /^[A-Za-z0-9+/=_-]*$/

/** What follows the scheme (RFC 9110 §11.4); undefined for another scheme. */
function credentialsOf(header: string, scheme: string): string | undefined {
  if (header.length > headerLengthMax) return undefined
  const isScheme = header.slice(0, scheme.length).toLowerCase() === scheme
  return isScheme && header[scheme.length] === ' ' ? header.slice(scheme.length).trim() : undefined
}

/** The user name in a header of Basic credentials, which nobody has judged. */
export function claimedName(header: string | undefined): string | undefined {
  return header === undefined ? undefined : parseBasic(header)?.name
}

function parseBasic(header: string): { name: string; password: string } | undefined {
  const encoded = credentialsOf(header, 'basic')
  if (encoded === undefined || !BASE64.test(encoded)) return undefined
  const text = Buffer.from(encoded, 'base64').toString('utf8')
  const colon = text.indexOf(':')
  return colon === -1 ? undefined : { name: text.slice(0, colon), password: text.slice(colon + 1) }
}
