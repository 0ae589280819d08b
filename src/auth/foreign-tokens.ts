/**
 * @module Tokens of another issuer (an identity provider, a CI system): signature, issuer, audience
 * and time are checked, one claim names the user, another his groups; the rules say the rest.
 */
import { CredentialsRefused } from './authenticator.ts'
import type { Caller } from './caller.ts'
import { type ForeignKeys, foreignKeys, type RemoteKeysOptions } from './jwt.ts'
import { LoginPutOff } from './login-put-off.ts'
import { grantOfScopes, type Scope } from './scopes.ts'

export interface ForeignTokensOptions {
  readonly issuer: string
  readonly audience: string
  readonly userClaim: string
  readonly groupsClaim: string
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
    const { userClaim, groupsClaim } = this.#options
    const name = claims[userClaim]
    if (typeof name !== 'string' || name === '' || name === '*') {
      throw new CredentialsRefused('invalid-token')
    }
    const groups: unknown = claims[groupsClaim]
    const access: unknown = claims['access']
    const caller: Caller = Object.freeze({
      kind: 'user',
      name,
      groups: Object.freeze(textsOf(groups)),
      via: 'bearer',
      // A token that says itself what it is for is held to it.
      grant: Array.isArray(access) ? grantOfScopes(access.filter(isScope)) : undefined,
    })
    return { caller, expiresAt: (claims.exp ?? 0) * 1000 }
  }
}

function textsOf(value: unknown): readonly string[] {
  if (typeof value === 'string') return value.split(/[ ,]+/).filter((text) => text !== '')
  return Array.isArray(value) ? value.filter((one) => typeof one === 'string') : []
}

function isScope(value: unknown): value is Scope {
  const { type, name, actions } = (value ?? {}) as Partial<Record<keyof Scope, unknown>>
  return typeof type === 'string' && typeof name === 'string' && Array.isArray(actions)
}
