/**
 * @module What parsing returns: a value, or why there is none. Exceptions are for refusals that end
 * a request; a Result is for an outcome that the caller is expected to look at.
 */

export type Result<T, E> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly error: E }

export function ok<T>(value: T): Result<T, never> {
  return { ok: true, value }
}

export function fail<E>(error: E): Result<never, E> {
  return { ok: false, error }
}

/** The value, or the error thrown: for call sites where a refusal ends the request anyway. */
export function unwrap<T, E extends Error>(result: Result<T, E>): T {
  if (result.ok) return result.value
  throw result.error
}
