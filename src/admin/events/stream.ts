/**
 * @module Events as they happen, as server-sent events. Reads the table from a number on, so that it
 * begins without a gap; sends a comment while nothing happens, so that proxies keep the line open, and
 * then asks whether the listener still may hear.
 */
import type { Asker } from '../../auth/asker.ts'
import type { EventFilter, EventTail, NumberedEvent } from './tail.ts'

export interface LiveEvents {
  readonly tail: EventTail
  readonly filterOf: (asker: Asker) => EventFilter
  readonly asker: Asker
  readonly toText: (event: NumberedEvent, asker: Asker) => string
  /** The number that the listener has. */
  readonly after: number
  readonly keepAliveMs: number
  readonly signal: AbortSignal
  readonly onEnd: () => void
}

/** Events read at a time. */
const eventsAtOnce = 100

/**
 * Ends when the client leaves, when its credentials end, and when it was so slow that what it has not
 * read is gone. Each end says where to go on, for whoever may.
 */
export function liveEvents(live: LiveEvents): AsyncIterable<string> {
  let isEnded = false
  const end = () => {
    if (!isEnded) live.onEnd()
    isEnded = true
  }
  const pieces = read(live, end)
  // A client that leaves before the first piece is asked for leaves nobody who ends it.
  live.signal.addEventListener('abort', end)
  return {
    [Symbol.asyncIterator]: () => ({
      next: () => pieces.next(),
      return: async () => {
        end()
        return pieces.return(undefined)
      },
    }),
  }
}

async function* read(live: LiveEvents, end: () => void): AsyncGenerator<string, undefined> {
  const { tail, keepAliveMs, signal } = live
  let { asker, after } = live
  let askAt = performance.now() + keepAliveMs
  try {
    yield ': events\n\n'
    while (!signal.aborted) {
      const { oldest, last: seen } = tail
      if (after < oldest - 1) {
        yield `event: gone\ndata: ${JSON.stringify({ oldest, last: seen })}\n\n`
        return undefined
      }
      const { events, last } = await tail.forward(live.filterOf(asker), after, eventsAtOnce)
      for (const event of events) {
        yield live.toText(event, asker)
        after = event.number
        if (signal.aborted) return undefined
      }
      after = Math.max(after, last ?? 0)
      const left = askAt - performance.now()
      if (left > 0) {
        if (events.length === 0) await tail.wait(Math.max(seen, after), left, signal)
        continue
      }
      const now = await asker.renew().catch(() => undefined)
      if (now?.mayAnywhere(['list', 'pull', 'push', 'delete']) !== true) {
        yield `id: ${after}\nevent: end\ndata: {"reason":"the credentials are not good any more"}\n\n`
        return undefined
      }
      asker = now
      askAt = performance.now() + keepAliveMs
      // The number also goes with what filters leave out: a listener that returns begins behind it.
      yield `id: ${after}\n: still here\n\n`
    }
    return undefined
  } finally {
    end()
  }
}
