/**
 * @module Who is measured when. Whoever goes first in a round meets the machine as the pause before it
 * left it (a cool processor, memory that nobody has used lately), so each round begins with another.
 */

/** The order of one round, counted from zero: everybody once, the next one first each time. */
export function turnOrder<T>(names: readonly T[], round: number): T[] {
  const first = names.length === 0 ? 0 : round % names.length
  return [...names.slice(first), ...names.slice(0, first)]
}
