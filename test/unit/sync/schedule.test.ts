/**
 * @module When a source runs: modes, ticks that were missed or fell into a run, jitter, windows, clocks that
 * are set.
 */
import { describe, expect, test } from 'vitest'
import {
  drawShare,
  jitterMs,
  lookAfterMs,
  lookMsMax,
  type Moment,
  nextRunAt,
  type RunTimes,
  settled,
  storedTimes,
  type Timing,
} from '../../../src/sync/schedule.ts'

const minute = 60_000
const hour = 60 * minute
const at = (text: string) => Date.parse(`${text}Z`)
const noon = at('2026-03-10T12:00:00')

const timing = (some: Partial<Timing>): Timing => ({
  mode: 'continuous',
  schedule: undefined,
  timezone: 'UTC',
  windows: [],
  intervalMs: 5 * minute,
  ...some,
})
/** The monotonic clock began at noon. */
const moment = (wall: number, monotonic = wall - noon): Moment => ({ wall, monotonic })
const times = (some: Partial<RunTimes>): RunTimes => ({
  startedAt: noon,
  endedAt: 0,
  isDone: true,
  ...some,
})
const text = (time: number | undefined) =>
  time === undefined ? undefined : new Date(time).toISOString().slice(0, 19)

describe('a source', () => {
  test('that runs once runs at the start, until it is done', () => {
    const once = timing({ mode: 'once' })
    expect(nextRunAt(once, times({ isDone: false }), moment(noon), 0.9)).toBe(noon)
    expect(nextRunAt(once, times({ isDone: true }), moment(noon), 0.9)).toBeUndefined()
  })

  test('that runs by hand never runs by itself', () => {
    const manual = timing({ mode: 'manual' })
    expect(nextRunAt(manual, times({ isDone: false }), moment(noon), 0)).toBeUndefined()
  })

  test('without a schedule runs at once, then an interval after each end', () => {
    const now = moment(noon + minute)
    expect(nextRunAt(timing({}), times({ endedAt: undefined }), now, 0)).toBe(now.wall)
    expect(nextRunAt(timing({}), times({ endedAt: 0 }), now, 0)).toBe(noon + 5 * minute)
    expect(nextRunAt(timing({}), times({ endedAt: -hour }), now, 0)).toBe(now.wall)
  })

  test('without a schedule does not look at the wall clock', () => {
    for (const jump of [-3 * hour, 3 * hour]) {
      const now = moment(noon + jump, 2 * minute)
      expect(nextRunAt(timing({}), times({ endedAt: 0 }), now, 0)).toBe(now.wall + 3 * minute)
    }
  })

  test('that is new waits for its first tick', () => {
    const first = storedTimes(undefined, false, moment(noon + minute))
    const quarter = timing({ schedule: '*/15 * * * *' })
    expect(text(nextRunAt(quarter, first, moment(noon + minute), 0))).toBe('2026-03-10T12:15:00')
  })

  test('has the ticks of its time zone, summer time included', () => {
    const night = timing({ schedule: '30 2 * * *', timezone: 'Europe/Berlin' })
    const from = (start: string) => {
      const begun = at(start)
      return text(nextRunAt(night, times({ startedAt: begun }), moment(begun), 0))
    }
    expect(from('2026-03-10T12:00:00')).toBe('2026-03-11T01:30:00')
    // No half past two: right behind the hour that is left out.
    expect(from('2026-03-28T12:00:00')).toBe('2026-03-29T01:00:00')
    // Half past two comes twice, the run once.
    expect(from('2026-10-24T12:00:00')).toBe('2026-10-25T00:30:00')
    expect(from('2026-10-25T00:30:00')).toBe('2026-10-26T01:30:00')
  })
})

describe('ticks', () => {
  const quarter = timing({ schedule: '*/15 * * * *' })

  test('that fell into a run are one more run, at once', () => {
    // Begun at 12:00, over at 12:50: three ticks.
    const over = moment(noon + 50 * minute)
    expect(nextRunAt(quarter, times({ startedAt: noon }), over, 0)).toBe(over.wall)
    // That run began at 12:50: the next is the tick after it.
    const after = times({ startedAt: over.wall })
    expect(text(nextRunAt(quarter, after, moment(over.wall + minute), 0))).toBe(
      '2026-03-10T13:00:00',
    )
  })

  test('of days without a server are one run', () => {
    const now = moment(noon, 5)
    const stored = { startedAt: noon - 72 * hour, endedAt: noon - 71 * hour }
    expect(nextRunAt(quarter, storedTimes(stored, true, now), now, 0)).toBe(noon)
  })

  test('go on when the clock is set back', () => {
    const ahead = times({ startedAt: noon + 3 * hour })
    let kept = ahead
    const seen: (string | undefined)[] = []
    for (let step = 1; step <= 14; step += 1) {
      const now = moment(noon + step * minute)
      kept = settled(kept, now)
      seen.push(text(nextRunAt(quarter, kept, now, 0)))
    }
    expect(new Set(seen)).toEqual(new Set(['2026-03-10T12:15:00']))
    const tick = moment(noon + 15 * minute)
    kept = settled(kept, tick)
    expect(lookAfterMs(nextRunAt(quarter, kept, tick, 0), tick)).toBe(0)
  })

  test('that a clock jumps over are one run', () => {
    const now = moment(noon + 48 * hour, minute)
    expect(nextRunAt(quarter, settled(times({}), now), now, 0)).toBe(now.wall)
  })

  test('of a stored end that lies ahead: the interval counts from the start of the process', () => {
    const now = moment(noon, 0)
    const stored = { startedAt: noon + hour, endedAt: noon + 2 * hour }
    expect(nextRunAt(timing({}), storedTimes(stored, true, now), now, 0)).toBe(noon + 5 * minute)
    const later = moment(noon + 5 * minute)
    expect(nextRunAt(timing({}), storedTimes(stored, true, now), later, 0)).toBe(later.wall)
  })
})

describe('jitter', () => {
  test('is a tenth of the period, and a minute at most', () => {
    const almost = 1 - 1 / 2 ** 32
    expect(jitterMs(minute, 0)).toBe(0)
    expect(jitterMs(minute, 0.5)).toBe(3_000)
    expect(jitterMs(minute, almost)).toBe(5_999)
    expect(jitterMs(24 * hour, almost)).toBe(59_999)
    expect(jitterMs(0, almost)).toBe(0)
  })

  test('moves a tick by the same at each look, and none that is over', () => {
    const quarter = timing({ schedule: '*/15 * * * *' })
    const tick = at('2026-03-10T12:15:30')
    for (const look of [noon + minute, noon + 14 * minute, tick - 1]) {
      expect(nextRunAt(quarter, times({}), moment(look), 0.5)).toBe(tick)
    }
    expect(nextRunAt(quarter, times({}), moment(tick + hour), 0.5)).toBe(tick + hour)
  })

  test('is drawn from the random bytes', () => {
    const draw = (...bytes: number[]) => drawShare({ bytes: () => Uint8Array.from(bytes) })
    expect(draw(0, 0, 0, 0)).toBe(0)
    expect(draw(128, 0, 0, 0)).toBe(0.5)
    expect(draw(255, 255, 255, 255)).toBeLessThan(1)
  })
})

describe('windows', () => {
  const nights = { windows: [{ fromMinute: 22 * 60, untilMinute: 6 * 60 }], timezone: 'UTC' }

  test('let a tick wait until one opens', () => {
    const quarter = timing({ schedule: '*/15 * * * *', ...nights })
    const day = moment(noon + minute)
    expect(text(nextRunAt(quarter, times({}), day, 0))).toBe('2026-03-10T22:00:00')
    const evening = moment(at('2026-03-10T22:01:00'))
    expect(nextRunAt(quarter, times({}), evening, 0)).toBe(evening.wall)
  })

  test('hold for the start, after its jitter', () => {
    const late = timing({ schedule: '59 5 * * *', ...nights })
    const night = at('2026-03-10T05:00:00')
    const begun = times({ startedAt: night })
    expect(text(nextRunAt(late, begun, moment(night), 0))).toBe('2026-03-10T05:59:00')
    const almost = 1 - 1 / 2 ** 32
    expect(text(nextRunAt(late, begun, moment(night), almost))).toBe('2026-03-10T05:59:59')
    const over = timing({ schedule: '0 6 * * *', ...nights })
    expect(text(nextRunAt(over, begun, moment(night), 0))).toBe('2026-03-10T22:00:00')
  })
})

test('the caller looks at the clock each minute', () => {
  const now = moment(noon)
  expect(lookAfterMs(undefined, now)).toBe(lookMsMax)
  expect(lookAfterMs(noon + hour, now)).toBe(lookMsMax)
  expect(lookAfterMs(noon + 1_000, now)).toBe(1_000)
  expect(lookAfterMs(noon - 1, now)).toBe(0)
})
