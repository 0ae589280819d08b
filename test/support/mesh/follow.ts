/**
 * @module A follower of a log that keeps what it was told, and says when enough of it has come.
 */
import assert from 'node:assert/strict'
import type { LogEntry, LogPlace, SequencedLog } from '../../../src/metadata/log/port.ts'

export const START: LogPlace = { index: 0, token: '' }

export interface Following {
  /** Everything so far; dense and in order, or the call that broke it has thrown. */
  readonly entries: readonly LogEntry[]
  readonly place: LogPlace
  readonly isCut: boolean
  /** Resolves when the entry with this index has come. Rejects after `ms`. */
  until(index: number, ms?: number): Promise<void>
  /** Resolves when the log said that it is cut. */
  untilCut(ms?: number): Promise<void>
  stop(): void
}

export function followFrom(log: SequencedLog, after: LogPlace = START): Following {
  const entries: LogEntry[] = []
  let place = after
  let isCut = false
  const waits = new Set<() => void>()
  const wake = () => {
    for (const wait of [...waits]) wait()
  }
  const until = (what: string, holds: () => boolean, ms: number) =>
    new Promise<void>((resolve, reject) => {
      const look = () => {
        if (!holds()) return
        clearTimeout(timer)
        waits.delete(look)
        resolve()
      }
      const timer = setTimeout(() => {
        waits.delete(look)
        reject(new Error(`${what} did not come in ${ms} ms; the last is ${place.index}`))
      }, ms)
      waits.add(look)
      look()
    })
  const stop = log.follow(after, {
    onEntries(more) {
      assert.ok(!isCut, 'entries behind a cut')
      assert.ok(more.length > 0, 'a call without entries')
      for (const entry of more) {
        assert.equal(entry.index, place.index + 1, 'not the next entry')
        entries.push(entry)
        place = { index: entry.index, token: entry.token }
      }
      wake()
    },
    onCut() {
      assert.ok(!isCut, 'cut twice')
      isCut = true
      wake()
    },
  })
  return {
    entries,
    get place() {
      return place
    },
    get isCut() {
      return isCut
    },
    until: (index, ms = 10_000) => until(`entry ${index}`, () => place.index >= index, ms),
    untilCut: (ms = 10_000) => until('the cut', () => isCut, ms),
    stop,
  }
}
