/**
 * @module What every engine of the log promises (`src/metadata/log/port.ts`), as a suite: it runs on the
 * log in memory, with and without faults, and on each real engine.
 */
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { LogEntry, LogPlace, SequencedLog } from '../../../src/metadata/log/port.ts'

/** A log that does not exist yet, and the time in which it lives. */
export interface OpenLog {
  /** A handle of its own, as of another node. */
  client(): Promise<SequencedLog>
  /** What the promise comes to; lets time go on meanwhile. */
  settle<T>(promise: Promise<T>): Promise<T>
  /** Lets time go on until this holds; rejects when it never does. */
  until(holds: () => boolean): Promise<void>
  /** Lets time go on for so long that whatever was to come has come. */
  rest(): Promise<void>
  close(): Promise<void>
}

export interface ContractOptions {
  /** Calls may reject: then they are made again, and entries may stand in the log more than once. */
  readonly isFaulty?: boolean
}

const TRIES_MAX = 100

const START: LogPlace = { index: 0, token: '' }

const bytesOf = (text: string): Uint8Array => Buffer.from(text)

/** What a follower was given; complains at once about a hole, a repetition or an empty batch. */
class Seen {
  readonly entries: LogEntry[] = []
  cuts = 0
  #last: number

  constructor(after: LogPlace = START) {
    this.#last = after.index
  }

  onEntries(entries: readonly LogEntry[]): void {
    expect(entries.length).toBeGreaterThan(0)
    expect(this.cuts, 'nothing follows a cut').toBe(0)
    for (const entry of entries) {
      expect(entry.index).toBe(this.#last + 1)
      this.#last = entry.index
      this.entries.push(entry)
    }
  }

  onCut(): void {
    this.cuts += 1
  }

  get texts(): string[] {
    return this.entries.map(({ bytes }) => Buffer.from(bytes).toString())
  }

  /** What was given, without later copies of the same entry. */
  get distinct(): string[] {
    return [...new Set(this.texts)]
  }
}

export function describeLog(
  name: string,
  open: () => Promise<OpenLog>,
  options: ContractOptions = {},
): void {
  describe(`the log, ${name}`, () => {
    let log: OpenLog
    let one: SequencedLog
    let other: SequencedLog

    beforeEach(async () => {
      log = await open()
      one = await log.client()
      other = await log.client()
    })
    afterEach(() => log.close())

    /** Makes a call until it resolves, as often as faults may spoil it. */
    async function insist<T>(call: () => Promise<T>): Promise<T> {
      for (let tries = 1; ; tries += 1) {
        try {
          return await log.settle(call())
        } catch (error) {
          if (options.isFaulty !== true || tries === TRIES_MAX) throw error
        }
      }
    }

    async function append(client: SequencedLog, ...texts: readonly string[]): Promise<void> {
      for (const text of texts) await insist(() => client.append(bytesOf(text)))
    }

    function follow(client: SequencedLog, after: LogPlace = START): Seen & { stop(): void } {
      const seen = new Seen(after)
      const stop = client.follow(after, seen)
      return Object.assign(seen, { stop })
    }

    test('is created once, and has the identity of that creation everywhere', async () => {
      expect(await insist(() => one.identity())).toBeUndefined()
      const created = await insist(() => one.create(bytesOf('first')))
      if (options.isFaulty !== true) expect(created).toBe(true)
      expect(await insist(() => other.create(bytesOf('again')))).toBe(false)
      const identity = await insist(() => one.identity())
      expect(identity).toBeTypeOf('string')
      expect(await insist(() => other.identity())).toBe(identity)
      const seen = follow(other)
      await log.until(() => seen.entries.length > 0)
      await log.rest()
      expect(seen.texts).toEqual(['first'])
    })

    test('has one creator of many', async () => {
      const results = await log.settle(
        Promise.allSettled([one, other, one, other].map((it, at) => it.create(bytesOf(`${at}`)))),
      )
      const won = results.filter((it) => it.status === 'fulfilled' && it.value).length
      expect(won).toBeLessThanOrEqual(1)
      if (options.isFaulty !== true) expect(won).toBe(1)
    })

    test('gives the same entries at the same places to every follower', async () => {
      await insist(() => one.create(bytesOf('first')))
      const early = follow(one)
      const sent = Array.from({ length: 60 }, (_, at) => `entry ${at}`)
      const appends = sent.map((text, at) => (at % 2 === 0 ? one : other).append(bytesOf(text)))
      const results = await log.settle(Promise.allSettled(appends))
      const late = follow(other)
      const kept = sent.filter((_, at) => results[at]?.status === 'fulfilled')
      if (options.isFaulty !== true) expect(kept).toEqual(sent)
      const has = (seen: Seen) => kept.every((text) => seen.texts.includes(text))
      await log.until(() => has(early) && has(late))
      await log.rest()
      expect(late.entries).toEqual(early.entries)
      expect(late.texts[0]).toBe('first')
      if (options.isFaulty !== true) expect(late.texts).toHaveLength(61)
    })

    test('keeps the order of appends that wait for each other, from whatever node', async () => {
      await insist(() => one.create(bytesOf('0')))
      const seen = follow(other)
      for (let at = 1; at < 20; at += 1) await append(at % 3 === 0 ? one : other, `${at}`)
      const wanted = Array.from({ length: 20 }, (_, at) => `${at}`)
      await log.until(() => seen.distinct.length === 20)
      expect(seen.distinct).toEqual(wanted)
    })

    test('has a head that is never behind an append that has resolved', async () => {
      await insist(() => one.create(bytesOf('0')))
      for (let at = 1; at < 20; at += 1) {
        await append(one, `${at}`)
        const head = await insist(() => other.head())
        if (options.isFaulty === true) expect(head).toBeGreaterThanOrEqual(at + 1)
        else expect(head).toBe(at + 1)
      }
      const seen = follow(other)
      const head = await insist(() => one.head())
      await log.until(() => seen.entries.length >= head)
    })

    test('goes on behind any place', async () => {
      await insist(() => one.create(bytesOf('0')))
      await append(one, '1', '2', '3', '4', '5')
      const all = follow(one)
      await log.until(() => all.distinct.length === 6)
      const after = all.entries[2]!
      const seen = follow(other, after)
      await append(one, '6')
      await log.until(() => seen.texts.includes('6') && all.texts.includes('6'))
      await log.rest()
      expect(seen.entries).toEqual(all.entries.slice(3))
      seen.stop()
      const { length } = seen.entries
      await append(one, '7')
      await log.until(() => all.texts.includes('7'))
      await log.rest()
      expect(seen.entries, 'it was stopped').toHaveLength(length)
    })

    test('hands nothing on once a follower was stopped, at whatever moment', async () => {
      await insist(() => one.create(bytesOf('0')))
      const all = follow(one)
      const atOnce = follow(one)
      atOnce.stop()
      const inside = new Seen()
      const stop = other.follow(START, {
        onEntries: (entries) => {
          inside.onEntries(entries)
          stop()
        },
        onCut: () => inside.onCut(),
      })
      await append(other, '1', '2', '3')
      await log.until(() => all.texts.includes('3') && inside.entries.length > 0)
      const { length } = inside.entries
      await append(other, '4')
      await log.until(() => all.texts.includes('4'))
      await log.rest()
      expect([atOnce.entries, inside.entries.length]).toEqual([[], length])
    })

    test('keeps the bytes as they were when they were handed in, short ones and long ones', async () => {
      await insist(() => one.create(bytesOf('first')))
      const seen = follow(other)
      const long = new Uint8Array(512 * 1024).map((_, at) => at * 31)
      const wanted = long.slice()
      const append = one.append(long)
      long.fill(0)
      // When it rejects there is nothing to compare.
      const done = await log.settle(append.then(() => true).catch(() => false))
      if (options.isFaulty !== true) expect(done).toBe(true)
      await insist(() => one.append(Uint8Array.of(0)))
      await log.until(() => seen.entries.some(({ bytes }) => bytes.length === 1))
      await log.rest()
      const found = seen.entries.filter(({ bytes }) => bytes.length === wanted.length)
      if (done) expect(found).not.toEqual([])
      for (const { bytes } of found) expect(Buffer.compare(bytes, wanted)).toBe(0)
    })

    test('cuts a follower from what it has forgotten, and no other', async () => {
      await insist(() => one.create(bytesOf('0')))
      await append(one, '1', '2', '3', '4')
      const all = follow(one)
      await log.until(() => all.distinct.length === 5)
      await log.rest()
      const place = all.entries[2]!
      await insist(() => one.truncate(place))
      const [cut, cutToo] = [follow(other), follow(other, all.entries[1])]
      const exact = follow(other, place)
      await append(other, '5')
      await log.until(() => cut.cuts > 0 && cutToo.cuts > 0 && exact.texts.includes('5'))
      await log.until(() => all.texts.includes('5'))
      await log.rest()
      expect([cut.cuts, cutToo.cuts, exact.cuts, all.cuts]).toEqual([1, 1, 0, 0])
      expect([cut.entries, cutToo.entries]).toEqual([[], []])
      expect(exact.entries).toEqual(all.entries.slice(3))
      expect(await insist(() => other.head())).toBe(all.entries.length)
    })

    test('may be truncated to the same place, or an earlier one, again', async () => {
      await insist(() => one.create(bytesOf('0')))
      await append(one, '1', '2')
      const all = follow(one)
      await log.until(() => all.distinct.length === 3)
      await log.rest()
      for (const at of [1, 1, 0]) await insist(() => other.truncate(all.entries[at]!))
      const seen = follow(other, all.entries[1])
      await log.until(() => seen.texts.includes('2'))
      await log.rest()
      expect([seen.cuts, all.cuts]).toEqual([0, 0])
    })

    test('ends a handle, and no other', async () => {
      await insist(() => one.create(bytesOf('0')))
      const [ended, going] = [follow(one), follow(other)]
      await log.until(() => ended.entries.length === 1 && going.entries.length === 1)
      const pending = Promise.allSettled([one.append(bytesOf('open')), one.head()])
      await log.settle(one.close())
      for (const { status } of await log.settle(pending)) expect(status).toBe('rejected')
      await expect(log.settle(one.append(bytesOf('closed')))).rejects.toThrow()
      await expect(log.settle(one.head())).rejects.toThrow()
      await append(other, '1')
      await log.until(() => going.texts.includes('1'))
      await log.rest()
      expect(ended.entries).toHaveLength(1)
      expect(going.texts).not.toContain('closed')
    })
  })
}
