/**
 * @module What this node answers its peers about files of blobs (`protocol.ts`). What they send is `receive.ts`.
 */
import type { ServerResponse } from 'node:http'
import type { BlobSource, Room } from '../../blobs/port.ts'
import type { Time } from '../../metadata/log/etcd/time.ts'
import type { HeldCopy } from '../../metadata/transaction.ts'
import type { Digest } from '../../registry/digest.ts'
import { MeshError } from '../identity/problem.ts'
import type { PeerCall, PeerRoute } from '../peers/listener.ts'
import { parseJson, readBody, respondJson } from '../peers/messages.ts'
import { HotBlobs } from './hot.ts'
import { sendPieces } from './pieces.ts'
import type { CopyIs } from './proofs.ts'
import {
  blobPaths,
  CopiesQuestion,
  elsewhereHeader,
  messageBytesMax,
  PinQuestion,
  ProofQuestion,
  parseBytesQuery,
  silentMs,
  sizeHeader,
} from './protocol.ts'
import type { FilesTaken, ReceivedFiles } from './push/receive.ts'
import { roomOf } from './push/rooms.ts'

/** Files that are sent to peers at once. */
const sentAtOnceMax = 256
/** A reader that takes nothing for so long is given up, ms. */
const stalledMs = 30_000

/** The files of this node, as its peers use them. */
export interface LocalCopies extends FilesTaken {
  readonly room: Room
  /** The copy here; undefined: there is none. */
  open(digest: Digest): Promise<BlobSource | undefined>
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
export function blobRoutes(
  local: LocalCopies,
  received: ReceivedFiles,
  time: Time,
): ReadonlyMap<string, PeerRoute> {
  return new Map([
    [blobPaths.bytes, bytesRoute(local)],
    [blobPaths.keep, received.keepRoute],
    [blobPaths.arrive, received.arriveRoute],
    [blobPaths.room, roomRoute(local, received)],
    [blobPaths.pins, pinsRoute(local, time)],
    [blobPaths.copies, copiesRoute(local, time)],
    [blobPaths.proof, proofRoute(local, time)],
  ])
}

function bytesRoute(local: LocalCopies): PeerRoute {
  const hot = new HotBlobs()
  let sent = 0
  return {
    method: 'GET',
    async answer({ caller, query, response }) {
      const { digest, from, mayBeElsewhere } = parseBytesQuery(query)
      const other = mayBeElsewhere ? hot.elsewhere(digest, caller) : undefined
      if (other !== undefined) {
        response.writeHead(200, { 'Content-Length': 0, [elsewhereHeader]: other }).end()
        return
      }
      if (sent >= sentAtOnceMax) throw new MeshError('busy', 'too many blobs are sent at once')
      sent += 1
      const over = hot.begin(digest, caller)
      let isWhole = false
      try {
        await sendCopy(local, { digest, from, response })
        isWhole = from === 0
      } finally {
        sent -= 1
        over(isWhole)
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
    await sendPieces(source, from, response)
  } finally {
    source.close()
  }
}

function roomRoute({ room }: LocalCopies, received: ReceivedFiles): PeerRoute {
  return {
    method: 'GET',
    async answer({ query, response }) {
      if (query !== '') throw new MeshError('message', 'the path has no query')
      respondJson(response, 200, { ...roomOf(room), files: received.count })
    },
  }
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
