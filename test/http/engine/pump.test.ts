/** @module The pump and its turns against a socket that is never full: shares are exact. */
import { expect, test } from 'vitest'
import { Pump, type PumpTarget } from '../../../src/http/engine/pump.ts'
import { TurnQueue } from '../../../src/http/engine/turns.ts'
import { loopTurnBytesMax, turnBytesMax, windowBytesMax } from '../../../src/registry/limits.ts'
import { MemorySource, MiB, until } from './harness.ts'

class Sink implements PumpTarget {
  readonly pump: Pump
  hasEnded = false
  windowMax = 0

  constructor(source: MemorySource, turns: TurnQueue) {
    this.pump = new Pump(this, source, turns, windowBytesMax)
  }

  take(bytes: Uint8Array): number {
    this.windowMax = Math.max(this.windowMax, bytes.length)
    return bytes.length
  }

  runPump(): void {
    this.pump.run()
  }

  pumpEnded(): void {
    this.hasEnded = true
    this.pump.close()
  }

  pumpFailed(error: unknown): void {
    throw error
  }
}

test('streams that start together stay within two shares of each other', async () => {
  const turns = new TurnQueue()
  const bytes = Buffer.alloc(16 * MiB)
  const sources = Array.from({ length: 8 }, () => new MemorySource(bytes))
  const sinks = sources.map((source) => new Sink(source, turns))
  for (const sink of sinks) sink.runPump()
  const spread = () => {
    const offsets = sinks.map((sink) => sink.pump.offset)
    return Math.max(...offsets) - Math.min(...offsets)
  }
  await until(() => {
    // One share when they all fit into a turn; else some have theirs a turn before the others.
    expect(spread()).toBeLessThanOrEqual(2 * turnBytesMax)
    return sinks.every((sink) => sink.hasEnded)
  })
  expect(Math.max(...sinks.map((sink) => sink.windowMax))).toBeLessThanOrEqual(windowBytesMax)
  expect(sources.map((source) => source.closes)).toEqual(sources.map(() => 1))
})

test('a stream sends no more than one share a turn', async () => {
  const sink = new Sink(new MemorySource(Buffer.alloc(4 * MiB)), new TurnQueue())
  sink.runPump()
  expect(sink.pump.offset).toBe(turnBytesMax)
  // A drain that the socket reports meanwhile takes nothing extra.
  sink.pump.drained()
  expect(sink.pump.offset).toBe(turnBytesMax)
  await until(() => sink.hasEnded)
  expect(sink.pump.offset).toBe(4 * MiB)
})

test('a closed pump neither sends nor closes its source again', async () => {
  const turns = new TurnQueue()
  const source = new MemorySource(Buffer.alloc(4 * MiB))
  const sink = new Sink(source, turns)
  sink.runPump()
  sink.pump.close()
  sink.pump.close()
  await new Promise((resolve) => setImmediate(resolve))
  expect(sink.pump.offset).toBe(turnBytesMax)
  expect(source.closes).toBe(1)
})

test('a source stays open while its windows are lent, and hears that they are still wanted', () => {
  const asked: [number, number][] = []
  class Lasting extends MemorySource {
    readonly lasts = true
    override ready(offset: number, length: number): number {
      asked.push([offset, length])
      return length
    }
  }
  const source = new Lasting(Buffer.alloc(4 * MiB))
  const sink = new Sink(source, new TurnQueue())
  sink.take = (bytes) => {
    sink.pump.lend()
    sink.pump.block()
    return bytes.length
  }
  sink.runPump()
  sink.pump.refresh()
  expect(asked).toEqual([
    [0, MiB],
    [0, MiB],
  ])
  sink.pump.giveBack()
  sink.pump.drained()
  sink.pump.refresh()
  expect(asked.slice(2)).toEqual([
    [MiB, MiB],
    [MiB, MiB],
  ])
  sink.pump.close()
  sink.pump.refresh()
  expect([asked.length, source.closes]).toEqual([4, 0])
  sink.pump.giveBack()
  expect(source.closes).toBe(1)
})

test('whole answers count too: what would make the turn too long is put off', async () => {
  const turns = new TurnQueue()
  turns.spend(loopTurnBytesMax)
  expect(turns.isSpent).toBe(true)
  const sink = new Sink(new MemorySource(Buffer.alloc(MiB)), turns)
  sink.runPump()
  expect(sink.pump.offset).toBe(0)
  await until(() => sink.hasEnded)
  expect(turns.isSpent).toBe(false)
})

test('what has little left goes before a hundred that have much', async () => {
  const turns = new TurnQueue()
  const large = Array.from(
    { length: 100 },
    () => new Sink(new MemorySource(Buffer.alloc(8 * MiB)), turns),
  )
  for (const sink of large) sink.runPump()
  const small = new Sink(new MemorySource(Buffer.alloc(20_000)), turns)
  small.runPump()
  expect(small.hasEnded).toBe(false)
  await new Promise((resolve) => setImmediate(resolve))
  expect(small.hasEnded).toBe(true)
  expect(large.filter((sink) => sink.pump.offset === 0).length).toBeGreaterThan(80)
  await until(() => large.every((sink) => sink.hasEnded))
})

test('many that have little left do not starve one that has much', async () => {
  const turns = new TurnQueue()
  const large = new Sink(new MemorySource(Buffer.alloc(4 * MiB)), turns)
  turns.spend(loopTurnBytesMax)
  large.runPump()
  const small = () => {
    const sink = new Sink(new MemorySource(Buffer.alloc(60_000)), turns)
    sink.runPump()
    return sink
  }
  let turnsTaken = 0
  while (!large.hasEnded) {
    for (let count = 0; count < 200; count += 1) small()
    await new Promise((resolve) => setImmediate(resolve))
    turnsTaken += 1
    expect(turnsTaken).toBeLessThan(20)
  }
})

test('a turn in which sending is slow ends early', async () => {
  const turns = new TurnQueue()
  const slow = Array.from({ length: 4 }, () => {
    const sink = new Sink(new MemorySource(Buffer.alloc(MiB)), turns)
    sink.take = (bytes) => {
      const until = performance.now() + 1.5
      while (performance.now() < until);
      return bytes.length
    }
    return sink
  })
  turns.spend(loopTurnBytesMax)
  for (const sink of slow) sink.runPump()
  await new Promise((resolve) => setImmediate(resolve))
  expect(slow.filter((sink) => sink.hasEnded).length).toBeLessThanOrEqual(2)
  await until(() => slow.every((sink) => sink.hasEnded))
})
