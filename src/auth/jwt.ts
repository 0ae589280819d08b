/**
 * @module Signed tokens: the only user of jose (no dependencies, on the platform's own WebCrypto,
 * Node 20 and newer). ES256, because every client and every Node has it.
 */
import {
  createLocalJWKSet,
  createRemoteJWKSet,
  customFetch,
  errors,
  exportJWK,
  generateKeyPair,
  importJWK,
  type JSONWebKeySet,
  type JWK,
  type JWTPayload,
  type JWTVerifyGetKey,
  jwtVerify,
  SignJWT,
} from 'jose'

const algorithm = 'ES256'

/** Algorithms of foreign tokens: signatures only, never a shared secret, never `none`. */
const foreignAlgorithms = ['EdDSA', 'ES256', 'ES384', 'ES512', 'RS256', 'RS384', 'RS512', 'PS256']

export type Claims = JWTPayload
export type Jwk = JWK

/** A private key as JSON, under a name of its own. */
export async function makeSigningKey(kid: string): Promise<Jwk> {
  const { privateKey } = await generateKeyPair(algorithm, { extractable: true })
  return { ...(await exportJWK(privateKey)), kid, alg: algorithm, use: 'sig' }
}

/** The part of a key that may be shown. */
export function publicPart({ d: _private, ...rest }: Jwk): Jwk {
  return rest
}

/** What is wrong with a token that carries the right signature all the same: it came too late. */
export interface Expired {
  readonly claims: Claims
}

export type Verified =
  | { readonly kind: 'valid'; readonly claims: Claims; readonly type: string | undefined }
  | ({ readonly kind: 'expired'; readonly type: string | undefined } & Expired)
  | { readonly kind: 'invalid' }
  /** Whether it is valid cannot be told: its issuer's keys cannot be had. */
  | { readonly kind: 'unknown' }

type SigningKey = Awaited<ReturnType<typeof importJWK>>

/** Signs with the newest key, verifies with all of them. */
export class Signer {
  readonly #keys: JWTVerifyGetKey
  readonly #newest: SigningKey
  readonly #kid: string
  readonly issuer: string

  private constructor(keys: JWTVerifyGetKey, newest: SigningKey, kid: string, iss: string) {
    this.#keys = keys
    this.#newest = newest
    this.#kid = kid
    this.issuer = iss
  }

  /** `keys` are private ones, the newest last. */
  static async from(keys: readonly Jwk[], issuer: string): Promise<Signer> {
    const newest = keys.at(-1)
    if (newest === undefined) throw new Error('there is no signing key')
    const set = createLocalJWKSet({ keys: keys.map(publicPart) })
    return new Signer(set, await importJWK(newest, algorithm), newest.kid ?? '', issuer)
  }

  sign(claims: Claims, type: string): Promise<string> {
    return new SignJWT({ ...claims, iss: this.issuer })
      .setProtectedHeader({ alg: algorithm, typ: type, kid: this.#kid })
      .sign(this.#newest)
  }

  verify(token: string): Promise<Verified> {
    return verify(token, this.#keys, { issuer: this.issuer, algorithms: [algorithm] })
  }
}

/** Verifies tokens of somebody else. */
export interface ForeignKeys {
  verify(token: string): Promise<Verified>
}

/** Keys by URL, and how they are fetched, in ms. */
export interface RemoteKeysOptions {
  readonly url: string
  /** A key that is not known is asked for at most this often. */
  readonly cooldownMs: number
  /** After a failure nothing is asked for this long. */
  readonly retryMs: number
  /** How long the keys that were fetched last serve while the issuer does not answer. */
  readonly staleMs: number
  /** Told when fetching begins to fail (what it said), and when it works again (undefined). */
  readonly onState: (problem: Error | undefined) => void
}

export function foreignKeys(
  keys: RemoteKeysOptions | { readonly set: unknown },
  issuer: string,
  audience: string,
): ForeignKeys {
  const resolve = 'url' in keys ? remoteKeys(keys) : createLocalJWKSet(keys.set as JSONWebKeySet)
  return {
    verify: (token) => verify(token, resolve, { issuer, audience, algorithms: foreignAlgorithms }),
  }
}

/** The keys cannot be fetched, and there are none of before that would still do. */
class KeysUnavailable extends Error {}

function remoteKeys(options: RemoteKeysOptions): JWTVerifyGetKey {
  const { url, cooldownMs, retryMs, staleMs, onState } = options
  let failedAt = Number.NEGATIVE_INFINITY
  let workedAt = Number.NEGATIVE_INFINITY
  let isDown = false
  const remote = createRemoteJWKSet(new URL(url), {
    cooldownDuration: cooldownMs,
    timeoutDuration: 5_000,
    [customFetch]: async (target, init) => {
      const response = await fetch(target, init)
      if (response.status !== 200) return response
      workedAt = performance.now()
      if (isDown) onState(undefined)
      isDown = false
      return response
    },
  })
  const kept: JWTVerifyGetKey = (header, token) => {
    const set = remote.jwks()
    if (set === undefined || performance.now() > workedAt + staleMs) throw new KeysUnavailable()
    return createLocalJWKSet(set)(header, token)
  }
  return async (header, token) => {
    // A dead issuer is not asked once more for every token that names it.
    if (performance.now() < failedAt + retryMs) return kept(header, token)
    try {
      return await remote(header, token)
    } catch (error) {
      if (!isFetchFailure(error)) throw error
      failedAt = performance.now()
      if (!isDown) onState(error)
      isDown = true
      return kept(header, token)
    }
  }
}

/** What keys and tokens are wrong with has classes of its own in jose. */
function isFetchFailure(error: unknown): error is Error {
  if (error instanceof errors.JWKSTimeout || error instanceof errors.JWKSInvalid) return true
  if (error instanceof errors.JOSEError) return error.code === 'ERR_JOSE_GENERIC'
  return error instanceof TypeError
}

/** The issuer that a token names, without any check: only to choose who checks it. */
export function issuerOf(token: string): string | undefined {
  const { iss } = claimsOf(token)
  return typeof iss === 'string' ? iss : undefined
}

/** What a text says of itself, without any check; nothing where it is no token. */
export function claimsOf(token: string): Readonly<Record<string, unknown>> {
  try {
    const payload: unknown = JSON.parse(
      Buffer.from(token.split('.', 2)[1] ?? '', 'base64url').toString('utf8'),
    )
    return (payload ?? {}) as Record<string, unknown>
  } catch {
    return {}
  }
}

async function verify(
  token: string,
  keys: JWTVerifyGetKey,
  options: { issuer: string; audience?: string; algorithms: string[] },
): Promise<Verified> {
  try {
    const { payload, protectedHeader } = await jwtVerify(token, keys, {
      ...options,
      requiredClaims: ['exp'],
      clockTolerance: 5,
    })
    return { kind: 'valid', claims: payload, type: protectedHeader.typ }
  } catch (error) {
    if (error instanceof KeysUnavailable) return { kind: 'unknown' }
    if (!(error instanceof errors.JWTExpired)) return { kind: 'invalid' }
    const type = JSON.parse(Buffer.from(token.split('.')[0]!, 'base64url').toString()) as {
      typ?: string
    }
    return { kind: 'expired', claims: error.payload, type: type.typ }
  }
}
