/**
 * @module Numbers, sizes and times as people read them, in the language of the pages.
 */
import { language } from '../messages/catalogue.ts'

const UNITS = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'] as const

/** `182 MB`: three digits at most, decimal units, as the tools of registries print them. */
export function size(bytes: number): string {
  let [value, unit] = [bytes, 0]
  while (value >= 999.5 && unit < UNITS.length - 1) [value, unit] = [value / 1000, unit + 1]
  const digits = unit === 0 || value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2
  return `${number(Number(value.toFixed(digits)))} ${UNITS[unit]}`
}

export function number(value: number): string {
  return numbers(language.value).format(value)
}

/** The exact time, for titles. */
export function exact(iso: string): string {
  const at = new Date(iso)
  return Number.isNaN(at.getTime()) ? iso : times(language.value).format(at)
}

const STEPS: readonly (readonly [Intl.RelativeTimeFormatUnit, number])[] = [
  ['year', 365 * 86_400],
  ['month', 30 * 86_400],
  ['day', 86_400],
  ['hour', 3_600],
  ['minute', 60],
]

/** `2 hours ago`, `in 3 days`. */
export function relative(iso: string, now = Date.now()): string {
  const seconds = (new Date(iso).getTime() - now) / 1000
  if (Number.isNaN(seconds)) return iso
  for (const [unit, length] of STEPS) {
    if (Math.abs(seconds) >= length) {
      return relatives(language.value).format(Math.trunc(seconds / length), unit)
    }
  }
  return relatives(language.value).format(0, 'second')
}

/** `sha256:3f9a8c…` as people compare it. */
export function shortDigest(digest: string): string {
  const colon = digest.indexOf(':')
  return colon < 0 ? digest.slice(0, 12) : digest.slice(colon + 1, colon + 13)
}

/** Signs that are not seen or turn the text round, spelled out: what others wrote is shown as it is. */
export function visible(text: string): string {
  return text.replace(
    /[\u0000-\u0008\u000b-\u001f\u007f\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]/g,
    (sign) => `\\u${sign.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}

/** `linux/arm64/v8` as `arm64/v8`: nearly all are of Linux. */
export const shortPlatform = (platform: string) => platform.replace(/^linux\//, '')

export function platformText(platform: unknown): string {
  const { os, architecture, variant } = (platform ?? {}) as Readonly<Record<string, string>>
  const words = [os === 'linux' ? undefined : os, architecture, variant]
  return words.filter((word) => word !== undefined && word !== '').join('/')
}

const numbers = byLanguage((it) => new Intl.NumberFormat(it))
const relatives = byLanguage((it) => new Intl.RelativeTimeFormat(it, { numeric: 'auto' }))
const times = byLanguage(
  (it) => new Intl.DateTimeFormat(it, { dateStyle: 'medium', timeStyle: 'medium' }),
)

function byLanguage<T>(make: (language: string) => T): (language: string) => T {
  const made = new Map<string, T>()
  return (name) => {
    const known = made.get(name) ?? make(name)
    made.set(name, known)
    return known
  }
}
