/**
 * @module Bearer tokens: issued for what the rules allow, verified with every new token that comes.
 * A token never allows more than the rules do when it is used: it narrows, it does not widen. It
 * ends with its user and with the password under which it was made.
 */
import { randomUUID } from 'node:crypto'
import type { Clock } from '../runtime/clock.ts'
import type { AccessRules } from './access-rules.ts'
import type { AccessTokens } from './access-tokens.ts'
import { type BearerVerifier, CredentialsRefused } from './authenticator.ts'
import { anonymousCaller, type Caller, type Origin, within } from './caller.ts'
import type { ForeignTokens } from './foreign-tokens.ts'
import { type Claims, issuerOf } from './jwt.ts'
import type { Revocations } from './revocations.ts'
import { grantOfScopes, grantScopes, parseScopes, type Scope } from './scopes.ts'
import type { TokenKeys } from './token-keys.ts'

/** What the service needs to know of users. */
export interface TokenUsers {
  has(name: string): boolean
  hashOf(name: string): string | undefined
  callerOf(name: string, via: Caller['via']): Caller
}

export interface TokenServiceOptions {
  readonly rules: AccessRules
  readonly users: TokenUsers | undefined
  readonly accessTokens: Pick<AccessTokens, 'limitsOf'>
  readonly revocations: Pick<Revocations, 'isRevoked'>
  readonly foreign: ForeignTokens | undefined
  readonly clock: Pick<Clock, 'now'>
  readonly ttlMs: number
  readonly refreshTtlMs: number
  /** From a login by password to the end of its last refresh token, however often renewed. */
  readonly loginLifeMs: number
  /** Fixed name of this registry; undefined: that of each request. */
  readonly service: string | undefined
}

export interface IssuedToken {
  readonly token: string
  readonly expiresInSeconds: number
  readonly issuedAt: string
  readonly scopes: readonly Scope[]
  readonly refreshToken: string | undefined
}

/** A login by password, from which refresh tokens descend. */
export interface Login {
  /** In each of its tokens, as `sid`. */
  readonly id: string
  /** Seconds since the epoch, as `auth_time`. */
  readonly at: number
}

const accessType = 'JWT'
const refreshType = 'refresh+jwt'

/** Tokens live shorter in the table of verdicts than on paper: their end must be noticed. */
const verdictLifeMs = 60_000

export class TokenService implements BearerVerifier {
  readonly #options: TokenServiceOptions
  #keys: TokenKeys

  constructor(options: TokenServiceOptions, keys: TokenKeys) {
    this.#options = options
    this.#keys = keys
  }

  /** Takes new keys. The caller forgets the verdicts of the old ones. */
  take(keys: TokenKeys): void {
    this.#keys = keys
  }

  get jwks(): TokenKeys['jwks'] {
    return this.#keys.jwks
  }

  /** A token for what the caller may do of what was asked for. */
  async issue(
    caller: Caller,
    request: {
      readonly scopes: readonly string[]
      readonly service: string
      readonly from: Origin
      readonly wantsRefresh: boolean
      /** Of the refresh token that was exchanged; undefined: this is a new login. */
      readonly login?: Login | undefined
    },
  ): Promise<IssuedToken> {
    const { rules, clock, ttlMs } = this.#options
    const { from, service } = request
    const scopes = grantScopes(parseScopes(request.scopes), {
      may: (action, resource) => rules.may(caller, action, resource, from),
      mayAnywhere: (action) =>
        caller.grant?.allows(action, undefined) !== false &&
        rules.mayAnywhere(caller, action, from),
    })
    const now = Math.floor(clock.now() / 1000)
    const own = this.identityOf(caller)
    const common: Claims = { ...own.claims, aud: service, iat: now, nbf: now - 5 }
    const end = Math.min(now + Math.floor(ttlMs / 1000), own.end)
    const { signer } = this.#keys
    // An access token of the command line has an end of its own that a refresh must not outlive.
    const mayRefresh = request.wantsRefresh && caller.via === 'basic' && 'pwd' in own.claims
    const login = mayRefresh ? (request.login ?? { id: randomUUID(), at: now }) : undefined
    if (login !== undefined) common['sid'] = login.id
    const expiresInSeconds = Math.max(0, end - now)
    const claims = { ...common, exp: end, jti: randomUUID(), access: scopes }
    const token = await signer.sign(claims, accessType)
    return {
      token,
      expiresInSeconds,
      issuedAt: new Date(now * 1000).toISOString().replace('.000Z', 'Z'),
      scopes,
      refreshToken: login && (await signer.sign(this.#renewed(common, login, now), refreshType)),
    }
  }

  /**
   * Who a token is of: the user, the password of now, and the access token that stood in for it, with the end that
   * this has (seconds since the epoch).
   */
  identityOf({ name, accessTokenId }: Caller): { readonly claims: Claims; readonly end: number } {
    const claims: Claims = { sub: name }
    const fingerprint = this.#fingerprint(name)
    if (fingerprint !== undefined) claims['pwd'] = fingerprint
    if (accessTokenId === undefined) return { claims, end: Number.POSITIVE_INFINITY }
    const limits = this.#options.accessTokens.limitsOf(accessTokenId)
    claims['tid'] = accessTokenId
    return { claims, end: Math.floor((limits?.expiresAt ?? 0) / 1000) }
  }

  /** A token of another type, for its own use. */
  sign(claims: Claims, type: string): Promise<string> {
    return this.#keys.signer.sign(claims, type)
  }

  /** What a token says that we have signed as of this type. Rejects with CredentialsRefused. */
  async claimsOf(token: string, type: string): Promise<Claims> {
    const verified = await this.#keys.signer.verify(token)
    if (verified.kind === 'valid' && verified.type === type) return verified.claims
    throw new CredentialsRefused('invalid-token')
  }

  /** A new refresh token: it lives as long as any other, but never beyond the end of its login. */
  #renewed(common: Claims, { at }: Login, now: number): Claims {
    const { refreshTtlMs, loginLifeMs } = this.#options
    const exp = Math.floor(Math.min(now + refreshTtlMs / 1000, at + loginLifeMs / 1000))
    return { ...common, exp, jti: randomUUID(), auth_time: at }
  }

  /** The user of a refresh token, and the login it goes back to. Throws CredentialsRefused. */
  async refresh(token: string): Promise<{ readonly caller: Caller; readonly login: Login }> {
    const { clock, loginLifeMs } = this.#options
    const claims = await this.claimsOf(token, refreshType)
    const login = loginOf(claims)
    // Asked again, although it is in the token: the setting may have become shorter.
    if (clock.now() >= login.at * 1000 + loginLifeMs) {
      throw new CredentialsRefused('invalid-token', claims.sub)
    }
    return { caller: this.userOf(claims, 'basic'), login }
  }

  async verify(token: string): Promise<{ readonly caller: Caller; readonly lifeMs: number }> {
    const { foreign, clock } = this.#options
    if (foreign !== undefined && issuerOf(token) === foreign.issuer) {
      const found = await foreign.verify(token)
      return { caller: found.caller, lifeMs: lifeOf(found.expiresAt, clock.now()) }
    }
    const verified = await this.#keys.signer.verify(token)
    if (
      verified.kind === 'unknown' ||
      verified.kind === 'invalid' ||
      verified.type !== accessType
    ) {
      throw new CredentialsRefused('invalid-token')
    }
    const { claims } = verified
    const caller = this.#callerOf(claims)
    const expiresAt = (claims.exp ?? 0) * 1000
    if (verified.kind === 'expired') {
      throw new CredentialsRefused('invalid-token', caller.name, { caller, at: expiresAt })
    }
    return { caller, lifeMs: lifeOf(expiresAt, clock.now()) }
  }

  #callerOf(claims: Claims): Caller {
    const { service } = this.#options
    const audiences = Array.isArray(claims.aud) ? claims.aud : [claims.aud]
    if (service !== undefined && !audiences.includes(service)) {
      throw new CredentialsRefused('invalid-token', claims.sub)
    }
    const wanted = grantOfScopes((claims['access'] as readonly Scope[] | undefined) ?? [])
    const who =
      claims.sub === '' || claims.sub === undefined
        ? anonymousCaller
        : this.userOf(claims, 'bearer')
    // What an access token was limited to, no new bearer token goes beyond.
    const { bounds } = who
    const grant = bounds === undefined ? wanted : within(wanted, bounds)
    const widens = bounds === undefined ? { mayWiden: true as const } : {}
    return Object.freeze({ ...who, via: 'bearer', grant, ...widens })
  }

  /**
   * The user that a token was made for, if he and his password are still the same and nobody took
   * it back; within the limits of the access token that it goes back to, as they are now. Throws CredentialsRefused.
   */
  userOf(claims: Claims, via: Caller['via']): Caller {
    const { users, accessTokens, revocations } = this.#options
    const name = claims.sub ?? ''
    const { at } = loginOf(claims)
    const isCurrent =
      users?.has(name) === true &&
      this.#fingerprint(name) === claims['pwd'] &&
      !revocations.isRevoked({ user: name, ids: [claims['sid'], claims.jti], at })
    if (users === undefined || !isCurrent) throw new CredentialsRefused('invalid-token', name)
    const caller = users.callerOf(name, via)
    const tokenId = claims['tid']
    if (tokenId === undefined) return caller
    const limits = typeof tokenId === 'string' ? accessTokens.limitsOf(tokenId) : undefined
    if (limits?.user !== name) throw new CredentialsRefused('invalid-token', name)
    const { grant } = limits
    return { ...caller, grant, bounds: grant, accessTokenId: String(tokenId) }
  }

  #fingerprint(name: string): string | undefined {
    const hash = this.#options.users?.hashOf(name)
    return hash === undefined ? undefined : this.#keys.fingerprint(hash)
  }
}

/** Tokens of earlier versions have no login: they count from when they were made. */
function loginOf({ sid, auth_time: at, iat = 0, jti = '' }: Claims): Login {
  return {
    id: typeof sid === 'string' ? sid : jti === '' ? randomUUID() : jti,
    at: typeof at === 'number' ? at : iat,
  }
}

function lifeOf(expiresAt: number, now: number): number {
  return Math.min(verdictLifeMs, Math.max(0, expiresAt - now))
}
