/**
 * @module The part of CBOR (RFC 8949) that COSE signatures are written in: definite lengths, integers, byte
 * strings, text, arrays, maps, tags, true, false, null. Everything else is refused.
 */
import { isUtf8 } from 'node:buffer'
import { Unreadable } from './encoding.ts'

/** Deepest nesting, levels; COSE needs four. */
const depthMax = 16

/** Members of all arrays and maps together. */
const membersMax = 10_000

export type CborKey = number | string

export type Cbor =
  | number
  | string
  | boolean
  | null
  | Uint8Array
  | readonly Cbor[]
  | ReadonlyMap<CborKey, Cbor>
  | Tagged

export class Tagged {
  readonly tag: number
  readonly value: Cbor

  constructor(tag: number, value: Cbor) {
    this.tag = tag
    this.value = value
  }
}

/** Reads one item that fills `bytes` to the last one. Throws `Unreadable`. Linear. */
export function fromCbor(bytes: Uint8Array): Cbor {
  const reader = new Reader(bytes)
  const value = reader.item(0)
  if (!reader.isAtEnd) throw new Unreadable('there are bytes behind the end of the CBOR item')
  return value
}

class Reader {
  readonly #bytes: Uint8Array
  readonly #view: DataView
  #at = 0
  #members = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }

  get isAtEnd(): boolean {
    return this.#at === this.#bytes.byteLength
  }

  item(depth: number): Cbor {
    if (depth > depthMax) throw new Unreadable('CBOR is nested too deep')
    const initial = this.#take(1)[0]!
    const type = initial >> 5
    if (type === 7) return simple(initial & 31)
    const argument = this.#argument(initial & 31)
    switch (type) {
      case 0:
        return argument
      case 1:
        return -1 - argument
      case 2:
        return this.#take(argument)
      case 3:
        return textOf(this.#take(argument))
      case 4:
        return this.#array(argument, depth)
      case 5:
        return this.#map(argument, depth)
      default:
        return new Tagged(argument, this.item(depth + 1))
    }
  }

  #array(length: number, depth: number): Cbor[] {
    this.#count(length)
    return Array.from({ length }, () => this.item(depth + 1))
  }

  #map(length: number, depth: number): Map<CborKey, Cbor> {
    this.#count(length)
    const map = new Map<CborKey, Cbor>()
    for (let index = 0; index < length; index += 1) {
      const key = this.item(depth + 1)
      if (typeof key !== 'number' && typeof key !== 'string') {
        throw new Unreadable('a CBOR map has a key that is neither a number nor text')
      }
      if (map.has(key)) throw new Unreadable('a CBOR map has a key twice')
      map.set(key, this.item(depth + 1))
    }
    return map
  }

  /** What is said about a length comes from a stranger: nothing is made of it before it fits. */
  #count(length: number): void {
    this.#members += length
    if (this.#members > membersMax) throw new Unreadable('a CBOR item has too many members')
  }

  #argument(info: number): number {
    if (info < 24) return info
    if (info > 27) throw new Unreadable('CBOR without a definite length is not taken')
    const size = 2 ** (info - 24)
    const at = this.#at
    this.#take(size)
    const value = size === 8 ? Number(this.#view.getBigUint64(at)) : this.#small(at, size)
    if (!Number.isSafeInteger(value)) throw new Unreadable('a CBOR number is too large')
    return value
  }

  #small(at: number, size: number): number {
    if (size === 1) return this.#view.getUint8(at)
    return size === 2 ? this.#view.getUint16(at) : this.#view.getUint32(at)
  }

  #take(length: number): Uint8Array {
    const end = this.#at + length
    if (end > this.#bytes.byteLength) throw new Unreadable('CBOR ends in the middle of an item')
    const taken = this.#bytes.subarray(this.#at, end)
    this.#at = end
    return taken
  }
}

function simple(info: number): Cbor {
  if (info === 20) return false
  if (info === 21) return true
  if (info === 22) return null
  throw new Unreadable('CBOR of this type is not taken')
}

function textOf(bytes: Uint8Array): string {
  if (!isUtf8(bytes)) throw new Unreadable('CBOR text is not UTF-8')
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString()
}
