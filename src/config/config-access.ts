/**
 * @module The part of the configuration that says who may do what. Fields are keys of the file in
 * camel case; `config/sections/access.ts` has meanings, defaults and bounds.
 */

export type AccessAction = 'pull' | 'push' | 'delete' | 'list' | 'admin'

/** One entry of `access:`. */
export interface AccessRule {
  readonly repositories: readonly string[]
  readonly users?: readonly string[]
  readonly groups?: readonly string[]
  readonly anonymous?: boolean
  readonly networks?: readonly string[]
  readonly actions: readonly AccessAction[]
}

export interface TokensConfig {
  /** Whether challenges ask for bearer tokens. */
  readonly challenge: 'auto' | 'bearer' | 'basic'
  /** Absolute URL of `/token` as clients reach it; undefined: from the request. */
  readonly realm: string | undefined
  readonly service: string | undefined
  readonly issuer: string
  readonly ttlMs: number
  readonly refreshTtlMs: number
  /** From a login by password to the end of its last refresh token. */
  readonly loginLifeMs: number
  /** Age at which a signing key is replaced. */
  readonly keyLifeMs: number
}

export interface ForeignTokensConfig {
  readonly issuer: string
  /** File or http(s) URL of the JWKS. */
  readonly jwks: string
  readonly audience: string
  readonly userClaim: string
  readonly groupsClaim: string
  /** Go in front of the names that tokens bring. */
  readonly userPrefix: string
  readonly groupPrefix: string
}

export interface AuthConfig {
  readonly type: 'none' | 'htpasswd'
  /** Absolute; undefined with `none`. */
  readonly htpasswdFile: string | undefined
  /** Members by group. */
  readonly groups: Readonly<Record<string, readonly string[]>>
  readonly tokens: TokensConfig
  readonly foreign: ForeignTokensConfig | undefined
}

export interface LimitsConfig {
  /** Of one address and of one user; 0: none. */
  readonly requestsPerSecond: number
  readonly bytesPerSecond: number
}

export interface AccessControlConfig {
  /** Addresses and networks. */
  readonly trustedProxies: readonly string[]
  readonly limits: LimitsConfig
  /** Absolute, or `stdout`; undefined: no trail. */
  readonly auditFile: string | undefined
  readonly auth: AuthConfig
  readonly access: readonly AccessRule[]
}
