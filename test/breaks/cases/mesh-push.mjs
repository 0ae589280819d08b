/** @module The breaks of layers that other nodes of a mesh get while they arrive. */
import { vitest } from '../breaks.mjs'

const streams = vitest('mesh', 'test/mesh/blob-streams.test.ts')
const session = vitest('unit', 'test/unit/distribution/arriving-uploads.test.ts')
const arrivals = vitest('unit', 'test/unit/mesh/blobs/push/arrivals.test.ts')
const owners = vitest('unit', 'test/unit/mesh/blobs/owners.test.ts')
const rooms = vitest('unit', 'test/unit/mesh/blobs/push/rooms.test.ts')
const room = vitest('mesh', 'test/mesh/blob-room.test.ts')
const stream = vitest('unit', 'test/unit/mesh/blobs/push/stream.test.ts')
const spread = vitest('unit', 'test/unit/mesh/blobs/push/spread.test.ts')

export const BREAKS = [
  {
    what: 'mesh: files go to nodes that are much fuller than others',
    file: 'src/mesh/blobs/owners.ts',
    find: 'const mustOwn = canOwn && !isFuller(this.self)',
    replace: 'const mustOwn = canOwn',
    guard: vitest('unit', 'test/unit/mesh/blobs/owners.test.ts'),
  },
  {
    what: 'mesh: files go to nodes that get many already',
    file: 'src/mesh/blobs/owners.ts',
    find: 'owners.filter(isFuller).length, files] as const',
    replace: 'owners.filter(isFuller).length, files * 0] as const',
    guard: vitest('unit', 'test/unit/mesh/blobs/owners.test.ts'),
  },
  {
    what: 'mesh: what was given to a node does not count before its next word',
    file: 'src/mesh/blobs/push/rooms.ts',
    find: 'for (const member of members) this.#given.set(member, (this.#given.get(member) ?? 0) + 1)',
    replace: 'for (const member of members) this.#given.set(member, 0)',
    guard: vitest('unit', 'test/unit/mesh/blobs/push/rooms.test.ts'),
  },
  {
    what: 'mesh: a layer that arrives goes to no other node before its end',
    file: 'src/distribution/upload/session.ts',
    find: 'this.#begin(pending)',
    replace: '',
    guard: session,
  },
  {
    what: 'mesh: a layer whose blob is there is sent all the same',
    file: 'src/mesh/blobs/push/spread.ts',
    find: 'if (expected !== undefined && rowOf(expected) !== undefined) return undefined',
    replace: '',
    guard: spread,
  },
  {
    what: 'mesh: an upload that was cancelled goes on at the others',
    file: 'src/distribution/upload/session.ts',
    find: 'async discard(): Promise<void> {\n    this.#stopArriving()',
    replace: 'async discard(): Promise<void> {',
    guard: session,
  },
  {
    what: 'mesh: bytes that were taken back stay at the others',
    file: 'src/distribution/upload/session.ts',
    find: '// They may have bytes that are taken back here.\n    this.#stopArriving()',
    replace: '',
    guard: session,
  },
  {
    what: 'mesh: a file that arrives is kept without a word of its length',
    file: 'src/mesh/blobs/push/receive.ts',
    find: 'if (pending.offsetBytes !== size)',
    replace: 'if (pending.offsetBytes < size)',
    guard: streams,
  },
  {
    what: 'mesh: a file that arrives has a length',
    file: 'src/mesh/blobs/push/receive.ts',
    find: "if (request.headers['transfer-encoding'] !== 'chunked')",
    replace: "if (request.headers['transfer-encoding'] === 'none')",
    guard: streams,
  },
  {
    what: 'mesh: files that peers send stay when a node stops',
    file: 'src/mesh/blobs/push/receive.ts',
    find: 'for (const [request] of all) request.destroy()',
    replace: 'if (all.length > 0) return',
    guard: streams,
  },
  {
    what: 'mesh: an upload that stands still holds a file at the others',
    file: 'src/mesh/blobs/push/arrivals.ts',
    find: 'if (time.monotonic() - this.#reachedAt >= idleMs) return this.stop()',
    replace: '',
    guard: arrivals,
  },
  {
    what: 'mesh: a node that fails while a layer arrives is not replaced',
    file: 'src/mesh/blobs/push/arrivals.ts',
    find: 'onRefused(member, undefined, error)\n        this.#fill()',
    replace: 'onRefused(member, undefined, error)',
    guard: arrivals,
  },
  {
    what: 'mesh: a push tries groups for ever',
    file: 'src/mesh/blobs/push/spread.ts',
    find: 'if (time.monotonic() - startedAt >= triesMs) break',
    replace: '',
    guard: spread,
  },
  {
    what: 'mesh: an upload that goes on after hours is sent again and again',
    file: 'src/distribution/upload/session.ts',
    find: 'if (isInMemory) pending.append(this.#inline.whole())\n    this.#becomeFile(pending)',
    replace:
      'if (isInMemory) pending.append(this.#inline.whole())\n    this.#becomeFile(pending)\n    this.#begin(pending)',
    guard: session,
  },
  {
    what: 'mesh: fewer copies will do at once',
    file: 'src/mesh/blobs/push/spread.ts',
    find: 'while (!this.#isShort && time.monotonic() - startedAt < shortMs) {',
    replace: 'while (this.#isShort && time.monotonic() - startedAt < shortMs) {',
    guard: spread,
  },
  {
    what: 'mesh: fewer copies will do where that is not allowed',
    file: 'src/mesh/blobs/push/spread.ts',
    find: 'const short = mayDegrade ? await',
    replace: 'const short = !mayDegrade ? await',
    guard: spread,
  },
  {
    what: 'mesh: a node that is back is not told of the copies that it lacks',
    file: 'src/mesh/blobs/push/spread.ts',
    find: 'ask.mend(member, digest).catch(() => this.#owe(member, digest))',
    replace: 'ask.mend(member, digest).catch(() => undefined)',
    guard: spread,
  },
  {
    what: 'mesh: a push waits for fewer copies than were set',
    file: 'src/mesh/blobs/owners.ts',
    find: 'const wanted = this.#parts.writeCopies || writeCopiesDefault',
    replace: 'const wanted = writeCopiesDefault',
    guard: owners,
  },
  {
    what: 'mesh: files go to a node without room',
    file: 'src/mesh/blobs/owners.ts',
    find: 'if (owners.length - full < withRoom) continue',
    replace: '',
    guard: owners,
  },
  {
    what: 'mesh: what a node has said of its room counts for ever',
    file: 'src/mesh/blobs/push/rooms.ts',
    find: 'return this.#parts.time.monotonic() - known.at < freshMs ? known : undefined',
    replace: 'return known',
    guard: rooms,
  },
  {
    what: 'mesh: a node without room opens sessions by itself',
    file: 'src/server/mesh/forward.ts',
    find: 'ownerOf(request.method, request.path, rows) ?? openedBy(parts, request)',
    replace: 'ownerOf(request.method, request.path, rows)',
    guard: room,
  },
  {
    what: 'mesh: a member that takes no bytes is waited for',
    file: 'src/mesh/blobs/push/stream.ts',
    find: 'const cancel = this.#parts.time.after(silentMs, () => this.#fail(late()))',
    replace: 'const cancel = () => undefined',
    guard: stream,
  },
  {
    what: 'mesh: a member that has answered before the end has the file',
    file: 'src/mesh/blobs/push/stream.ts',
    find: '(answer) => this.#last === undefined && this.#refused(answer),',
    replace: '() => undefined,',
    guard: stream,
  },
  {
    what: 'mesh: copies of others stay when the disk here is full',
    file: 'src/mesh/blobs/push/spread.ts',
    find: 'catch (error) {\n      for (const copy of copies) this.#release(copy)\n      throw error',
    replace: 'catch (error) {\n      throw error',
    guard: spread,
  },
]
