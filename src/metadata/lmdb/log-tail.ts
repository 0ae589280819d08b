/**
 * @module Hands what peers have kept of the log to the writer of a node that the log has left behind: one piece after
 * the other, the next when the last is applied.
 */
import type { LogEntry, LogPlace } from '../log/port.ts'
import type { LogWriterReply, LogWriterRequest } from './worker/messages.ts'

/** Entries of peers behind a place, in order, up to the one of index `upTo`. Ends where none has more; never throws. */
export type ReadTail = (place: LogPlace, upTo: number) => AsyncIterable<readonly LogEntry[]>

export class TailRelay {
  readonly #read: ReadTail | undefined
  readonly #post: (request: LogWriterRequest) => boolean
  /** Of the piece that is under way. */
  #onTaken: ((index: number | undefined) => void) | undefined
  /** The writer that has asked may be gone. */
  #generation = 0

  /** `read` undefined: no peer is asked. */
  constructor(read: ReadTail | undefined, post: (request: LogWriterRequest) => boolean) {
    this.#read = read
    this.#post = post
  }

  /** The writer lacks what stands behind `place`. Never rejects. */
  async start({ place, upTo }: Extract<LogWriterReply, { kind: 'cut' }>): Promise<void> {
    this.#generation += 1
    const generation = this.#generation
    let hasSome = false
    for await (const entries of this.#read?.(place, upTo) ?? none) {
      const taken = await this.#hand(entries)
      if (generation !== this.#generation) return
      if (taken === undefined) break
      hasSome = true
    }
    if (generation === this.#generation) this.#post({ kind: 'tail-end', hasSome })
  }

  /** What the writer says of the last piece. */
  onTaken(index: number | undefined): void {
    this.#onTaken?.(index)
  }

  /** The writer is gone. */
  stop(): void {
    this.#generation += 1
    this.#onTaken?.(undefined)
  }

  async #hand(entries: readonly LogEntry[]): Promise<number | undefined> {
    const taken = new Promise<number | undefined>((resolve) => {
      this.#onTaken = resolve
    })
    // Bytes of their own: those of a piece of a stream would be copied as a whole for each of them.
    const own = entries.map(({ bytes, ...rest }) => ({ ...rest, bytes: Uint8Array.from(bytes) }))
    if (!this.#post({ kind: 'tail', entries: own })) this.onTaken(undefined)
    return await taken
  }
}

const none: AsyncIterable<readonly LogEntry[]> = {
  [Symbol.asyncIterator]: () => ({ next: async () => ({ done: true, value: undefined }) }),
}
