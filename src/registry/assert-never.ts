/**
 * @module Ends a switch that names every case: a case that is added later does not compile until it
 * is named there as well.
 */

/** Throws: a value came that the types do not know. */
export function assertNever(value: never): never {
  throw new Error(`no case for ${String(value)}`)
}
