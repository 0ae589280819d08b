/**
 * @module Numbers in keys: written so that the order of bytes is the order of the numbers.
 */

/** Digits of every whole number that a double holds. */
const digits = 16

/** A whole number as a component of a key; what is below 0 or no number counts as 0. */
export function numberKey(value: number): string {
  const whole = value > 0 ? Math.min(Math.floor(value), Number.MAX_SAFE_INTEGER) : 0
  return whole.toString().padStart(digits, '0')
}

/** A component that sorts by number, then by name. */
export function orderedKey(value: number, name: string): string {
  return `${numberKey(value)}~${name}`
}

/** The parts of an `orderedKey`. */
export function parseOrderedKey<N extends string>(
  key: string,
): { readonly value: number; readonly name: N } {
  return { value: Number(key.slice(0, digits)), name: key.slice(digits + 1) as N }
}
