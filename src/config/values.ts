/**
 * @module The one set of value types: how a value of a setting is read, how its bounds are named. The
 * same types read a whole key, the items of a list and the keys of an item. Text that says exactly a
 * number or a boolean counts as one, because `${NAME}` always gives text.
 */
import { isIP } from 'node:net'
import { resolve } from 'node:path'
import { compileGlob } from '../registry/glob.ts'
import { parsePattern } from '../registry/pattern.ts'
import { fail, ok, type Result } from '../registry/result.ts'
import { type ListenAddress, parseAddress } from './address.ts'
import { unknownKeyMessage } from './explain.ts'
import { formatDuration, formatSize, parseDuration, parseSize } from './quantities.ts'

/** Why a value was refused, and where inside it (an empty path is the value itself). */
export interface ValueIssue {
  readonly path: readonly (string | number)[]
  /** What was expected. Never the value of a secret. */
  readonly message: string
  /** True where the last path step is a key that is wrong or missing, not the value below it. */
  readonly isAboutKey?: boolean
}

export interface ValueType<T> {
  /** For the table of settings: `duration`, `auto, uws or node` … */
  readonly name: string
  readonly bounds?: string
  parse(raw: unknown): Result<T, readonly ValueIssue[]>
}

/** A type whose value is one scalar. */
function scalar<T>(
  name: string,
  bounds: string | undefined,
  parse: (raw: unknown) => Result<T, string>,
): ValueType<T> {
  return {
    name,
    ...(bounds === undefined ? {} : { bounds }),
    parse(raw) {
      const result = parse(raw)
      return result.ok ? result : fail([{ path: [], message: result.error }])
    },
  }
}

/** The same values, with one more condition: what is wrong with a value, or undefined. */
export function refine<T>(
  type: ValueType<T>,
  problemOf: (value: T) => string | undefined,
): ValueType<T> {
  return inspect(type, (value) => {
    const message = problemOf(value)
    return message === undefined ? [] : [{ path: [], message }]
  })
}

/** The same values, with conditions between the parts of one: what is wrong, each with its place. */
export function inspect<T>(
  type: ValueType<T>,
  issuesOf: (value: T) => readonly ValueIssue[],
): ValueType<T> {
  return {
    ...type,
    parse(raw) {
      const parsed = type.parse(raw)
      const issues = parsed.ok ? issuesOf(parsed.value) : []
      return issues.length === 0 ? parsed : fail(issues)
    },
  }
}

/** The same, or undefined where the text is empty. */
export function orNone<T>(type: ValueType<T>): ValueType<T | undefined> {
  return { ...type, parse: (raw) => (raw === '' ? ok(undefined) : type.parse(raw)) }
}

/** The same text in the file, another value in the program. */
export function convert<T, U>(type: ValueType<T>, change: (value: T) => U): ValueType<U> {
  return {
    ...type,
    parse(raw) {
      const parsed = type.parse(raw)
      return parsed.ok ? ok(change(parsed.value)) : parsed
    },
  }
}

/** Text of at least `lengthMin` characters. Numbers must be quoted: `012` and `1e3` are not text. */
export function text(options: { readonly lengthMin?: number } = {}): ValueType<string> {
  const lengthMin = options.lengthMin ?? 0
  return scalar('text', undefined, (raw) => {
    if (typeof raw !== 'string') return fail('expected text (put it in quotes)')
    if (raw.length < lengthMin) return fail('expected text that is not empty')
    if (raw.includes('\0')) return fail('expected text without a NUL character')
    return ok(raw)
  })
}

/** Text that is not empty and fits; `expected` is the error for all other text. */
export function textThat(fits: (text: string) => boolean, expected: string): ValueType<string> {
  return refine(text({ lengthMin: 1 }), (value) => (fits(value) ? undefined : expected))
}

/** Text, or undefined where it is empty. */
export function optionalText(): ValueType<string | undefined> {
  return convert(text(), (value) => (value === '' ? undefined : value))
}

/** A path: absolute in the program, relative ones count from the working directory. May be empty. */
export function path(options: { readonly lengthMin?: number } = {}): ValueType<string> {
  return convert(text(options), (value) => (value === '' ? '' : resolve(value)))
}

const BOOLEANS: Readonly<Record<string, boolean>> = {
  true: true,
  yes: true,
  on: true,
  false: false,
  no: false,
  off: false,
}

/** `true` or `false`; `yes`, `no`, `on` and `off` too, which YAML 1.1 files of older setups use. */
export function boolean(): ValueType<boolean> {
  return scalar('boolean', undefined, (raw) => {
    if (typeof raw === 'boolean') return ok(raw)
    const word = typeof raw === 'string' ? raw.toLowerCase() : ''
    const value = Object.hasOwn(BOOLEANS, word) ? BOOLEANS[word] : undefined
    return value === undefined ? fail('expected true or false') : ok(value)
  })
}

export function integer(min: number, max: number): ValueType<number> {
  return scalar('integer', `${min} to ${max}`, (raw) => {
    const value = typeof raw === 'string' && /^-?\d+$/.test(raw) ? Number(raw) : raw
    const isInside = Number.isSafeInteger(value) && Number(value) >= min && Number(value) <= max
    return isInside ? ok(Number(value)) : fail(`expected a whole number from ${min} to ${max}`)
  })
}

export function oneOf<const T extends string>(...words: readonly T[]): ValueType<T> {
  const names = `${words.slice(0, -1).join(', ')} or ${words.at(-1)}`
  return scalar(names, undefined, (raw) => {
    const word = words.find((candidate) => candidate === raw)
    return word === undefined ? fail(`expected ${names}`) : ok(word)
  })
}

/** In milliseconds. Bounds are written as a duration is; without `max` any longer one fits. */
export function duration(min: string, max?: string): ValueType<number> {
  return quantity('duration', [min, max], parseDuration, formatDuration)
}

/** In bytes. Bounds are written as a size is. */
export function size(min: string, max: string): ValueType<number> {
  return quantity('size', [min, max], parseSize, formatSize)
}

function quantity(
  name: string,
  [minText, maxText]: readonly [string, string | undefined],
  parse: (text: string) => Result<number, string>,
  format: (value: number) => string,
): ValueType<number> {
  const min = parse(minText)
  const max = maxText === undefined ? ok(Number.POSITIVE_INFINITY) : parse(maxText)
  if (!min.ok || !max.ok) throw new TypeError(`bounds of a ${name}: ${minText}, ${maxText}`)
  const bounds = maxText === undefined ? `${minText} or more` : `${minText} to ${maxText}`
  const expected = maxText === undefined ? `of ${bounds}` : `from ${bounds}`
  return scalar(name, bounds, (raw) => {
    const isNumber = typeof raw === 'number' && Number.isFinite(raw)
    const value = parse(isNumber || typeof raw === 'string' ? String(raw) : '')
    if (!value.ok) return value
    if (value.value >= min.value && value.value <= max.value) return value
    return fail(`expected a ${name} ${expected}, this is ${format(value.value)}`)
  })
}

export function address(): ValueType<ListenAddress> {
  return scalar('address', undefined, (raw) =>
    parseAddress(typeof raw === 'string' ? raw : `${raw}`),
  )
}

/** An address, or empty text for none. */
export function optionalAddress(): ValueType<ListenAddress | undefined> {
  const required = address()
  return {
    name: 'address or empty',
    parse: (raw) => (raw === '' ? ok(undefined) : required.parse(raw)),
  }
}

const CRON_FIELD = /^[\dA-Za-z*/,-]+$/

/** Five fields of a crontab line. The scheduler judges their meaning; this is the shape. */
export function cron(): ValueType<string> {
  return scalar('cron schedule', undefined, (raw) => {
    const fields = typeof raw === 'string' ? raw.split(' ') : []
    return fields.length === 5 && fields.every((field) => CRON_FIELD.test(field))
      ? ok(fields.join(' '))
      : fail('expected a cron schedule of five fields, such as "0 2 * * *"')
  })
}

/** An address, or a range by prefix length (`10.0.0.0/8`, `fd00::/8`). */
export function network(): ValueType<string> {
  return textThat(isNetwork, 'expected an address or a range such as "10.0.0.0/8" or "fd00::/8"')
}

function isNetwork(value: string): boolean {
  const [host = '', bits = '0', ...more] = value.split('/')
  const version = isIP(host)
  const isRange = /^\d{1,3}$/.test(bits) && Number(bits) <= (version === 6 ? 128 : 32)
  return version !== 0 && isRange && more.length === 0
}

/** An absolute http or https URL. */
export function url(): ValueType<string> {
  return {
    ...textThat(isHttpUrl, 'expected an http or https URL such as "https://auth.example.com"'),
    name: 'URL',
  }
}

/** The same, or undefined where the text is empty. */
export function optionalUrl(): ValueType<string | undefined> {
  const required = url()
  return {
    name: 'URL or empty',
    parse: (raw) => (raw === '' ? ok(undefined) : required.parse(raw)),
  }
}

function isHttpUrl(value: string): boolean {
  return /^https?:\/\/./i.test(value) && URL.canParse(value)
}

/** A glob over names or tags, of the signs that these can have. */
export function glob(expected: string): ValueType<string> {
  return textThat(
    (value) => /^[A-Za-z0-9._/*?{},[\]!-]+$/.test(value) && compileGlob(value).ok,
    expected,
  )
}

/** A glob, or a regular expression between slashes (`registry/pattern.ts`). */
export function pattern(): ValueType<string> {
  return refine(text(), (value) => {
    const parsed = parsePattern(value)
    return parsed.ok ? undefined : `pattern ${value}: ${parsed.error}`
  })
}

/** Patterns in a list, one pattern alone, or empty text for none. */
export function patterns(): ValueType<readonly string[]> {
  const several = list('list of patterns', pattern())
  const one = convert(orNone(pattern()), (value) => (value === undefined ? [] : [value]))
  return { ...several, parse: (raw) => (typeof raw === 'string' ? one : several).parse(raw) }
}

export interface ListOptions {
  readonly lengthMin?: number
}

/** A list; every item that is wrong is named. `name` is `list of …`. */
export function list<T>(
  name: string,
  item: ValueType<T>,
  { lengthMin = 0 }: ListOptions = {},
): ValueType<readonly T[]> {
  return {
    name,
    parse(raw) {
      if (!Array.isArray(raw)) return fail([{ path: [], message: `expected a ${name}` }])
      if (raw.length < lengthMin) {
        return fail([{ path: [], message: `expected a ${name} that is not empty` }])
      }
      const parsed = raw.map((one: unknown) => item.parse(one))
      const issues = parsed.flatMap((one, index) => (one.ok ? [] : below(index, one.error)))
      if (issues.length > 0) return fail(issues)
      return ok(parsed.flatMap((one) => (one.ok ? [one.value] : [])))
    },
  }
}

/** One value alone, or a list of at least one. */
export function oneOrMore<T>(name: string, item: ValueType<T>): ValueType<readonly T[]> {
  const several = list(name, item, { lengthMin: 1 })
  const one = convert(item, (value): readonly T[] => [value])
  return { name, parse: (raw) => (Array.isArray(raw) ? several : one).parse(raw) }
}

function below(step: string | number, issues: readonly ValueIssue[]): readonly ValueIssue[] {
  return issues.map((issue) => ({ ...issue, path: [step, ...issue.path] }))
}

/** A key of an item that may be missing; with a default, which is written as in the file. */
export interface OptionalPart<T, HasDefault extends boolean> {
  readonly optional: ValueType<T>
  readonly hasDefault: HasDefault
  readonly value?: unknown
}

export function optional<T>(type: ValueType<T>): OptionalPart<T, false> {
  return { optional: type, hasDefault: false }
}

export function withDefault<T>(type: ValueType<T>, value: unknown): OptionalPart<T, true> {
  return { optional: type, hasDefault: true, value }
}

type Part = ValueType<unknown> | OptionalPart<unknown, boolean>
type Parts = Readonly<Record<string, Part>>
type PartValue<P> =
  P extends OptionalPart<infer T, boolean> ? T : P extends ValueType<infer T> ? T : never
type MayLack<P> = P extends OptionalPart<unknown, false> ? true : false

/** The value of an item by its keys. */
export type ItemValue<E extends Parts> = {
  readonly [K in keyof E as MayLack<E[K]> extends true ? never : K]: PartValue<E[K]>
} & {
  readonly [K in keyof E as MayLack<E[K]> extends true ? K : never]?: PartValue<E[K]>
}

/** A mapping with known keys, each with its own type. Every key that is wrong or missing is named. */
export function item<const E extends Parts>(parts: E): ValueType<ItemValue<E>> {
  return {
    name: 'mapping',
    parse(raw) {
      if (!isMapping(raw)) return fail([{ path: [], message: 'expected a mapping' }])
      const issues: ValueIssue[] = []
      const refuseKey = (key: string, message: string) =>
        issues.push({ path: [key], message, isAboutKey: true })
      for (const key of Object.keys(raw)) {
        if (!Object.hasOwn(parts, key)) refuseKey(key, unknownKeyMessage(key, Object.keys(parts)))
      }
      const value: Record<string, unknown> = {}
      for (const [key, part] of Object.entries(parts)) {
        const isGiven = Object.hasOwn(raw, key)
        const isOptional = 'optional' in part
        if (!isGiven && isOptional && !part.hasDefault) continue
        if (!isGiven && !isOptional) refuseKey(key, `"${key}" is missing`)
        else {
          const type = isOptional ? part.optional : part
          const parsed = type.parse(isGiven || !isOptional ? raw[key] : part.value)
          if (parsed.ok) value[key] = parsed.value
          else issues.push(...below(key, parsed.error))
        }
      }
      return issues.length > 0 ? fail(issues) : ok(value as ItemValue<E>)
    },
  }
}

/** A mapping whose keys are names of the operator's choice. An empty list is an empty mapping. */
export function mapping<T>(
  name: string,
  key: ValueType<string>,
  value: ValueType<T>,
): ValueType<Readonly<Record<string, T>>> {
  return {
    name,
    parse(raw) {
      // A default is a list, like that of every other collection.
      if (Array.isArray(raw) && raw.length === 0) return ok({})
      if (!isMapping(raw)) return fail([{ path: [], message: `expected a ${name}` }])
      const issues: ValueIssue[] = []
      const entries: [string, T][] = []
      for (const [word, one] of Object.entries(raw)) {
        const [parsedKey, parsed] = [key.parse(word), value.parse(one)]
        if (!parsedKey.ok) issues.push(...below(word, parsedKey.error))
        if (!parsed.ok) issues.push(...below(word, parsed.error))
        else entries.push([word, parsed.value])
      }
      // Names such as `constructor` and `__proto__` are names like any other.
      return issues.length > 0 ? fail(issues) : ok(Object.fromEntries(entries))
    },
  }
}

function isMapping(raw: unknown): raw is Readonly<Record<string, unknown>> {
  return typeof raw === 'object' && raw !== null && !Array.isArray(raw)
}
