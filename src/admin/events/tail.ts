/**
 * @module Reading events: pages, and what comes behind them as it happens. Everybody reads from the
 * table, by number; an event that is committed only wakes whoever waits. So a listener can be as slow
 * as it likes, nothing is kept for it, and there is no gap between what was and what comes.
 */

import {
  eventClock,
  eventKey,
  lastEventNumber,
  numberBefore,
  oldestEventNumber,
} from '../../metadata/event-log.ts'
import type { MetadataStore } from '../../metadata/port.ts'
import type { EventRow } from '../../metadata/schema.ts'
import { nextTurn } from '../../runtime/next-turn.ts'

export interface NumberedEvent {
  readonly number: number
  readonly row: EventRow
}

export interface EventFilter {
  readonly repository: string | undefined
  readonly since: number | undefined
  readonly until: number | undefined
  readonly fits: (row: EventRow) => boolean
}

export interface EventPage {
  readonly events: NumberedEvent[]
  /** The last number that was looked at; undefined: none. */
  readonly last: number | undefined
  /** Whether there is more behind it. */
  readonly hasMore: boolean
}

/** Bytes of stored events that one turn of the event loop decodes, and rows of it. */
const bytesPerTurn = 64 * 1024
const rowsPerTurn = 250
/** The same where the bytes are not known before: a row with the longest note has 1.6 KiB. */
const keyedRowsPerTurn = 40

/** Events that one request looks at: a page with few of them ends there and says how to go on. */
const looksMax = 50_000

/**
 * Events may be of a time when a clock was set back by so much, ms: so far past the end of an interval
 * they are looked for.
 */
const clockSlackMs = 3_600_000

export class EventTail {
  readonly #metadata: MetadataStore
  readonly #waiting = new Set<() => void>()

  constructor(metadata: MetadataStore) {
    this.#metadata = metadata
    metadata.onApplied({
      event: () => {
        if (this.#waiting.size > 0) this.#wake()
      },
    })
    metadata.onDoubt(() => this.#wake())
  }

  get last(): number {
    return lastEventNumber(this.#metadata)
  }

  /** The oldest number that is kept; a reader that stands before it has missed something. */
  get oldest(): number {
    return oldestEventNumber(this.#metadata)
  }

  /** Events after a number, oldest first. */
  forward(filter: EventFilter, after: number | undefined, limit: number): Promise<EventPage> {
    const { since, until } = filter
    const first = since === undefined ? undefined : numberBefore(this.#metadata, since)
    const start = Math.max(after ?? 0, first ?? 0)
    const isBehind = (row: EventRow) =>
      until !== undefined && eventClock(row) >= until + clockSlackMs
    return this.#read(filter, limit, isBehind, start === 0 ? undefined : start, (last) =>
      this.#rowsAfter(filter.repository, last),
    )
  }

  /** Events before a number, newest first. */
  backward(filter: EventFilter, before: number | undefined, limit: number): Promise<EventPage> {
    const { since, until } = filter
    const end =
      until === undefined ? undefined : numberBefore(this.#metadata, until + clockSlackMs) + 1
    const start = Math.min(before ?? Number.POSITIVE_INFINITY, end ?? Number.POSITIVE_INFINITY)
    const isBehind = (row: EventRow) => since !== undefined && eventClock(row) < since
    return this.#read(filter, limit, isBehind, Number.isFinite(start) ? start : undefined, (last) =>
      this.#rowsBefore(filter.repository, last),
    )
  }

  async #read(
    { since = Number.NEGATIVE_INFINITY, until = Number.POSITIVE_INFINITY, fits }: EventFilter,
    limit: number,
    isBehind: (row: EventRow) => boolean,
    start: number | undefined,
    rowsFrom: (last: number | undefined) => readonly NumberedEvent[],
  ): Promise<EventPage> {
    const events: NumberedEvent[] = []
    let last = start
    let looks = 0
    while (true) {
      const rows = rowsFrom(last)
      for (const event of rows) {
        const { number, row } = event
        if (isBehind(row)) return { events, last, hasMore: false }
        if (row.at >= since && row.at < until && fits(row)) {
          if (events.length === limit) return { events, last, hasMore: true }
          events.push(event)
        }
        last = number
        looks += 1
      }
      if (rows.length === 0) return { events, last, hasMore: false }
      if (looks >= looksMax) return { events, last, hasMore: true }
      await nextTurn()
    }
  }

  /** Some events after a number; none: there are no more. */
  #rowsAfter(repository: string | undefined, last: number | undefined): NumberedEvent[] {
    const key = last === undefined ? undefined : eventKey(last)
    if (repository !== undefined) {
      const prefix = [repository]
      return this.#byKeys(
        this.#metadata
          .keys('eventsByRepository', prefix, key, keyedRowsPerTurn)
          .map(([, it]) => it),
      )
    }
    return this.#metadata
      .entriesWithin('events', [], key, rowsPerTurn, bytesPerTurn)
      .flatMap(({ key: at, row }) => (row === undefined ? [] : [{ number: Number(at), row }]))
  }

  #rowsBefore(repository: string | undefined, last: number | undefined): NumberedEvent[] {
    const key = last === undefined ? undefined : eventKey(last)
    const keys =
      repository === undefined
        ? this.#metadata.keysBackward('events', [], key, keyedRowsPerTurn)
        : this.#metadata
            .keysBackward('eventsByRepository', [repository], key, keyedRowsPerTurn)
            .map(([, it]) => it)
    return this.#byKeys(keys)
  }

  #byKeys(keys: readonly string[]): NumberedEvent[] {
    return keys.flatMap((key) => {
      const row = this.#metadata.get('events', key)
      return row === undefined ? [] : [{ number: Number(key), row }]
    })
  }

  /**
   * Resolves when there is an event after `seen`, at once where there is one already; when `ms` are
   * over; or when the client leaves.
   */
  wait(seen: number, ms: number, signal: AbortSignal): Promise<void> {
    if (signal.aborted || ms <= 0 || this.last > seen) return Promise.resolve()
    return new Promise((resolve) => {
      const done = () => {
        clearTimeout(timer)
        signal.removeEventListener('abort', done)
        this.#waiting.delete(done)
        resolve()
      }
      const timer = setTimeout(done, ms)
      timer.unref()
      signal.addEventListener('abort', done)
      this.#waiting.add(done)
    })
  }

  #wake(): void {
    for (const done of [...this.#waiting]) done()
  }
}
