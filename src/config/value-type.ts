/**
 * @module What kinds of value a setting can have: how each is read, how its bounds are told. Text
 * that says exactly a number or a boolean counts as one, because `${NAME}` always gives text.
 */
import { isIP } from 'node:net'
import * as v from 'valibot'
import { fail, ok, type Result } from '../registry/result.ts'
import { parseAddress } from './address.ts'
import type { ListenAddress } from './config.ts'
import { unknownKeyMessage } from './explain.ts'
import { formatDuration, formatSize, parseDuration, parseSize } from './quantities.ts'

/** Why a value was refused, and where inside it (an empty path is the value itself). */
export interface ValueIssue {
  readonly path: readonly (string | number)[]
  /** What was expected. Never the value: it may be a secret. */
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

/** In milliseconds. Bounds are written as a duration is. */
export function duration(min: string, max: string): ValueType<number> {
  return quantity('duration', min, max, parseDuration, formatDuration)
}

/** In bytes. Bounds are written as a size is. */
export function size(min: string, max: string): ValueType<number> {
  return quantity('size', min, max, parseSize, formatSize)
}

function quantity(
  name: string,
  minText: string,
  maxText: string,
  parse: (text: string) => Result<number, string>,
  format: (value: number) => string,
): ValueType<number> {
  const [min, max] = [parse(minText), parse(maxText)]
  if (!min.ok || !max.ok) throw new TypeError(`bounds of a ${name}: ${minText}, ${maxText}`)
  return scalar(name, `${minText} to ${maxText}`, (raw) => {
    const isNumber = typeof raw === 'number' && Number.isFinite(raw)
    const value = parse(isNumber || typeof raw === 'string' ? String(raw) : '')
    if (!value.ok) return value
    if (value.value >= min.value && value.value <= max.value) return value
    return fail(`expected a ${name} from ${minText} to ${maxText}, this is ${format(value.value)}`)
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

/** Five fields of a crontab line. Their meaning is the scheduler's to judge; this is the shape. */
export function isCron(line: string): boolean {
  const fields = line.split(' ')
  return fields.length === 5 && fields.every((field) => CRON_FIELD.test(field))
}

export function cron(): ValueType<string> {
  return scalar('cron schedule', undefined, (raw) =>
    typeof raw === 'string' && isCron(raw)
      ? ok(raw)
      : fail('expected a cron schedule of five fields, such as "0 2 * * *"'),
  )
}

/** An address, or a range by prefix length (`10.0.0.0/8`, `fd00::/8`). */
export function isNetwork(text: string): boolean {
  const [address = '', bits = '0', ...more] = text.split('/')
  const version = isIP(address)
  const isRange = /^\d{1,3}$/.test(bits) && Number(bits) <= (version === 6 ? 128 : 32)
  return version !== 0 && isRange && more.length === 0
}

/** A network inside a list or an item. */
export const network = v.pipe(
  v.string('expected text'),
  v.check(isNetwork, 'expected an address or a range such as "10.0.0.0/8" or "fd00::/8"'),
)

/** A type of one value as a part of a list or an item: read alike, refused in the same words. */
export function inside<T>(type: ValueType<T>): v.GenericSchema<unknown, T> {
  return v.pipe(
    v.unknown(),
    v.rawTransform(({ dataset, addIssue, NEVER }) => {
      const parsed = type.parse(dataset.value)
      if (parsed.ok) return parsed.value
      for (const { message } of parsed.error) addIssue({ message })
      return NEVER
    }),
  )
}

/** A list whose items a Valibot schema describes; every item that is wrong is named. */
export function list<T>(name: string, item: v.GenericSchema<unknown, T>): ValueType<readonly T[]> {
  const schema = v.array(item, 'expected a list')
  return {
    name,
    parse(raw) {
      const result = v.safeParse(schema, raw)
      return result.success ? ok(result.output) : fail(result.issues.map(toValueIssue))
    },
  }
}

/** An item of a list: known keys only, each with its own schema. */
export function item<const E extends v.ObjectEntries>(
  entries: E,
): v.StrictObjectSchema<E, (issue: v.StrictObjectIssue) => string> {
  return v.strictObject(entries, (issue) => {
    const key = String(issue.path?.at(-1)?.key ?? '')
    if (issue.expected === 'Object') return 'expected a mapping'
    if (issue.expected === 'never') return unknownKeyMessage(key, Object.keys(entries))
    return `"${key}" is missing`
  })
}

function toValueIssue(issue: v.BaseIssue<unknown>): ValueIssue {
  const path = (issue.path ?? []).map((step) => step.key as string | number)
  const isAboutKey = issue.type === 'strict_object' && issue.expected !== 'Object'
  return { path, message: issue.message, isAboutKey }
}
