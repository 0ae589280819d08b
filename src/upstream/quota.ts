/**
 * @module What a host says that is left of what it allows: `ratelimit-*`, or `x-ratelimit-*` as APIs send
 * it. A sync leaves the last of it to those who wait for a pull.
 */
import type { RequestClass } from './ask.ts'
import { type AnswerHeaders, headerOf } from './client.ts'

export interface Quota {
  readonly limit: number | undefined
  readonly remaining: number | undefined
  /** When more is there, ms since 1970; where the host does not say it, when to ask again. */
  readonly resetAt: number
  readonly saidResetAt: number | undefined
}

/** Left for pulls: so many, or this share where that is more. */
const reserveMin = 10
const reserveShare = 0.2

/** Longest that a host's word is trusted, ms, and after what it is asked again where it says nothing. */
const resetMsMax = 6 * 3600 * 1000
const askAgainMs = 15 * 60 * 1000

/** Numbers from here on are a time since 1970, seconds. */
const unixSecondsMin = 1_000_000_000

/** Undefined where the answer says nothing of it. `now`: ms since 1970. */
export function readQuota(headers: AnswerHeaders, now: number): Quota | undefined {
  const numberOf = (what: string) =>
    leadingNumber(headerOf(headers, `ratelimit-${what}`)) ??
    leadingNumber(headerOf(headers, `x-ratelimit-${what}`))
  const [limit, remaining, reset] = [numberOf('limit'), numberOf('remaining'), numberOf('reset')]
  if (limit === undefined && remaining === undefined) return undefined
  const saidMs = reset === undefined ? undefined : resetMs(reset, now)
  const saidResetAt = saidMs === undefined ? undefined : now + saidMs
  return { limit, remaining, resetAt: saidResetAt ?? now + askAgainMs, saidResetAt }
}

function resetMs(reset: number, now: number): number {
  const ms = reset < unixSecondsMin ? reset * 1000 : reset * 1000 - now
  return Math.min(Math.max(0, ms), resetMsMax)
}

/** Whether what is left is not a sync's. Of APIs and lists nobody else has much use. */
export function isReserved({ limit, remaining }: Quota, of: RequestClass): boolean {
  if (remaining === undefined) return false
  if (of === 'api' || of === 'list') return remaining < 1
  // Of a small limit a sync has half: else it would never have anything.
  const reserve = Math.max(reserveMin, (limit ?? 0) * reserveShare)
  return remaining < Math.min(reserve, (limit ?? Number.POSITIVE_INFINITY) / 2)
}

function leadingNumber(text: string | undefined): number | undefined {
  const match = /^(\d{1,15})/.exec((text ?? '').slice(0, 64).trim())
  return match === null ? undefined : Number(match[1])
}
