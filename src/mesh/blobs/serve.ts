/**
 * @module What this node answers its peers about files of blobs (`protocol.ts`). A file that comes is hashed, compared
 * with its digest and size, flushed and put in place, or nothing of it stays.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { BlobSource, PendingBlob } from '../../blobs/port.ts'
import type { Time } from '../../metadata/log/etcd/time.ts'
import type { HeldCopy } from '../../metadata/transaction.ts'
import type { Digest } from '../../registry/digest.ts'
import { isDigestMismatch } from '../../registry/digest-mismatch.ts'
import { RegistryError } from '../../registry/errors.ts'
import { MeshError } from '../identity/problem.ts'
import type { PeerCall, PeerRoute } from '../peers/listener.ts'
import { parseJson, readBody, respondJson } from '../peers/messages.ts'
import { piecesOf } from './pieces.ts'
import type { CopyIs } from './proofs.ts'
import {
  blobPaths,
  CopiesQuestion,
  messageBytesMax,
  PinQuestion,
  ProofQuestion,
  parseBytesQuery,
  parseKeepQuery,
  silentMs,
  sizeHeader,
} from './protocol.ts'

/** Files that come from peers at once, and files that are sent. */
const receivedAtOnceMax = 64
const sentAtOnceMax = 256
/** A reader that takes nothing for so long is given up, ms. */
const stalledMs = 30_000

/** The files of this node, as its peers use them. */
export interface LocalCopies {
  /** The copy here; undefined: there is none. */
  open(digest: Digest): Promise<BlobSource | undefined>
  /** Starts a file that a peer sends. Throws a RegistryError when no file is taken now. */
  receive(digest: Digest): PendingBlob
  /** Puts it in place and promises to keep it. Throws DIGEST_INVALID. */
  keep(digest: Digest, sizeBytes: number, pending: PendingBlob): Promise<HeldCopy>
  keepMore(digest: Digest): Promise<HeldCopy | undefined>
  restore(digest: Digest, sizeBytes: number): Promise<HeldCopy | undefined>
  release(copy: HeldCopy): void
  /** Looks at the copy here, behind the answer: one that is damaged or missing is made anew. */
  mend(digest: Digest): void
  /** Whether a file of that length is in place. */
  has(digest: Digest, sizeBytes: number): Promise<boolean>
  /** What the copy here is, by reading all of it while that is wanted. Throws a MeshError 'busy'. */
  look(digest: Digest, isWanted: () => boolean): Promise<CopyIs>
}

/** By path. */
export function blobRoutes(local: LocalCopies, time: Time): ReadonlyMap<string, PeerRoute> {
  return new Map([
    [blobPaths.bytes, bytesRoute(local)],
    [blobPaths.keep, keepRoute(local, time)],
    [blobPaths.pins, pinsRoute(local, time)],
    [blobPaths.copies, copiesRoute(local, time)],
    [blobPaths.proof, proofRoute(local, time)],
  ])
}

function bytesRoute(local: LocalCopies): PeerRoute {
  let sent = 0
  return {
    method: 'GET',
    async answer({ query, response }) {
      const { digest, from } = parseBytesQuery(query)
      if (sent >= sentAtOnceMax) throw new MeshError('busy', 'too many blobs are sent at once')
      sent += 1
      try {
        await sendCopy(local, { digest, from, response })
      } finally {
        sent -= 1
      }
    },
  }
}

interface Outgoing {
  readonly digest: Digest
  readonly from: number
  readonly response: ServerResponse
}

async function sendCopy(local: LocalCopies, it: Outgoing): Promise<void> {
  const { digest, from, response } = it
  const source = await local.open(digest)
  if (source === undefined) throw new MeshError('blob', 'this node has no copy of the blob')
  try {
    if (from >= source.sizeBytes) throw new MeshError('message', 'the blob ends before')
    response.writeHead(200, {
      'Content-Type': 'application/octet-stream',
      'Content-Length': source.sizeBytes - from,
      [sizeHeader]: source.sizeBytes,
    })
    // Node.js counts from the last byte that the system has taken.
    response.setTimeout(stalledMs, () => response.destroy())
    const pieces = piecesOf(source, from)
    await pipeline(Readable.from(pieces, { objectMode: true, highWaterMark: 1 }), response)
  } finally {
    source.close()
  }
}

function keepRoute(local: LocalCopies, time: Time): PeerRoute {
  let received = 0
  return {
    method: 'POST',
    async answer({ query, request, response }) {
      const { digest, size } = parseKeepQuery(query)
      // So the parser of HTTP ends a body that is longer, and one that is shorter is cut.
      if (request.headers['content-length'] !== String(size)) {
        throw new MeshError('message', 'the body is not as long as the path says')
      }
      if (received >= receivedAtOnceMax) throw new MeshError('busy', 'too many blobs come at once')
      received += 1
      try {
        const pin = await receive(local, { digest, size, request, time })
        respondJson(response, 200, { pin })
      } finally {
        received -= 1
      }
    },
  }
}

interface Incoming {
  readonly digest: Digest
  readonly size: number
  readonly request: IncomingMessage
  readonly time: Time
}

async function receive(local: LocalCopies, it: Incoming): Promise<HeldCopy> {
  const { digest, size, request, time } = it
  let pending: PendingBlob | undefined
  try {
    pending = local.receive(digest)
    await takeBody(pending, request, time)
    if (pending.offsetBytes !== size) throw new MeshError('message', 'the body has ended early')
    return await local.keep(digest, size, pending)
  } catch (error) {
    pending?.discard()
    if (isDigestMismatch(error)) throw new MeshError('message', 'the bytes have another digest')
    if (error instanceof RegistryError && error.status >= 500) {
      throw new MeshError('busy', error.message, { cause: error })
    }
    throw error
  }
}

async function takeBody(pending: PendingBlob, request: IncomingMessage, time: Time): Promise<void> {
  let cancel: () => void = () => undefined
  const watch = () => {
    cancel()
    const late = () => request.destroy(new MeshError('silent', 'a file has stopped coming'))
    cancel = time.after(silentMs, late)
  }
  watch()
  try {
    for await (const piece of request as AsyncIterable<Uint8Array>) {
      pending.append(piece)
      cancel()
      await new Promise<void>((resolve) => {
        if (!pending.mustPause(resolve)) resolve()
      })
      watch()
    }
  } finally {
    cancel()
  }
  await pending.settle()
}

function pinsRoute(local: LocalCopies, time: Time): PeerRoute {
  return {
    method: 'POST',
    async answer(call) {
      const question = parseJson(await bodyOf(call, time), PinQuestion)
      let pin: HeldCopy | undefined
      switch (question.ask) {
        case 'keep':
          pin = await local.keepMore(question.digest)
          break
        case 'restore':
          pin = await local.restore(question.digest, question.size)
          break
        case 'release':
          local.release(question.copy)
          break
        case 'mend':
          local.mend(question.digest)
          break
        default:
          throw new MeshError('message', 'no such question')
      }
      respondJson(call.response, 200, { pin: pin ?? null })
    },
  }
}

function copiesRoute(local: LocalCopies, time: Time): PeerRoute {
  return {
    method: 'POST',
    async answer(call) {
      const { blobs } = parseJson(await bodyOf(call, time), CopiesQuestion)
      const here: boolean[] = []
      for (const { digest, size } of blobs) here.push(await local.has(digest, size))
      respondJson(call.response, 200, { here })
    },
  }
}

function proofRoute(local: LocalCopies, time: Time): PeerRoute {
  return {
    method: 'POST',
    async answer(call) {
      const { digest } = parseJson(await bodyOf(call, time), ProofQuestion)
      const { response } = call
      const is = await local.look(digest, () => !response.destroyed)
      if (!response.destroyed) respondJson(response, 200, { is })
    },
  }
}

function bodyOf({ request }: PeerCall, time: Time): Promise<Buffer> {
  return readBody(request, { bytesMax: messageBytesMax, ms: silentMs, time })
}
