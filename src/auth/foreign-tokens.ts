/**
 * @module Tokens of another issuer (an identity provider, a CI system): signature, issuer, audience
 * and time are checked, one claim names the user, another his groups; the rules say the rest.
 */
import { CredentialsRefused } from './authenticator.ts'
import type { Caller, Grant } from './caller.ts'
import { type ForeignKeys, foreignKeys, type RemoteKeysOptions } from './jwt.ts'
import { LoginPutOff } from './login-delay.ts'
import { grantOfScopes, type Scope } from './scopes.ts'

export interface ForeignTokensOptions {
  readonly issuer: string
  readonly audience: string
  readonly userClaim: string
  readonly groupsClaim: string
  /** In front of every name and group that a token brings: none of them is one of ours. */
  readonly userPrefix: string
  readonly groupPrefix: string
}

/** How the keys of an issuer are fetched, ms: see `RemoteKeysOptions`. */
export const keyTimes = { cooldownMs: 10_000, retryMs: 1_000, staleMs: 3_600_000 }

export class ForeignTokens {
  readonly #options: ForeignTokensOptions
  #keys: ForeignKeys

  /** `remote` is the issuer's JWKS; undefined: `take` brings the content of a file. */
  constructor(options: ForeignTokensOptions, remote: RemoteKeysOptions | undefined) {
    this.#options = options
    const keys = remote ?? { set: { keys: [] } }
    this.#keys = foreignKeys(keys, options.issuer, options.audience)
  }

  get issuer(): string {
    return this.#options.issuer
  }

  /** Takes the text of a JWKS file. Throws when it is none. */
  take(text: string): void {
    const set: unknown = JSON.parse(text)
    this.#keys = foreignKeys({ set }, this.#options.issuer, this.#options.audience)
  }

  /** Throws CredentialsRefused or LoginPutOff. */
  async verify(token: string): Promise<{ readonly caller: Caller; readonly expiresAt: number }> {
    const verified = await this.#keys.verify(token)
    if (verified.kind === 'unknown') {
      const message = 'the keys of the issuer of this token cannot be had; try again later'
      throw new LoginPutOff('no-keys', message, 5)
    }
    if (verified.kind !== 'valid') throw new CredentialsRefused('invalid-token')
    const { claims } = verified
    const { userClaim, groupsClaim, userPrefix, groupPrefix } = this.#options
    const name = claims[userClaim]
    if (!isName(name)) throw new CredentialsRefused('invalid-token')
    const groups = groupsOf(claims[groupsClaim]).map((group) => groupPrefix + group)
    const caller: Caller = Object.freeze({
      kind: 'user',
      name: userPrefix + name,
      groups: Object.freeze(groups),
      via: 'bearer',
      // A token that says itself what it is for is held to it.
      grant: grantOfClaim(claims['access']),
    })
    return { caller, expiresAt: (claims.exp ?? 0) * 1000 }
  }
}

/** Longest name of a user or a group that is taken, characters. */
const nameLengthMax = 255

/** `*` would be every user; what is not printable has no place in rules and logs. */
function isName(value: unknown): value is string {
  if (typeof value !== 'string' || value === '' || value.length > nameLengthMax) return false
  return value !== '*' && ![...value].some((letter) => letter < ' ' || letter === '\u007f')
}

/** A list of names, or one name. Anything else is not understood, and so grants nothing. */
function groupsOf(value: unknown): readonly string[] {
  const list: readonly unknown[] = Array.isArray(value) ? value : [value]
  return list.every(isName) ? list : []
}

/** Absent: no limit beyond the rules. Whatever else is no list of scopes grants nothing. */
function grantOfClaim(access: unknown): Grant | undefined {
  if (access === undefined) return undefined
  return grantOfScopes(Array.isArray(access) && access.every(isScope) ? access : [])
}

function isScope(value: unknown): value is Scope {
  const { type, name, actions } = (value ?? {}) as Partial<Record<keyof Scope, unknown>>
  const isList = Array.isArray(actions) && actions.every((one) => typeof one === 'string')
  return typeof type === 'string' && typeof name === 'string' && isList
}
