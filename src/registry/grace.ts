/**
 * @module How long a promise that lies in an answer to HEAD holds. The front makes the promises, and
 * collection keeps them (invariant 4, docs/clean-up.md).
 *
 *   promise at t ── covers every HEAD until t + slack ── each of them must hold for the grace time
 *   collection therefore takes what has no promise since now - grace - slack (`cutoffMs`)
 */

/** Longest time that one written promise covers, ms. */
const slackMsMax = 60 * 60_000

/** How long a written promise covers further ones. */
export function slackMs(graceMs: number): number {
  return Math.min(slackMsMax, Math.floor(graceMs / 20))
}

/** Age from which content may be collected, ms. */
export function cutoffMs(graceMs: number): number {
  return graceMs + slackMs(graceMs)
}
