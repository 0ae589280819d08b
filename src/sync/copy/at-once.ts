/**
 * @module Work on many things, a few of them at a time.
 * @apart Trees, and what is attached to them, are walked so.
 */

/**
 * Runs `work` on each, at most `max` at a time, in order. After a failure none is begun; throws the first
 * once all that were begun have ended, so that nothing goes on behind the caller.
 */
export async function atOnce<T>(
  all: readonly T[],
  max: number,
  signal: AbortSignal,
  work: (one: T) => Promise<void>,
): Promise<void> {
  let next = 0
  let failure: { readonly error: unknown } | undefined
  const run = async () => {
    while (next < all.length && failure === undefined && !signal.aborted) {
      const one = all[next]!
      next += 1
      try {
        await work(one)
      } catch (error) {
        failure ??= { error }
      }
    }
  }
  await Promise.all(Array.from({ length: Math.min(max, all.length) }, run))
  signal.throwIfAborted()
  if (failure !== undefined) throw failure.error
}
