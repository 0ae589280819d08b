/**
 * @module How sources ask: in the name of a sync, whole pages, again where a proxy answered instead.
 */
import type { Clock } from '../../runtime/clock.ts'
import type { Ask, PathAsk } from '../../upstream/ask.ts'
import type { AnswerHeaders } from '../../upstream/client.ts'
import { UpstreamError } from '../../upstream/error.ts'
import { sleep } from '../../upstream/sleep.ts'
import type { Upstream } from '../../upstream/upstream.ts'
import { JsonPage, pageBytesMax } from './json-page.ts'

/** For one page with its waits and retries, ms. A host that says nothing is given up long before. */
const pageMs = 300_000

/** Pages of one list. */
export const pagesMax = 10_000

/** Attempts where what comes is no answer of a registry, and the pause between them, ms. */
const garbageAttempts = 3
const garbagePauseMs = 300

export interface Page {
  readonly json: JsonPage
  readonly headers: AnswerHeaders
}

export type Wanted =
  | Pick<
      PathAsk,
      | 'path'
      | 'class'
      | 'scope'
      | 'headers'
      | 'ownHeaders'
      | 'isOpen'
      | 'isJudgedByAsker'
      | 'method'
      | 'body'
    >
  | Pick<Ask, 'repository' | 'tail' | 'headers'>

export class Asking {
  readonly #upstream: Upstream
  readonly #clock: Clock

  constructor(upstream: Upstream, clock: Clock) {
    this.#upstream = upstream
    this.#clock = clock
  }

  /** What the fields of every request of a sync are. */
  fieldsOf(signal: AbortSignal) {
    return { by: 'sync', deadline: this.#clock.monotonic() + pageMs, signal } as const
  }

  /** Throws an `UpstreamError`. */
  async bytes(
    wanted: Wanted,
    signal: AbortSignal,
    bytesMax = pageBytesMax,
  ): Promise<{ readonly bytes: Buffer; readonly headers: AnswerHeaders }> {
    const fields = this.fieldsOf(signal)
    if ('path' in wanted) return await this.#upstream.fetch({ ...wanted, ...fields }, bytesMax)
    return await this.#upstream.fetch({ ...wanted, ...fields }, bytesMax)
  }

  /** Throws an `UpstreamError`. */
  page(wanted: Wanted, signal: AbortSignal): Promise<Page> {
    return pastGarbage(signal, async () => {
      const { bytes, headers } = await this.bytes(wanted, signal)
      return { json: new JsonPage(bytes), headers }
    })
  }
}

/** Asks again where no answer of a registry has come: most pages of a proxy are gone in a moment. */
export async function pastGarbage<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await work()
    } catch (error) {
      const isGarbage = error instanceof UpstreamError && error.kind === 'garbage'
      // Where a redirect leads is no proxy's doing.
      if (!isGarbage || error.isElsewhere || attempt === garbageAttempts) throw error
      await sleep(garbagePauseMs, signal)
      signal.throwIfAborted()
    }
  }
}
