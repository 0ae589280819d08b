/**
 * @module Windows: times of the day in which runs may begin by themselves and go on. By the wall clock of
 * a time zone, so a day may have 23 or 25 hours. Without windows it is always open.
 */
import type { TimeWindow } from '../config/config.ts'

export interface Windows {
  readonly windows: readonly TimeWindow[]
  /** Undefined: the machine's. */
  readonly timezone: string | undefined
}

/** Whether one of them is open at this time. */
export function isOpenAt({ windows, timezone }: Windows, at: number): boolean {
  if (windows.length === 0) return true
  const minute = minuteOfDay(at, timezone)
  return windows.some((one) => holds(one, minute))
}

/** The first time from this one on at which one is open. */
export function opensAt(all: Windows, at: number): number {
  return firstFrom(all, at, true)
}

/** The first time from this one on at which none is; undefined when one always is. */
export function closesAt(all: Windows, at: number): number | undefined {
  return isAlwaysOpen(all.windows) ? undefined : firstFrom(all, at, false)
}

const minuteMs = 60_000
const minutesPerDay = 24 * 60

/** Clocks are set at a quarter of an hour, wherever they are. */
const setMinutes = 15

/** Three days of quarters, with the edges of the windows between them: every window opens in that time. */
const stepsMax = 3 * (minutesPerDay / setMinutes) + 1_000

/** Walks from edge to edge, and looks at the wall clock again wherever it may have been set. */
function firstFrom(all: Windows, at: number, isWanted: boolean): number {
  let time = at
  for (let step = 0; step < stepsMax; step += 1) {
    if (isOpenAt(all, time) === isWanted) return time
    const minute = minuteOfDay(time, all.timezone)
    const whole = Math.floor(time / minuteMs)
    const edges = all.windows.map((one) => (isWanted ? one.fromMinute : one.untilMinute))
    const next = edges.map((edge) => minutesUntil(minute, edge))
    time = (whole + Math.min(...next, setMinutes - (whole % setMinutes))) * minuteMs
  }
  throw new RangeError(`no time ${isWanted ? 'inside' : 'outside'} the windows`)
}

/** From 1 to a whole day. */
function minutesUntil(minute: number, edge: number): number {
  return ((edge - minute - 1 + 2 * minutesPerDay) % minutesPerDay) + 1
}

function holds({ fromMinute, untilMinute }: TimeWindow, minute: number): boolean {
  return fromMinute < untilMinute
    ? minute >= fromMinute && minute < untilMinute
    : minute >= fromMinute || minute < untilMinute
}

function isAlwaysOpen(windows: readonly TimeWindow[]): boolean {
  if (windows.length === 0) return true
  const edges = windows.map(({ untilMinute }) => untilMinute % minutesPerDay)
  return edges.every((minute) => windows.some((one) => holds(one, minute)))
}

/** Making one takes some tenths of a ms, and there are as many as time zones in the configuration. */
const formats = new Map<string | undefined, Intl.DateTimeFormat>()

function minuteOfDay(at: number, timezone: string | undefined): number {
  const format =
    formats.get(timezone) ??
    new Intl.DateTimeFormat('en', {
      hour: '2-digit',
      minute: '2-digit',
      hourCycle: 'h23',
      ...(timezone === undefined ? {} : { timeZone: timezone }),
    })
  formats.set(timezone, format)
  let minute = 0
  for (const { type, value } of format.formatToParts(at)) {
    if (type === 'hour') minute += Number(value) * 60
    else if (type === 'minute') minute += Number(value)
  }
  return minute
}
