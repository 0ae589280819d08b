/**
 * @module Entries of the log as bytes. A body that is too long for one entry comes in pieces.
 *
 *   [format 1 byte][MessagePack [member, boot, seq, piecesLeft, body]]
 *   body: [deflate of MessagePack [controls, transactions]], or a piece of it
 *
 * All nodes apply what they decode, the sender too: so nothing can differ that the wire would lose.
 */
import { deflateRawSync, inflateRawSync } from 'node:zlib'
import { Packr } from 'msgpackr'
import type { Entry, EntryBody } from '../entry.ts'
import type { Change, Transaction } from '../transaction.ts'

const format = 1

/** Bytes of a body in one entry: etcd's watchers fall behind on longer ones (measured from 256 KiB on, three at once). */
export const pieceBytesMax = 512 * 1024

/** Bytes of a body, unpacked: eight times the largest transaction (a manifest of 4 MiB). */
const unpackedBytesMax = 64 * 1024 * 1024

/** Pieces of one body. */
export const piecesMax = 128

/** What is not understood to its last byte. Every node finds the same: it is void. */
export class MalformedEntry extends Error {
  override readonly name = 'MalformedEntry'
}

const packr = new Packr({ useRecords: false, variableMapSize: true, copyBuffers: true })

/** Bytes of a body, in pieces of at most `pieceBytesMax`: each goes into one entry, in this order. */
export function encodeBody({ controls, transactions }: EntryBody): Uint8Array[] {
  const packed = packr.pack([controls, transactions])
  const level = denseBytesIn(transactions) * 2 > packed.byteLength ? 0 : 1
  const bytes = deflateRawSync(packed, { level })
  const pieces: Uint8Array[] = []
  for (let at = 0; at < bytes.byteLength; at += pieceBytesMax) {
    pieces.push(bytes.subarray(at, at + pieceBytesMax))
  }
  return pieces
}

export function encodeEntry({ member, boot, seq, piecesLeft, body }: Entry): Uint8Array {
  const packed = packr.pack([member, boot, seq, piecesLeft, body])
  const bytes = new Uint8Array(1 + packed.byteLength)
  bytes[0] = format
  bytes.set(packed, 1)
  return bytes
}

/** Throws MalformedEntry. */
export function decodeEntry(bytes: Uint8Array): Entry {
  if (bytes[0] !== format) throw new MalformedEntry(`entry of format ${bytes[0]}`)
  const all = unpack(bytes.subarray(1))
  if (!Array.isArray(all) || all.length !== 5) throw new MalformedEntry('not five parts')
  const [member, boot, seq, piecesLeft, body] = all as readonly unknown[]
  if (!isCount(member) || !isCount(boot) || !isCount(seq) || !isCount(piecesLeft)) {
    throw new MalformedEntry('a number is missing')
  }
  if (!(body instanceof Uint8Array)) throw new MalformedEntry('no body')
  if (body.byteLength > pieceBytesMax || piecesLeft >= piecesMax) {
    throw new MalformedEntry('too long')
  }
  return { member, boot, seq, piecesLeft, body }
}

/** What all pieces of a body say together. Throws MalformedEntry. */
export function decodeBody(pieces: readonly Uint8Array[]): EntryBody {
  const all = unpack(inflate(pieces.length === 1 ? pieces[0]! : Buffer.concat(pieces)))
  if (!Array.isArray(all) || all.length !== 2) throw new MalformedEntry('not two parts')
  const [controls, transactions] = all as readonly unknown[]
  if (!Array.isArray(controls) || !Array.isArray(transactions)) {
    throw new MalformedEntry('a list is missing')
  }
  return { controls, transactions } as EntryBody
}

/** Bytes that a transaction takes in an entry, about: unpacked, without packing it. */
export function sizeOf({ checks, changes }: Transaction): number {
  let bytes = checks.length * wordsBytes
  for (const it of changes) bytes += wordsBytes + bytesIn(it)
  return bytes
}

/** Bytes of blobs that no packing makes shorter: layers are packed already. Level 0 copies them. */
function denseBytesIn(transactions: readonly Transaction[]): number {
  let bytes = 0
  for (const { changes } of transactions) {
    for (const it of changes) {
      if (it.change !== 'arrive' || it.inlineBytes === undefined) continue
      if (isDense(it.inlineBytes)) bytes += it.inlineBytes.byteLength
    }
  }
  return bytes
}

const sampleBytes = 256
/** Of 256 bytes by chance 162 differ; of text and JSON some 60, of programs about 100. */
const denseValuesMin = 140

/** By the bytes in its middle. */
function isDense(bytes: Uint8Array): boolean {
  if (bytes.byteLength < sampleBytes) return false
  const from = (bytes.byteLength - sampleBytes) >> 1
  return new Set(bytes.subarray(from, from + sampleBytes)).size >= denseValuesMin
}

/** A change or a check without bytes of its own: names, a digest, a row of numbers. */
const wordsBytes = 200

function bytesIn(it: Change): number {
  if (it.change === 'sweep') return it.batch.candidates.length * wordsBytes
  if (it.change === 'arrive') return it.inlineBytes?.byteLength ?? 0
  return 'row' in it && it.row instanceof Uint8Array ? it.row.byteLength : 0
}

function inflate(bytes: Uint8Array): Uint8Array {
  try {
    return inflateRawSync(bytes, { maxOutputLength: unpackedBytesMax })
  } catch (error) {
    throw new MalformedEntry('not deflated', { cause: error })
  }
}

function unpack(bytes: Uint8Array): unknown {
  try {
    return packr.unpack(bytes)
  } catch (error) {
    throw new MalformedEntry('not MessagePack', { cause: error })
  }
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
}
