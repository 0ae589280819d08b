/**
 * @module Durations (`30s`, `24h`, `1h30m`) and sizes (`64KiB`, `65536`) as an operator writes them.
 * `format` writes what `parse` reads back as the same number.
 */
import { fail, ok, type Result } from '../registry/result.ts'

/** Longest first, so that formatting takes the largest unit that fits. */
const DURATION_UNITS_MS = { d: 86_400_000, h: 3_600_000, m: 60_000, s: 1_000, ms: 1 } as const
const DURATION_PART = /^(\d+(?:\.\d+)?)(ms|[smhd])/

/** Longest text that is looked at, characters. */
const quantityLengthMax = 64
const DURATION = /^(?:\d+(?:\.\d+)?(?:ms|[smhd]))+$/

/** Largest first. KB and the like are powers of 1000, as the SI has it. */
const SIZE_UNITS_BYTES = {
  TiB: 2 ** 40,
  GiB: 2 ** 30,
  MiB: 2 ** 20,
  KiB: 2 ** 10,
  TB: 1e12,
  GB: 1e9,
  MB: 1e6,
  KB: 1e3,
  B: 1,
} as const
const SIZE = /^(\d+(?:\.\d+)?) ?([kmgt]?i?b)?$/i

/** Milliseconds, whole ones; `0` needs no unit. */
export function parseDuration(text: string): Result<number, string> {
  if (text === '0') return ok(0)
  if (/^\d+$/.test(text)) return fail(`expected a duration with a unit, such as "${text}s"`)
  if (text.length > quantityLengthMax || !DURATION.test(text)) {
    return fail('expected a duration such as "30s", "10m", "1h30m" or "7d" (units ms, s, m, h, d)')
  }
  let total = 0
  for (let rest = text; rest !== ''; ) {
    const [part, amount, unit] = DURATION_PART.exec(rest)!
    rest = rest.slice(part.length)
    total += Number(amount) * DURATION_UNITS_MS[unit as keyof typeof DURATION_UNITS_MS]
  }
  const rounded = Math.round(total)
  return Number.isSafeInteger(rounded) ? ok(rounded) : fail('expected a shorter duration')
}

export function formatDuration(durationMs: number): string {
  let rest = durationMs
  let text = ''
  for (const [unit, unitMs] of Object.entries(DURATION_UNITS_MS)) {
    const count = Math.floor(rest / unitMs)
    if (count > 0) text += `${count}${unit}`
    rest -= count * unitMs
  }
  return text === '' ? '0s' : text
}

/** Bytes; a number without a unit is bytes already. */
export function parseSize(text: string): Result<number, string> {
  const match = text.length > quantityLengthMax ? null : SIZE.exec(text)
  if (match === null) return fail('expected a size such as "65536", "64KiB" or "1GiB"')
  const unit = (match[2] ?? 'B').toUpperCase().replace('I', 'i') as keyof typeof SIZE_UNITS_BYTES
  const bytes = Number(match[1]) * (SIZE_UNITS_BYTES[unit] ?? Number.NaN)
  return Number.isSafeInteger(bytes) ? ok(bytes) : fail('expected a size that is whole bytes')
}

/** In the largest unit that divides it: 65536 is `64KiB`, 65537 stays `65537B`. */
export function formatSize(bytes: number): string {
  for (const [unit, unitBytes] of Object.entries(SIZE_UNITS_BYTES)) {
    if (bytes >= unitBytes && bytes % unitBytes === 0) return `${bytes / unitBytes}${unit}`
  }
  return `${bytes}B`
}
