/**
 * @module Times of a day between which something may happen (`22:00-06:00`), as an operator writes them.
 */
import { fail, ok, type Result } from '../registry/result.ts'

/** Minutes after midnight of the wall clock. A window that ends before it begins goes over midnight. */
export interface TimeWindow {
  /** 0 to 1439. */
  readonly fromMinute: number
  /** 1 to 1440, not included. Never equal to the beginning. */
  readonly untilMinute: number
}

const minutesPerDay = 24 * 60
const WINDOW = /^([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-4]):([0-5]\d)$/

export function parseTimeWindow(text: string): Result<TimeWindow, string> {
  const match = WINDOW.exec(text)
  if (match === null) return fail('expected a window such as "22:00-06:00"')
  const [, fromHour, fromMinute, untilHour, untilMinute] = match.map(Number)
  const from = fromHour! * 60 + fromMinute!
  const end = untilHour! * 60 + untilMinute!
  if (end > minutesPerDay) return fail('a day ends at 24:00')
  const until = end === 0 ? minutesPerDay : end
  if (until === from) return fail('a window has a length; the whole day is "00:00-24:00"')
  return ok({ fromMinute: from, untilMinute: until })
}
