/**
 * @module Entries of a log on their way from one node to another: the records of a tail, one behind the other.
 */

import type { LogEntry } from '../../metadata/log/port.ts'
import { decodeRecord } from '../../metadata/log/tail/format.ts'
import { MeshError } from '../identity/problem.ts'

/** Bytes that say how long a record is. */
const startBytes = 8

/**
 * Entries out of the pieces of a stream, from the one behind `after` on: whole ones, in order and without
 * holes. Holds one record and one piece at a time. Throws a MeshError 'message' for everything else.
 */
export async function* entriesIn(
  pieces: AsyncIterable<Buffer>,
  after: number,
): AsyncGenerator<readonly LogEntry[], void, undefined> {
  let index = after + 1
  let held: Buffer[] = []
  let heldBytes = 0
  let wantedBytes = startBytes
  for await (const piece of pieces) {
    held.push(piece)
    heldBytes += piece.length
    // A record in a thousand pieces is put together once.
    if (heldBytes < wantedBytes) continue
    let rest = held.length === 1 ? piece : Buffer.concat(held)
    const entries: LogEntry[] = []
    let found = decodeRecord(rest, index)
    while (found.is === 'whole') {
      entries.push(found.entry)
      index += 1
      rest = rest.subarray(found.sizeBytes)
      found = decodeRecord(rest, index)
    }
    if (found.is === 'bad') {
      throw new MeshError(
        'message',
        `a peer has sent something else than entry ${index} of the log`,
      )
    }
    held = rest.length === 0 ? [] : [rest]
    heldBytes = rest.length
    wantedBytes = found.sizeBytes
    if (entries.length > 0) yield entries
  }
  if (heldBytes > 0) throw new MeshError('message', 'the entries of a peer end within one of them')
}
