/**
 * @module What is asked of token servers, and what they answer. Each speaks a little differently:
 * `token` or `access_token`, lifetimes as numbers or texts, refusals in three shapes.
 */

import type { Clock } from '../runtime/clock.ts'
import type { Answer } from './client.ts'
import { UpstreamError } from './error.ts'
import { retryAfterOf } from './status.ts'
import { readTokenRefusal } from './words.ts'

export interface Token {
  readonly header: string
  readonly usableUntil: number
}

/** Lifetime of a token whose server does not say. */
const defaultLifetimeSeconds = 60

const scopeLengthMax = 1024

/** What may be asked for besides `pull`; an upstream's challenge must not make us ask to push. */
const READING: ReadonlySet<string> = new Set(['metadata_read', 'list', 'read'])

/**
 * The scope to ask for: the usual one, after the challenge's own where that is of the same repository
 * (proxies put a name before it, lists want more than `pull`) or of none (`aws`). What names another
 * repository is a placeholder: some registries send the same one to everybody.
 */
export function scopeOf(challenged: string | undefined, repository: string): string {
  const usual = `repository:${repository}:pull`
  if (challenged === undefined || challenged.length > scopeLengthMax) return usual
  if (!challenged.startsWith('repository')) return challenged.includes(':') ? usual : challenged
  const [first = ''] = challenged.split(' ')
  const [from, to] = [first.indexOf(':'), first.lastIndexOf(':')]
  const name = first.slice(from + 1, to)
  if (name !== repository && !name.endsWith(`/${repository}`)) return usual
  const more = first
    .slice(to + 1)
    .split(',')
    .filter((action) => READING.has(action))
  return `${first.slice(0, to)}:${['pull', ...more].join(',')}`
}

/** Throws `garbage` for what is no token. */
export function parseToken(text: string, clock: Clock, host: string): Token {
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch {
    throw new UpstreamError('garbage', `${host}: the token server does not answer JSON`, { host })
  }
  const { token, access_token, expires_in } = (json ?? {}) as Record<string, unknown>
  const value = [token, access_token].find((it) => typeof it === 'string' && it !== '')
  if (typeof value !== 'string' || !/^[\x21-\x7e]{1,65536}$/.test(value)) {
    throw new UpstreamError('garbage', `${host}: the token server gives no token`, { host })
  }
  const ownSeconds = expires_in === undefined ? lifeOf(value, clock) : undefined
  const seconds = ownSeconds ?? Number(expires_in ?? defaultLifetimeSeconds)
  const lifetimeMs = (Number.isFinite(seconds) ? Math.max(0, seconds) : 0) * 1000
  // Renewed before it ends: a request that is on its way must still arrive with it.
  const earlyMs = Math.min(ownSeconds === undefined ? 10_000 : 60_000, lifetimeMs / 5)
  return { header: `Bearer ${value}`, usableUntil: clock.monotonic() + lifetimeMs - earlyMs }
}

/** Longest token that is looked into, characters, and the longest life that its own word is taken for. */
const readTokenLengthMax = 16 * 1024
const ownLifeSecondsMax = 3600

/**
 * Seconds that a JSON Web Token says it has left, where it is one: Quay says it nowhere else. Nothing is
 * verified here: it is for those who take it. By its own `iat` as well, so that a clock which is wrong here
 * makes no token last longer.
 */
function lifeOf(token: string, clock: Clock): number | undefined {
  if (token.length > readTokenLengthMax) return undefined
  const from = token.indexOf('.') + 1
  const to = token.indexOf('.', from)
  if (from === 0 || to === -1) return undefined
  let payload: unknown
  try {
    payload = JSON.parse(Buffer.from(token.slice(from, to), 'base64url').toString('utf8'))
  } catch {
    return undefined
  }
  const { exp, iat } = (payload ?? {}) as Record<string, unknown>
  if (typeof exp !== 'number' || !Number.isFinite(exp)) return undefined
  const whole = typeof iat === 'number' && Number.isFinite(iat) ? exp - iat : ownLifeSecondsMax
  const left = Math.min(whole, exp - clock.now() / 1000, ownLifeSecondsMax)
  // A clock that is wrong here, or a token that has ended: known when it is refused.
  return left > 0 ? left : undefined
}

/**
 * Why there is no token. Whoever comes without credentials is told as much as if the repository were
 * not there; a configured credential that is refused is the operator's to mend.
 */
export function tokenFailure(
  answer: Answer,
  text: string,
  host: string,
  { hasCredential, now }: { readonly hasCredential: boolean; readonly now: number },
): UpstreamError {
  const { status } = answer
  const code = readTokenRefusal(text)
  const refusal = hasCredential ? 'auth' : 'hidden'
  const kind = status >= 500 ? 'server' : status === 429 ? 'limited' : refusal
  const message = `${host}: the token server answers ${status}${code === undefined ? '' : ` ${code}`}`
  const retryAfterMs = kind === 'limited' ? retryAfterOf(answer, now) : undefined
  return new UpstreamError(kind, message, { host, status, words: code, retryAfterMs })
}
