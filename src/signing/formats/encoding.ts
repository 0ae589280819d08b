/**
 * @module How parts of signatures are written down: base64 and JSON of strangers. Each reader checks the
 * length first, is linear, and refuses what it does not understand to its last byte.
 */
import { isUtf8 } from 'node:buffer'
import { checkDepth } from '../../registry/json-depth.ts'

/** Deepest nesting of a JSON text, levels. */
const depthMax = 64

/** Values of one JSON text: each costs some hundred bytes of memory, however short it is. */
const valuesMax = 1_000_000

/** What JSON of others may hold: everything is looked at before it is believed. */
export interface Loose {
  readonly [key: string]: unknown
}

/** Why something of a signature cannot be read: the text is for the person who made it. */
export class Unreadable extends Error {
  override readonly name = 'Unreadable'
}

/**
 * Standard base64 with its padding, as Go and protobuf write it. `what` names the part in the error.
 * Throws `Unreadable` for any other text: a second text for the same bytes is nobody's signature.
 */
export function fromBase64(value: unknown, what: string): Buffer {
  return decode(value, 'base64', what)
}

/** Base64url without padding, as JWS writes it (RFC 7515, section 2). Throws `Unreadable`. */
export function fromBase64Url(value: unknown, what: string): Buffer {
  return decode(value, 'base64url', what)
}

function decode(value: unknown, encoding: 'base64' | 'base64url', what: string): Buffer {
  if (typeof value !== 'string') throw new Unreadable(`${what} is not text`)
  const bytes = Buffer.from(value, encoding)
  if (bytes.toString(encoding) !== value) throw new Unreadable(`${what} is not ${encoding}`)
  return bytes
}

/** Values that several texts may have together: what is read of one may be kept while others are read. */
export interface ValueBudget {
  left: number
  /** A text was refused because it has more than were left. */
  isExceeded: boolean
}

/**
 * A JSON object of at most `bytesMax` bytes, that takes its values from `budget`. Throws `Unreadable` for what is
 * longer, not UTF-8, nested too deep, not JSON, no object, or has more values than are left.
 */
export function fromJson(
  bytes: Uint8Array,
  bytesMax: number,
  what: string,
  budget?: ValueBudget,
): Loose {
  if (bytes.byteLength > bytesMax) {
    throw new Unreadable(`${what} has more than ${bytesMax} bytes`)
  }
  let json: unknown
  try {
    if (!isUtf8(bytes)) throw new SyntaxError('it is not UTF-8')
    checkDepth(bytes, depthMax)
    const values = valuesIn(bytes)
    if (values > valuesMax) throw new SyntaxError(`more than ${valuesMax} values`)
    if (budget !== undefined) take(budget, values, what)
    json = JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString())
  } catch (error) {
    if (error instanceof Unreadable) throw error
    throw new Unreadable(`${what} is not JSON`)
  }
  const found = objectOf(json)
  if (found === undefined) throw new Unreadable(`${what} is not a JSON object`)
  return found
}

/** Counts what separates values, in texts as well: no text needs a million commas. */
function valuesIn(utf8: Uint8Array): number {
  let values = 0
  for (const code of utf8) if (code === 0x2c || code === 0x5b || code === 0x7b) values += 1
  return values
}

/** A text that is too long takes nothing: a shorter one after it is read. */
function take(budget: ValueBudget, values: number, what: string): void {
  if (values > budget.left) {
    budget.isExceeded = true
    throw new Unreadable(`${what} has more values than are looked at for one image`)
  }
  budget.left -= values
}

/** The value as an object, or undefined. */
export function objectOf(value: unknown): Loose | undefined {
  const isObject = typeof value === 'object' && value !== null && !Array.isArray(value)
  return isObject ? (value as Loose) : undefined
}

/** The value as text that is not empty, or undefined. */
export function textOf(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined
}

/** The value as a list, empty when it is none. */
export function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : []
}
