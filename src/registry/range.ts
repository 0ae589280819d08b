/**
 * @module Byte ranges: `Range` of a download (RFC 9110 §14) and `Content-Range` of an upload chunk
 * (distribution spec, pushing-a-blob-in-chunks). Pure arithmetic; offsets are inclusive as on the
 * wire, lengths are bytes.
 */
import { rangesMax } from './limits.ts'

/** A part of a resource: first byte and number of bytes (at least 1). */
export interface ByteSpan {
  readonly offset: number
  readonly length: number
}

export type RangeVerdict =
  /** No usable Range header: answer 200 with everything. */
  | { readonly kind: 'whole' }
  /** One part or several, in the order asked for: answer 206. */
  | { readonly kind: 'parts'; readonly spans: readonly ByteSpan[] }
  /** Nothing of it exists, or it is malformed: answer 416. */
  | { readonly kind: 'unsatisfiable' }
  /** More ranges than we serve, or overlaps that would multiply the bytes: answer 400. */
  | { readonly kind: 'abusive' }

const SPEC = /^(\d*)-(\d*)$/

/** Longest header that is looked at, characters: `rangesMax` ranges of the largest numbers. */
const rangeLengthMax = 32 * 1024

/**
 * What a Range header means for a resource of `sizeBytes`. An unknown unit is ignored (RFC 9110
 * §14.2); `bytes=500-0` is answered 416 as the conformance suite wants; a zero-length resource
 * ignores ranges, as Go's file server does, because many clients always send one.
 */
export function parseRange(header: string | undefined, sizeBytes: number): RangeVerdict {
  if (header === undefined || sizeBytes === 0) return { kind: 'whole' }
  if (header.length > rangeLengthMax) return { kind: 'abusive' }
  const equals = header.indexOf('=')
  if (header.slice(0, Math.max(0, equals)).trim().toLowerCase() !== 'bytes') {
    return { kind: 'whole' }
  }
  const specs = splitList(header.slice(equals + 1))
  if (specs === undefined) return { kind: 'abusive' }
  if (specs.length === 0) return { kind: 'unsatisfiable' }
  const spans: ByteSpan[] = []
  let total = 0
  for (const spec of specs) {
    const span = parseSpec(spec, sizeBytes)
    if (span === 'malformed') return { kind: 'unsatisfiable' }
    if (span === undefined) continue
    spans.push(span)
    total += span.length
  }
  if (spans.length === 0) return { kind: 'unsatisfiable' }
  // Many parts that together exceed the resource can only overlap: an amplification attack.
  if (spans.length > 1 && total > sizeBytes) return { kind: 'abusive' }
  return { kind: 'parts', spans }
}

function splitList(list: string): string[] | undefined {
  const specs = list.split(',', rangesMax + 1)
  if (specs.length > rangesMax) return undefined
  return specs.filter((spec) => spec.trim() !== '')
}

function parseSpec(spec: string, sizeBytes: number): ByteSpan | 'malformed' | undefined {
  const hyphen = spec.indexOf('-')
  const ends = [spec.slice(0, Math.max(0, hyphen)), spec.slice(hyphen + 1)].map((end) => end.trim())
  const match = SPEC.exec(ends.join('-'))
  if (match === null || (match[1] === '' && match[2] === '')) return 'malformed'
  if (match[1] === '') {
    const length = Math.min(toOffset(match[2]!), sizeBytes)
    return length === 0 ? undefined : { offset: sizeBytes - length, length }
  }
  const first = toOffset(match[1]!)
  const last = match[2] === '' ? sizeBytes - 1 : toOffset(match[2]!)
  if (last < first && match[2] !== '') return 'malformed'
  if (first >= sizeBytes) return undefined
  return { offset: first, length: Math.min(last, sizeBytes - 1) - first + 1 }
}

/** Decimal digits as a number; beyond the exact integers everything is "past the end". */
function toOffset(digits: string): number {
  const value = Number(digits)
  return Number.isSafeInteger(value) ? value : Number.MAX_SAFE_INTEGER
}

/** `Content-Range` value of a 206 part. */
export function formatContentRange(span: ByteSpan, sizeBytes: number): string {
  return `bytes ${span.offset}-${span.offset + span.length - 1}/${sizeBytes}`
}

/** `<start>-<end>` of an upload chunk, as the specification writes it, or with `bytes …/…`. */
/** Longest such header, characters. */
const chunkRangeLengthMax = 128
const CHUNK = /^(?:bytes[ =])?\s*(\d{1,16})-(\d{1,16})(?:\/(?:\*|\d+))?$/

/** The span of an upload chunk; undefined when the header is malformed or its end precedes it. */
export function parseChunkRange(header: string): ByteSpan | undefined {
  const match = header.length > chunkRangeLengthMax ? null : CHUNK.exec(header.trim())
  if (match === null) return undefined
  const offset = toOffset(match[1]!)
  const last = toOffset(match[2]!)
  if (last < offset || last >= Number.MAX_SAFE_INTEGER) return undefined
  return { offset, length: last - offset + 1 }
}

/** `Range` of an upload session: `0-<last byte>`; an empty session says `0-0` (docker needs it). */
export function formatUploadRange(offsetBytes: number): string {
  return `0-${Math.max(0, offsetBytes - 1)}`
}
