/**
 * @module What a node hands to a peer that has fallen behind: the tail of its log, or its whole view.
 */
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { SnapshotError } from '../../metadata/lmdb/snapshot/format.ts'
import type { SnapshotSender } from '../../metadata/lmdb/snapshot/send.ts'
import type { LogEntry } from '../../metadata/log/port.ts'
import { encodeRecord } from '../../metadata/log/tail/format.ts'
import type { TailReader } from '../../metadata/log/tail/reader.ts'
import { nextTurn } from '../../runtime/next-turn.ts'
import { MeshError } from '../identity/problem.ts'
import type { PeerCall, PeerRoute } from './listener.ts'

/** Bytes of the tail that are read at once, unless one entry is longer. */
const pieceBytes = 1024 * 1024
/** Peers that read the tail at once. */
const readersMax = 8
/** A reader that takes nothing for so long is given up, ms: it holds a copy of the view, or a file. */
const stalledMs = 30_000

export interface TransferOptions {
  /** A reader of its own for each answer. */
  readonly openTail: () => Pick<TailReader, 'read' | 'close'>
  readonly snapshots: Pick<SnapshotSender, 'take'>
  /** Default 30 s. */
  readonly stalledMs?: number
}

/**
 * `GET …/log?after=<index>`: the records of all entries behind it, up to where the tail ends when it is reached.
 * 'cut' when the tail does not have the next one. An answer that ends early because the tail was cut meanwhile
 * is whole; who asks again is told.
 */
export function logRoute(options: TransferOptions): PeerRoute {
  let readers = 0
  return {
    method: 'GET',
    async answer(call) {
      const after = parseAfter(call.query)
      if (readers >= readersMax) throw new MeshError('busy', 'too many peers read the tail')
      readers += 1
      const tail = options.openTail()
      try {
        const first = tail.read(after, pieceBytes)
        if (first === 'cut') throw new MeshError('cut', `the tail has no entry ${after + 1}`)
        await send(call, recordsFrom(tail, first, after), options)
      } finally {
        tail.close()
        readers -= 1
      }
    },
  }
}

/** `GET …/snapshot`: a view as it is now. 'busy' while another one is sent, or the disk has no room for it. */
export function snapshotRoute(options: TransferOptions): PeerRoute {
  return {
    method: 'GET',
    async answer(call) {
      const snapshot = await options.snapshots.take().catch((error: unknown) => {
        if (!(error instanceof SnapshotError)) throw error
        throw new MeshError('busy', error.message, { cause: error })
      })
      try {
        call.response.setHeader('Content-Length', snapshot.streamBytes)
        await send(call, snapshot.bytes(), options)
      } finally {
        await snapshot.close()
      }
    },
  }
}

/** As fast as the peer reads. Rejects when it went away, and then reads no further. */
async function send(
  { response }: PeerCall,
  pieces: AsyncIterable<Uint8Array>,
  { stalledMs: ms = stalledMs }: TransferOptions,
): Promise<void> {
  response.writeHead(200, { 'Content-Type': 'application/octet-stream' })
  // Node.js counts from the last byte that the system has taken.
  response.setTimeout(ms, () => response.destroy())
  await pipeline(Readable.from(pieces, { objectMode: true, highWaterMark: 1 }), response)
}

async function* recordsFrom(
  tail: Pick<TailReader, 'read'>,
  first: LogEntry[],
  after: number,
): AsyncGenerator<Uint8Array, void, undefined> {
  let next = after
  let entries: LogEntry[] | 'cut' = first
  while (entries !== 'cut' && entries.length > 0) {
    next += entries.length
    yield Buffer.concat(entries.map(encodeRecord).flatMap(({ head, bytes }) => [head, bytes]))
    // The tail is read synchronously: others have their turn between two pieces.
    await nextTurn()
    entries = tail.read(next, pieceBytes)
  }
}

function parseAfter(query: string): number {
  const found = /^after=(0|[1-9]\d{0,14})$/.exec(query)
  if (found === null) throw new MeshError('message', 'the path needs ?after=<index>')
  return Number(found[1])
}
