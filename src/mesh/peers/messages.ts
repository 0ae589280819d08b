/**
 * @module HTTP between nodes, as both ends need it: bounded bodies, errors as JSON, and the log that a node
 * belongs to, which every message names.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import * as v from 'valibot'
import type { Time } from '../../metadata/log/etcd/time.ts'
import { isMeshProblem, MESH_PROBLEMS, MeshError, type MeshProblem } from '../identity/problem.ts'

export const paths = {
  join: '/internal/v1/join',
  stream: '/internal/v1/stream',
  log: '/internal/v1/log',
  snapshot: '/internal/v1/snapshot',
} as const

/** Names the log of the node that sends a message. */
export const logHeader = 'fastregistry-log'

/** Of an error, bytes. */
const errorBytesMax = 16 * 1024

const ErrorBody = v.object({
  errors: v.tuple([v.object({ code: v.string(), message: v.string() })]),
})

/** The identity of a log as a header may have it. */
export function logWord(identity: string | undefined): string | undefined {
  return identity === undefined ? undefined : encodeURIComponent(identity)
}

/** Throws a MeshError 'log' when a peer has named another log. One that knows none yet names none. */
export function requireSameLog(own: string | undefined, { headers }: IncomingMessage): void {
  const said = headers[logHeader]
  if (own === undefined || said === undefined || said === logWord(own)) return
  throw new MeshError('log', 'the two nodes follow different logs; they must not be mixed')
}

/** The whole body. Throws a MeshError 'too-large' or 'silent', and what the connection throws. */
export async function readBody(
  body: IncomingMessage,
  { bytesMax, ms, time }: { readonly bytesMax: number; readonly ms: number; readonly time: Time },
): Promise<Buffer> {
  const tooLarge = () => new MeshError('too-large', 'a message is too large')
  // Told before it is read: the answer says why.
  if (Number(body.headers['content-length'] ?? 0) > bytesMax) throw tooLarge()
  const pieces: Uint8Array[] = []
  let sizeBytes = 0
  const late = () => body.destroy(new MeshError('silent', 'a message took too long to come'))
  const cancel = time.after(ms, late)
  try {
    for await (const piece of body as AsyncIterable<Uint8Array>) {
      sizeBytes += piece.byteLength
      if (sizeBytes > bytesMax) throw tooLarge()
      pieces.push(piece)
    }
    return Buffer.concat(pieces)
  } finally {
    cancel()
  }
}

/** Throws a MeshError 'message' for everything but JSON of this form. */
export function parseJson<T>(bytes: Uint8Array, schema: v.GenericSchema<unknown, T>): T {
  let json: unknown
  try {
    json = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch {
    throw new MeshError('message', 'a message is not JSON')
  }
  const parsed = v.safeParse(schema, json)
  if (parsed.success) return parsed.output
  const path = v.getDotPath(parsed.issues[0])
  throw new MeshError('message', `a message is not as expected${path === null ? '' : `: ${path}`}`)
}

export function respondJson(response: ServerResponse, status: number, body: unknown): void {
  const bytes = Buffer.from(JSON.stringify(body))
  response.writeHead(status, {
    'Content-Type': 'application/json',
    'Content-Length': bytes.byteLength,
  })
  response.end(bytes)
}

/**
 * Answers with what went wrong, and ends the connection, on which an unread body may follow. Faults of this
 * node are not described: `onFault` gets them.
 */
export function respondProblem(
  response: ServerResponse,
  error: unknown,
  onFault: (error: unknown) => void,
): void {
  const known = error instanceof MeshError ? error : undefined
  if (known === undefined && !isGone(error)) onFault(error)
  if (response.headersSent || response.destroyed) {
    response.destroy()
    return
  }
  const problem: MeshProblem = known?.problem ?? 'fault'
  const message = known?.message ?? 'the node could not answer; its log says why'
  response.setHeader('Connection', 'close')
  respondJson(response, MESH_PROBLEMS[problem], {
    errors: [{ code: problem, message, detail: null }],
  })
}

/** The error in an answer that is none of 200. */
export async function problemIn(
  answer: IncomingMessage,
  options: { readonly ms: number; readonly time: Time },
): Promise<MeshError> {
  const status = `the peer answered with status ${answer.statusCode}`
  try {
    const bytes = await readBody(answer, { bytesMax: errorBytesMax, ...options })
    const { code, message } = parseJson(bytes, ErrorBody).errors[0]
    const text = message.slice(0, 500).replace(/[^ -~]/g, '?')
    return new MeshError(isMeshProblem(code) ? code : 'fault', text)
  } catch (error) {
    return new MeshError('fault', status, { cause: error })
  }
}

/** Whether the other end went away: no fault of this one. */
export function isGone(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException
  const codes = ['ERR_STREAM_PREMATURE_CLOSE', 'ECONNRESET', 'EPIPE', 'ERR_STREAM_DESTROYED']
  return code !== undefined && codes.includes(code)
}
