/**
 * @module A pause for everything else that this thread has to do. Long work goes in short turns, so that
 * no pull waits for a list.
 */

/** Resolves in the next turn of the event loop, when sockets and timers had theirs. */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}
