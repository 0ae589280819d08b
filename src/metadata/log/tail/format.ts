/**
 * @module The bytes of a tail's files. A segment is a header and records:
 *
 * ```
 * header: magic 7 | format 1 | length of the rest 4 | CRC-32 of the rest 4 | first index 6
 *         | bytes of the segment before it 8 | length 2, identity | length 2, cluster
 * record: length of the body 4 | CRC-32 of length and body 4 | index 6 | length 2, token | bytes
 * ```
 *
 * Numbers have the high byte first. A checksum says whether a record was written to its end, and whether the
 * disk still has what was written. It is no proof of who wrote it.
 */
import { crc32 } from 'node:zlib'
import type { LogEntry } from '../port.ts'

const magic = Buffer.from('FRtail\n', 'latin1')
const format = 1

const headerStartBytes = 16
const recordStartBytes = 8
/** Index and length of the token. */
const bodyStartBytes = 8

/** Longest identity of a log and longest name of a cluster, bytes. */
const nameBytesMax = 1_024
/** Longest header, bytes. */
export const headerBytesMax = headerStartBytes + 18 + 2 * nameBytesMax
/** Longest token of an entry, bytes. */
export const tokenBytesMax = 1_024
/** Longest entry, bytes: many times what a node writes at once. */
export const entryBytesMax = 16 * 1024 * 1024
/** Longest record, bytes. */
const recordBytesMax = recordStartBytes + bodyStartBytes + tokenBytesMax + entryBytesMax

/** Whose a tail is: the identity of its log and the name of its cluster, each at most 1,024 bytes. */
export interface TailOwner {
  readonly identity: string
  readonly cluster: string
}

export interface SegmentHeader extends TailOwner {
  readonly firstIndex: number
  /** Bytes of the segment before this one when this one was begun; 0: it is the first. */
  readonly previousBytes: number
}

/** Throws a RangeError for names that are too long. */
export function encodeHeader(header: SegmentHeader): Buffer {
  const identity = nameOf(header.identity)
  const cluster = nameOf(header.cluster)
  const bytes = Buffer.alloc(headerStartBytes + 18 + identity.length + cluster.length)
  magic.copy(bytes)
  bytes[7] = format
  bytes.writeUInt32BE(bytes.length - headerStartBytes, 8)
  bytes.writeUIntBE(header.firstIndex, 16, 6)
  bytes.writeBigUInt64BE(BigInt(header.previousBytes), 22)
  bytes.writeUInt16BE(identity.length, 30)
  identity.copy(bytes, 32)
  bytes.writeUInt16BE(cluster.length, 32 + identity.length)
  cluster.copy(bytes, 34 + identity.length)
  bytes.writeUInt32BE(crc32(bytes.subarray(headerStartBytes)), 12)
  return bytes
}

/** The header at the start of a segment with its length; undefined: none of this format, or not whole. */
export function decodeHeader(
  bytes: Buffer,
): { readonly header: SegmentHeader; readonly sizeBytes: number } | undefined {
  if (bytes.length < headerStartBytes || !bytes.subarray(0, 7).equals(magic)) return undefined
  if (bytes[7] !== format) return undefined
  const sizeBytes = headerStartBytes + bytes.readUInt32BE(8)
  if (sizeBytes > headerBytesMax || sizeBytes > bytes.length) return undefined
  const rest = bytes.subarray(headerStartBytes, sizeBytes)
  if (rest.length < 18 || crc32(rest) !== bytes.readUInt32BE(12)) return undefined
  const identityBytes = rest.readUInt16BE(14)
  if (18 + identityBytes > rest.length) return undefined
  const clusterBytes = rest.readUInt16BE(16 + identityBytes)
  if (18 + identityBytes + clusterBytes !== rest.length) return undefined
  const header = {
    firstIndex: rest.readUIntBE(0, 6),
    previousBytes: Number(rest.readBigUInt64BE(6)),
    identity: rest.toString('utf8', 16, 16 + identityBytes),
    cluster: rest.toString('utf8', 18 + identityBytes),
  }
  return { header, sizeBytes }
}

/** An entry as it is written: what stands before its bytes, and the bytes themselves. */
export interface EncodedRecord {
  readonly head: Buffer
  readonly bytes: Uint8Array
  readonly sizeBytes: number
}

/** Throws a RangeError for an entry that is too long. */
export function encodeRecord({ index, token, bytes }: LogEntry): EncodedRecord {
  const tokenBytes = Buffer.byteLength(token)
  if (tokenBytes > tokenBytesMax || bytes.byteLength > entryBytesMax) {
    throw new RangeError(`entry ${index} of the log is too long for the tail`)
  }
  const head = Buffer.allocUnsafe(recordStartBytes + bodyStartBytes + tokenBytes)
  head.writeUInt32BE(bodyStartBytes + tokenBytes + bytes.byteLength, 0)
  head.writeUIntBE(index, 8, 6)
  head.writeUInt16BE(tokenBytes, 14)
  head.write(token, 16, 'utf8')
  head.writeUInt32BE(checksum(head, bytes), 4)
  return { head, bytes, sizeBytes: head.length + bytes.byteLength }
}

export type RecordFound =
  | { readonly is: 'whole'; readonly entry: LogEntry; readonly sizeBytes: number }
  /** More bytes are needed to say: at least this many in all. */
  | { readonly is: 'short'; readonly sizeBytes: number }
  | { readonly is: 'bad' }

/** The record of this index at the start of `bytes`. The entry's bytes are a part of them, not a copy. */
export function decodeRecord(bytes: Buffer, index: number): RecordFound {
  if (bytes.length < recordStartBytes) return { is: 'short', sizeBytes: recordStartBytes }
  const sizeBytes = recordStartBytes + bytes.readUInt32BE(0)
  if (sizeBytes < recordStartBytes + bodyStartBytes || sizeBytes > recordBytesMax) {
    return { is: 'bad' }
  }
  if (sizeBytes > bytes.length) return { is: 'short', sizeBytes }
  const bytesAt = recordStartBytes + bodyStartBytes + bytes.readUInt16BE(14)
  if (bytesAt > sizeBytes || bytes.readUIntBE(8, 6) !== index) return { is: 'bad' }
  const body = bytes.subarray(bytesAt, sizeBytes)
  if (checksum(bytes.subarray(0, bytesAt), body) !== bytes.readUInt32BE(4)) return { is: 'bad' }
  const token = bytes.toString('utf8', recordStartBytes + bodyStartBytes, bytesAt)
  return { is: 'whole', entry: { index, bytes: body, token }, sizeBytes }
}

/** Of the length and the body; its own place lies between them. */
function checksum(head: Buffer, bytes: Uint8Array): number {
  return crc32(bytes, crc32(head.subarray(recordStartBytes), crc32(head.subarray(0, 4))))
}

function nameOf(text: string): Buffer {
  const bytes = Buffer.from(text, 'utf8')
  if (bytes.length > nameBytesMax) throw new RangeError('the name of a log or cluster is too long')
  return bytes
}
