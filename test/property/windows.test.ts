/**
 * @module Windows against a walk minute by minute: they open and close where the wall clock says, in zones
 * that set their clocks too.
 */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { closesAt, isOpenAt, opensAt, type Windows } from '../../src/sync/windows.ts'

const minuteMs = 60_000

const windows = fc.array(
  fc
    .tuple(fc.integer({ min: 0, max: 1439 }), fc.integer({ min: 1, max: 1440 }))
    .filter(([from, until]) => from !== until && !(from === 0 && until === 1440))
    .map(([fromMinute, untilMinute]) => ({ fromMinute, untilMinute })),
  { minLength: 1, maxLength: 3 },
)

const timezone = fc.constantFrom(
  'UTC',
  'Europe/Berlin',
  'America/New_York',
  'Asia/Kolkata',
  'Australia/Lord_Howe',
)

/** Days around the changes of summer time too. */
const start = fc.oneof(
  fc.integer({ min: Date.UTC(2026, 0), max: Date.UTC(2027, 0) }),
  fc
    .tuple(
      fc.constantFrom(
        Date.UTC(2026, 2, 29, 1),
        Date.UTC(2026, 9, 25, 1),
        Date.UTC(2026, 2, 8, 7),
        Date.UTC(2026, 10, 1, 6),
        Date.UTC(2026, 3, 4, 15),
        Date.UTC(2026, 9, 3, 15, 30),
      ),
      fc.integer({ min: -36 * 60, max: 12 * 60 }),
    )
    .map(([change, minutes]) => change + minutes * minuteMs),
)

/** The same by text: what a clock on the wall shows. */
function isOpenByText({ windows: all, timezone: zone }: Windows, at: number): boolean {
  const shown = new Date(at).toLocaleTimeString('en-GB', { timeZone: zone })
  const [hours = 0, minutes = 0] = shown.split(':').map(Number)
  const minute = hours * 60 + minutes
  return all.some(({ fromMinute, untilMinute }) => {
    const length = (untilMinute - fromMinute + 1440) % 1440
    return (minute - fromMinute + 1440) % 1440 < length
  })
}

/** The first whole minute from `at` on where it is so, or `at`; none within two days: undefined. */
function walk(all: Windows, at: number, isWanted: boolean): number | undefined {
  if (isOpenByText(all, at) === isWanted) return at
  let time = Math.floor(at / minuteMs) * minuteMs
  for (let step = 0; step < 3 * 1440; step += 1) {
    time += minuteMs
    if (isOpenByText(all, time) === isWanted) return time
  }
  return undefined
}

test('windows open and close where the clock on the wall says', () => {
  fc.assert(
    fc.property(windows, timezone, start, (list, zone, at) => {
      const all = { windows: list, timezone: zone }
      expect(isOpenAt(all, at)).toBe(isOpenByText(all, at))
      expect(opensAt(all, at)).toBe(walk(all, at, true))
      expect(closesAt(all, at)).toBe(walk(all, at, false))
    }),
    { numRuns: 60 },
  )
})

test('a window opens again where the clock is set back into it', () => {
  // 03:00 becomes 02:00 again at 01:00 UTC: the window is open from 01:00 to 02:30, and 02:00 to 02:30.
  const all = { windows: [{ fromMinute: 60, untilMinute: 150 }], timezone: 'Europe/Berlin' }
  const first = Date.UTC(2026, 9, 25, 0, 30)
  expect(closesAt(all, first - 1)).toBe(first)
  expect(opensAt(all, first)).toBe(Date.UTC(2026, 9, 25, 1))
  expect(closesAt(all, Date.UTC(2026, 9, 25, 1))).toBe(Date.UTC(2026, 9, 25, 1, 30))
})

test('without windows it is always open', () => {
  const none = { windows: [], timezone: undefined }
  expect(isOpenAt(none, 0)).toBe(true)
  expect(opensAt(none, 5)).toBe(5)
  expect(closesAt(none, 5)).toBeUndefined()
})

test('windows that leave no gap never close', () => {
  const halves = (first: number, second: number) => ({
    windows: [
      { fromMinute: 0, untilMinute: first },
      { fromMinute: second, untilMinute: 1440 },
    ],
    timezone: 'UTC',
  })
  expect(closesAt(halves(720, 720), 0)).toBeUndefined()
  expect(closesAt(halves(720, 600), 0)).toBeUndefined()
  expect(closesAt(halves(720, 721), 0)).toBe(720 * minuteMs)
})
