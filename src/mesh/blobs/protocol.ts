/**
 * @module What nodes say to each other about files of blobs:
 *
 *   GET  …/blobs?digest=&from=      the bytes of the copy here, from that one on; with &elsewhere=1 it may be no body,
 *                                   and a header with the number of another member that has it
 *   POST …/blobs/keep?digest=&size= a whole file: it is kept, and the answer is the pin
 *   POST …/blobs/arrive?algorithm=  a file that arrives at the sender: it is kept when its trailers say which it is,
 *                                   and the answer is the pin
 *   GET  …/blobs/room               how many bytes it can take, and how busy it is
 *   POST …/pins                     another pin for a copy that is here, or out of the trash; pins given back;
 *                                   a copy that is to be looked at
 *   POST …/copies                   which copies are here, by a look at the disk
 *   POST …/copies/proof             what the copy here is, by reading all of it
 */
import * as v from 'valibot'
import type { HeldCopy } from '../../metadata/transaction.ts'
import { type Algorithm, type Digest, parseAlgorithm, parseDigest } from '../../registry/digest.ts'
import { MeshError } from '../identity/problem.ts'
import { paceBytesPerSecond } from './pace.ts'

export const blobPaths = {
  bytes: '/internal/v1/blobs',
  keep: '/internal/v1/blobs/keep',
  arrive: '/internal/v1/blobs/arrive',
  room: '/internal/v1/blobs/room',
  pins: '/internal/v1/pins',
  copies: '/internal/v1/copies',
  proof: '/internal/v1/copies/proof',
} as const

/** How long the whole blob is: with every answer that has bytes. */
export const sizeHeader = 'fastregistry-size'

/** The number of a member that has the blob, in an answer without bytes. */
export const elsewhereHeader = 'fastregistry-elsewhere'

/** Which blob it was, behind the last byte of a file that arrives. */
export const digestTrailer = 'fastregistry-digest'
export const sizeTrailer = 'fastregistry-size'

/** An upload that stands still for so long is let go by its sender, ms; its receiver waits for longer. */
export const idleMs = 30_000
export const idleReceiverMs = 60_000

/** Digests of one question. */
export const digestsMax = 1_000
/** Of a message that is no file, bytes. */
export const messageBytesMax = 256 * 1024
/** Between two pieces of anything, ms. */
export const silentMs = 10_000

/** A copy is read after those that wait, at the pace of a repair; never longer than a day, ms. */
const proofMsMin = 60_000
const proofMsMax = 86_400_000
const proofShare = 4

/** Until the answer about a copy of that many bytes, ms. */
export function proofMs(sizeBytes: number): number {
  const readMs = (sizeBytes / paceBytesPerSecond) * 1_000
  return Math.min(proofMsMax, proofMsMin + Math.ceil(proofShare * readMs))
}

const Whole = v.pipe(v.number(), v.safeInteger(), v.minValue(0))

const Pin = v.strictObject({ member: Whole, boot: Whole, pin: Whole })

/** A digest in a message. */
export const DigestText: v.GenericSchema<unknown, Digest> = v.pipe(
  v.string(),
  v.maxLength(200),
  v.rawTransform(({ dataset, addIssue, NEVER }) => {
    const parsed = parseDigest(dataset.value)
    if (parsed.ok) return parsed.value
    addIssue({ message: 'no digest' })
    return NEVER
  }),
)

export type PinQuestion =
  /** For a copy that is in place. */
  | { readonly ask: 'keep'; readonly digest: Digest }
  /** For a copy of that size that may be in the trash. */
  | { readonly ask: 'restore'; readonly digest: Digest; readonly size: number }
  | { readonly ask: 'release'; readonly copy: HeldCopy }
  /** A copy that it should have may be damaged or missing: it is to look. No pin. */
  | { readonly ask: 'mend'; readonly digest: Digest }

export const PinQuestion: v.GenericSchema<unknown, PinQuestion> = v.variant('ask', [
  v.strictObject({ ask: v.literal('keep'), digest: DigestText }),
  v.strictObject({ ask: v.literal('restore'), digest: DigestText, size: Whole }),
  v.strictObject({ ask: v.literal('release'), copy: Pin }),
  v.strictObject({ ask: v.literal('mend'), digest: DigestText }),
])

/** `pin` null: there is no copy. */
export const PinAnswer = v.strictObject({ pin: v.nullable(Pin) })

export interface CopiesQuestion {
  readonly blobs: readonly { readonly digest: Digest; readonly size: number }[]
}

export const CopiesQuestion: v.GenericSchema<unknown, CopiesQuestion> = v.strictObject({
  blobs: v.pipe(
    v.array(v.strictObject({ digest: DigestText, size: Whole })),
    v.maxLength(digestsMax),
  ),
})

export const ProofQuestion = v.strictObject({ digest: DigestText })

export const ProofAnswer = v.strictObject({ is: v.picklist(['none', 'cache', 'owner']) })

export const RoomAnswer = v.object({
  bytes: Whole,
  /** How much of its disk is used, in thousandths; absent: that is not known. */
  used: v.optional(v.pipe(Whole, v.maxValue(1_000))),
  /** Files that it gets from others now. */
  files: v.optional(Whole, 0),
})

/** In the order of the question. */
export const CopiesAnswer = v.strictObject({ here: v.array(v.boolean()) })

/** Throws a MeshError 'message' for a pin of another member than was asked. */
export function requirePinOf(member: number, copy: HeldCopy): HeldCopy {
  if (copy.member === member) return copy
  throw new MeshError('message', `member ${member} answers with a pin of member ${copy.member}`)
}

export interface BytesQuery {
  readonly digest: Digest
  readonly from: number
  /** Whether the answer may name another member instead. */
  readonly mayBeElsewhere: boolean
}

/** Throws a MeshError 'message'. */
export function parseBytesQuery(query: string): BytesQuery {
  const found = /^digest=([a-z0-9:]{1,200})&from=(0|[1-9]\d{0,14})(&elsewhere=1)?$/.exec(query)
  if (found === null) throw new MeshError('message', 'the path needs ?digest=&from=')
  const mayBeElsewhere = found[3] !== undefined
  return { digest: digestIn(found[1]!), from: Number(found[2]), mayBeElsewhere }
}

/** Undefined: the answer has bytes. Throws a MeshError 'message' for what is no number of a member. */
export function parseElsewhere(header: string | string[] | undefined): number | undefined {
  if (header === undefined) return undefined
  if (typeof header === 'string' && /^[1-9]\d{0,8}$/.test(header)) return Number(header)
  throw new MeshError('message', 'the peer names no member')
}

/** Throws a MeshError 'message'. */
export function parseKeepQuery(query: string): { readonly digest: Digest; readonly size: number } {
  const found = /^digest=([a-z0-9:]{1,200})&size=([1-9]\d{0,14})$/.exec(query)
  if (found === null) throw new MeshError('message', 'the path needs ?digest=&size=')
  return { digest: digestIn(found[1]!), size: Number(found[2]) }
}

/** Throws a MeshError 'message'. */
export function parseArriveQuery(query: string): Algorithm {
  const found = /^algorithm=([a-z0-9]{1,32})$/.exec(query)
  const parsed = parseAlgorithm(found?.[1] ?? '')
  if (parsed.ok) return parsed.value
  throw new MeshError('message', 'the path needs ?algorithm=')
}

/** What the trailers say. Throws a MeshError 'message', also without them: the sender has not come to the end. */
export function parseTrailers(trailers: Readonly<Record<string, string | undefined>>): {
  readonly digest: Digest
  readonly size: number
} {
  const { [digestTrailer]: digest = '', [sizeTrailer]: size = '' } = trailers
  if (digest.length <= 200 && /^[1-9]\d{0,14}$/.test(size)) {
    return { digest: digestIn(digest), size: Number(size) }
  }
  throw new MeshError('message', 'a file has ended without a word of what it is')
}

function digestIn(text: string): Digest {
  const parsed = parseDigest(text)
  if (!parsed.ok) throw new MeshError('message', 'the path has no digest')
  return parsed.value
}
