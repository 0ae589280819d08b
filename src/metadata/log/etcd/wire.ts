/**
 * @module The wire format of protobuf, both ways: tags, varints and lengths, nothing of any message.
 * Unknown fields are legal and skipped; bytes that are no fields, or end in the middle of one, are refused.
 * https://protobuf.dev/programming-guides/encoding/
 */
import { EtcdError } from './errors.ts'

/** The kinds of fields that proto3 has. Groups (3 and 4) went with proto2, and no message of etcd has one. */
export const WIRE = { varint: 0, fixed64: 1, bytes: 2, fixed32: 5 } as const

/** A varint has seven bits a byte: ten hold 64 of them. */
const VARINT_BYTES_MAX = 10
const TAG_MAX = 0xffff_ffff

const utf8 = new TextDecoder('utf-8', { fatal: true })

/** Reads the fields of one message, one `next()` each. Every method throws `malformed` on other bytes. */
export class WireReader {
  readonly #bytes: Uint8Array
  #at = 0
  #type = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
  }

  /** The number of the next field, from 1; 0 behind the last one. */
  next(): number {
    if (this.#at === this.#bytes.length) return 0
    const tag = this.#number()
    const field = Math.floor(tag / 8)
    if (tag > TAG_MAX || field === 0) throw malformed('a field without a number')
    this.#type = tag % 8
    return field
  }

  /** The field as a number from 0 to 2^53 - 1; a larger or negative one is refused. */
  number(): number {
    this.#expect(WIRE.varint)
    return this.#number()
  }

  /** The field as 64 bits without a sign. */
  uint64(): bigint {
    this.#expect(WIRE.varint)
    return this.#uint64()
  }

  boolean(): boolean {
    return this.uint64() !== 0n
  }

  /** The field as bytes: a view of the message, not a copy. */
  bytes(): Uint8Array {
    this.#expect(WIRE.bytes)
    return this.#take(this.#number())
  }

  text(): string {
    try {
      return utf8.decode(this.bytes())
    } catch (error) {
      if (error instanceof EtcdError) throw error
      throw malformed('a text that is not UTF-8')
    }
  }

  /** The field as a message of its own. */
  message(): WireReader {
    return new WireReader(this.bytes())
  }

  /** Leaves the field out. */
  skip(): void {
    switch (this.#type) {
      case WIRE.varint:
        this.#uint64()
        break
      case WIRE.fixed64:
        this.#take(8)
        break
      case WIRE.bytes:
        this.#take(this.#number())
        break
      case WIRE.fixed32:
        this.#take(4)
        break
      default:
        throw malformed(`a field of kind ${this.#type}`)
    }
  }

  #expect(type: number): void {
    if (this.#type !== type) throw malformed(`a field of kind ${this.#type} instead of ${type}`)
  }

  #take(length: number): Uint8Array {
    if (length > this.#bytes.length - this.#at) throw malformed('a field that is cut off')
    const start = this.#at
    this.#at += length
    return this.#bytes.subarray(start, this.#at)
  }

  #number(): number {
    const start = this.#at
    let value = 0
    let unit = 1
    // Seven bytes are 49 bits: exact in a double.
    while (this.#at < start + 7) {
      const byte = this.#byte()
      value += (byte & 0x7f) * unit
      if (byte < 0x80) return value
      unit *= 128
    }
    this.#at = start
    const long = this.#uint64()
    if (long > BigInt(Number.MAX_SAFE_INTEGER)) throw malformed('a number above 2^53')
    return Number(long)
  }

  #uint64(): bigint {
    let value = 0n
    for (let count = 0n; count < VARINT_BYTES_MAX; count++) {
      const byte = this.#byte()
      value |= BigInt(byte & 0x7f) << (7n * count)
      if (byte >= 0x80) continue
      if (value >= 1n << 64n) break
      return value
    }
    throw malformed('a number of more than 64 bits')
  }

  #byte(): number {
    const byte = this.#bytes[this.#at]
    if (byte === undefined) throw malformed('a number that is cut off')
    this.#at += 1
    return byte
  }
}

/** Writes the fields of one message. A value that proto3 leaves out (0, false) is written all the same. */
export class WireWriter {
  readonly #pieces: Uint8Array[] = []
  #length = 0

  /** `value`: from 0 to 2^53 - 1. */
  number(field: number, value: number): this {
    this.#varint(field * 8 + WIRE.varint)
    this.#varint(value)
    return this
  }

  /** `value`: 64 bits without a sign. */
  uint64(field: number, value: bigint): this {
    this.#varint(field * 8 + WIRE.varint)
    const bytes: number[] = []
    let rest = BigInt.asUintN(64, value)
    for (; rest >= 128n; rest >>= 7n) bytes.push(Number(rest & 127n) + 128)
    bytes.push(Number(rest))
    this.#push(Uint8Array.from(bytes))
    return this
  }

  boolean(field: number, value: boolean): this {
    return this.number(field, value ? 1 : 0)
  }

  bytes(field: number, value: Uint8Array): this {
    this.#varint(field * 8 + WIRE.bytes)
    this.#varint(value.length)
    this.#push(value)
    return this
  }

  message(field: number, value: WireWriter): this {
    return this.bytes(field, value.finish())
  }

  /** All that was written, as one array of its own. */
  finish(): Uint8Array {
    const whole = new Uint8Array(this.#length)
    let at = 0
    for (const piece of this.#pieces) {
      whole.set(piece, at)
      at += piece.length
    }
    return whole
  }

  #varint(value: number): void {
    const bytes: number[] = []
    let rest = value
    while (rest >= 128) {
      bytes.push((rest % 128) + 128)
      rest = Math.floor(rest / 128)
    }
    bytes.push(rest)
    this.#push(Uint8Array.from(bytes))
  }

  #push(piece: Uint8Array): void {
    this.#pieces.push(piece)
    this.#length += piece.length
  }
}

function malformed(what: string): EtcdError {
  return new EtcdError('malformed', `an answer has ${what}`)
}
