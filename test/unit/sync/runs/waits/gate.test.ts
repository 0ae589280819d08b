/** @module What the tags of a run wait for. */
import { expect, test } from 'vitest'
import { Gate } from '../../../../../src/sync/runs/waits/gate.ts'
import { FakeClock } from '../../../../support/fake-clock.ts'

function scene(windows?: { readonly fromMinute: number; readonly untilMinute: number }) {
  const clock = new FakeClock()
  const space = { freeBytes: 100, reserveBytes: 10 }
  const stop = new AbortController()
  const waits: (string | undefined)[] = []
  let onSleep = () => {}
  const gate = new Gate({
    clock,
    space,
    sleep: async (ms) => {
      clock.advance(ms)
      onSleep()
    },
    windows: windows && { windows: [windows], timezone: 'UTC' },
    signal: stop.signal,
    onWait: (message) => void waits.push(message),
  })
  const eachSleep = (work: () => void) => {
    onSleep = work
  }
  return { gate, clock, space, stop, waits, eachSleep }
}

test('nothing is waited for where nothing is in the way', async () => {
  const { gate, waits } = scene()
  await gate.pass()
  expect(waits).toEqual([])
})

test('a host that says when is left alone until then', async () => {
  const { gate, clock, waits } = scene()
  const at = clock.now() + 150_000
  gate.holdUntil(at)
  await gate.pass()
  expect(clock.now()).toBe(at)
  expect(new Set(waits)).toEqual(new Set(['waiting for quota', undefined]))
  expect(waits.at(-1)).toBeUndefined()
})

test('one that says too much is left alone for six hours', async () => {
  const { gate, clock } = scene()
  const before = clock.monotonic()
  gate.holdUntil(clock.now() + 365 * 86_400_000)
  await gate.pass()
  expect(clock.monotonic() - before).toBe(6 * 3_600_000)
})

test('one that does not say it is left alone for a minute', async () => {
  const { gate, clock } = scene()
  const before = clock.now()
  gate.holdUntil(undefined)
  await gate.pass()
  expect(clock.now() - before).toBe(60_000)
})

test('a full disk is looked at once a minute, until it has room', async () => {
  const { gate, clock, space, eachSleep } = scene()
  space.freeBytes = 10
  const before = clock.now()
  eachSleep(() => {
    if (clock.now() - before >= 180_000) space.freeBytes = 11
  })
  gate.holdForSpace()
  await gate.pass()
  expect(clock.now() - before).toBe(180_000)
})

test('outside of its windows a run waits for the next one', async () => {
  // The fake clock begins at 22:13:20 UTC.
  const { gate, clock, waits } = scene({ fromMinute: 23 * 60, untilMinute: 24 * 60 })
  await gate.pass()
  expect(new Date(clock.now()).toISOString()).toMatch(/T23:00:/)
  expect(waits[0]).toBe('waiting for its window')
})

test('a stop ends every wait', async () => {
  const { gate, stop, eachSleep } = scene()
  gate.holdForSpace()
  const why = new Error('stopped')
  eachSleep(() => stop.abort(why))
  await expect(gate.pass()).rejects.toBe(why)
})
