/**
 * @module What travels when one node hands a client's request to another: in both directions a head, and behind it
 * the body as it comes.
 *
 * ```
 * <length of the head, 4 bytes, big-endian> <head, JSON> <body>
 * ```
 *
 * Both heads are taken only as they are described here, to their last byte.
 */
import { isIP } from 'node:net'
import * as v from 'valibot'

export const forwardPath = '/internal/v1/forward'

/** Of a head, bytes: a client's is at most 64 KiB, and some of it is longer as JSON. */
export const headBytesMax = 256 * 1024

/** Header lines of one message. */
const headersMax = 512
const targetMax = 64 * 1024

/** Names that say something of one connection alone, or that the head says otherwise. */
const NOT_CARRIED: ReadonlySet<string> = new Set([
  'connection',
  'content-length',
  'expect',
  'host',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
])

/** Whether a header (its name in lower case) goes from one node to the other. */
export function isCarried(name: string): boolean {
  return !NOT_CARRIED.has(name)
}

const isCarriedAs = (name: string): boolean => isCarried(name.toLowerCase())
// No line end and no NUL: it could begin another header.
const value = v.pipe(v.string(), v.maxLength(targetMax), v.regex(/^[^\0\r\n]*$/))
const headersOf = (name: RegExp) =>
  v.pipe(
    v.array(v.strictTuple([v.pipe(v.string(), v.regex(name), v.check(isCarriedAs)), value])),
    v.maxLength(headersMax),
  )
const bytes = v.pipe(v.number(), v.safeInteger(), v.minValue(0), v.maxValue(10 ** 15))

export const RequestHead = v.strictObject({
  /** Names the request in the logs of both nodes. */
  id: v.pipe(v.string(), v.regex(/^[A-Za-z0-9-]{1,64}$/)),
  method: v.pipe(v.string(), v.regex(/^[A-Z]{1,16}$/)),
  /** As the client sent it, not decoded. */
  path: v.pipe(v.string(), v.maxLength(targetMax), v.regex(/^\/[\x21-\x7e]*$/)),
  query: v.pipe(v.string(), v.maxLength(targetMax), v.regex(/^[\x21-\x7e]*$/)),
  /** Names in lower case. */
  headers: headersOf(/^[!#$%&'*+.^_`|~0-9a-z-]{1,256}$/),
  /** The client's address, after what proxies have said of it. */
  client: v.pipe(
    v.string(),
    v.maxLength(64),
    v.check((address) => isIP(address) !== 0),
  ),
  /** As the client sees them. */
  scheme: v.picklist(['http', 'https']),
  host: v.pipe(v.string(), v.maxLength(1_024), v.regex(/^[\x20-\x7e]*$/)),
  isTls: v.boolean(),
  /** null: the end of the message is the body's. */
  bodyBytes: v.nullable(bytes),
})

export const AnswerHead = v.strictObject({
  status: v.pipe(v.number(), v.integer(), v.minValue(200), v.maxValue(599)),
  headers: headersOf(/^[A-Za-z0-9-]{1,256}$/),
  /** As `Content-Length` has it, also where no body follows (HEAD); null: it has none. */
  sizeBytes: v.nullable(bytes),
  /** The client's connection ends with it. */
  isLast: v.boolean(),
})

export type ForwardedRequest = v.InferOutput<typeof RequestHead>
export type ForwardedAnswer = v.InferOutput<typeof AnswerHead>

/** A head as it travels. Throws a RangeError when it is too large. */
export function encodeHead(head: ForwardedRequest | ForwardedAnswer): Buffer {
  const text = Buffer.from(JSON.stringify(head))
  if (text.byteLength > headBytesMax) throw new RangeError('the head is too large')
  const length = Buffer.alloc(4)
  length.writeUInt32BE(text.byteLength)
  return Buffer.concat([length, text])
}
