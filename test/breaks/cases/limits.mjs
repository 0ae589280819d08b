/** @module The breaks of what one client may take: by address, by connection, by disk, by line. */
import { vitest } from '../breaks.mjs'

const queue = vitest('unit', 'test/unit/auth/password-queue.test.ts')
const key = vitest('unit', 'test/unit/runtime/client-key.test.ts')
const throttle = vitest('unit', 'test/unit/auth/throttle.test.ts')
const owners = vitest('http', 'test/http/registry/upload-owners.test.ts')
const connections = vitest('http', 'test/http/client-connections.test.ts')

export const BREAKS = [
  {
    what: 'B4: every IPv6 address is a client of its own',
    file: 'src/runtime/client-key.ts',
    find: "if (!address.includes(':')) return address",
    replace: "if (address !== '') return address",
    guard: key,
  },
  {
    what: 'B4: a known client waits among strangers',
    file: 'src/auth/password-queue.ts',
    find: "if (isKnownClient) places.push({ lane: 'known-client',",
    replace: "if (isKnownClient) places.push({ lane: 'others',",
    guard: queue,
  },
  {
    what: 'B4: whoever comes when all places are taken is put off, known or not',
    file: 'src/auth/password-queue.ts',
    find: 'if (this.#waitingCount >= waitingMax && !this.#putOffNewest()) continue',
    replace: 'if (this.#waitingCount >= waitingMax) continue',
    guard: queue,
  },
  {
    what: 'B14: whoever guesses for ever is not slowed down',
    file: 'src/runtime/throttle.ts',
    find: 'if (slows === undefined || spent <= burst) return perSecond',
    replace: 'if (slows === undefined || spent >= burst) return perSecond',
    guard: throttle,
  },
  {
    what: 'a bucket saves up more than its burst',
    file: 'src/runtime/token-bucket.ts',
    find: 'return Math.min(this.#burst, this.#level + seconds * this.#perSecond)',
    replace: 'return this.#level + seconds * this.#perSecond',
    guard: vitest('unit', 'test/unit/runtime/token-bucket.test.ts'),
  },
  {
    what: 'a bounded map grows without a bound',
    file: 'src/runtime/bounded-map.ts',
    find: 'if (this.size >= this.#entriesMax) this.delete',
    replace: 'if (this.size > this.#entriesMax * 2) this.delete',
    guard: vitest('unit', 'test/unit/runtime/bounded-map.test.ts'),
  },
  {
    what: 'B9: a client has all connections',
    file: 'src/http/engine/client-connections.ts',
    find: 'if (own !== undefined && own.size >= this.#max) return { full: own }',
    replace: 'if (own !== undefined && own.size < 0) return { full: own }',
    guard: connections,
  },
  {
    what: 'B9: connections of a trusted proxy are those of one client',
    file: 'src/http/engine/client-connections.ts',
    find: 'isTrustedProxy?.(speaker) === true ? undefined',
    replace: 'isTrustedProxy?.(speaker) === undefined ? undefined',
    guard: connections,
  },
  {
    what: 'B9: a body that is wanted whole takes as long as it likes',
    file: 'src/distribution/upload/body.ts',
    find: 'if (leftMs <= 0) reject(onLate())',
    replace: 'if (leftMs <= -1e9) reject(onLate())',
    guard: connections,
  },
  {
    what: 'B9: a byte now and then keeps an upload',
    file: 'src/http/engine/keeper.ts',
    find: 'const isSlow = moved - this.windowMoved < windowBytesMin',
    replace: 'const isSlow = moved - this.windowMoved < 0',
    guard: vitest('unit', 'test/unit/http/engine-keeper.test.ts'),
  },
  {
    what: 'B14: every refusal is a line',
    file: 'src/server/refusal-sums.ts',
    find: 'if (kind.written < singlesMax) {',
    replace: 'if (kind.written >= 0) {',
    guard: vitest('unit', 'test/unit/server/refusal-sums.test.ts'),
  },
  {
    what: 'B14: whoever knows its id uses a session',
    file: 'src/distribution/uploads.ts',
    find: 'if (owner !== undefined && owner !== user)',
    replace: "if (owner !== undefined && user === '')",
    guard: owners,
  },
  {
    what: 'B13: a token that has ended is good for its session for ever',
    file: 'src/http/access/gate.ts',
    find: 'if (this.#options.now() > at + lateTokenMs) return false',
    replace: 'if (this.#options.now() < at) return false',
    guard: owners,
  },
  {
    what: 'B11: a byte of a range brings megabytes into memory',
    file: 'src/blobs/files/mapping.ts',
    find: 'export const granuleBytes = 128 * 1024',
    replace: 'export const granuleBytes = 4 * 1024 * 1024',
    guard: vitest('unit', 'test/unit/blobs/mapped-reader.test.ts'),
  },
  {
    what: 'B11: who has read little is read ahead of by much',
    file: 'src/blobs/files/mapping.ts',
    find: 'const aheadBytes = Math.min(runBytes, aheadBytesMax,',
    replace: 'const aheadBytes = Math.min(runBytes + 4 * windowBytesMax, aheadBytesMax,',
    guard: vitest('unit', 'test/unit/blobs/mapped-reader.test.ts'),
  },
  {
    what: 'B11: what was read from the disk for a range is not paid for',
    file: 'src/server/http.ts',
    find: 'const out = Math.max(response.bytesSent, response.bytesFetched)',
    replace: 'const out = Math.max(response.bytesSent, 0)',
    guard: vitest('http', 'test/http/access/limits.test.ts'),
  },
  {
    what: "mapped files: bytes beyond the file are read, which are another one's",
    file: 'src/blobs/files/mapping.ts',
    find: 'const isInside = offset >= 0 && length >= 0 && offset + length <= this.sizeBytes',
    replace: 'const isInside = offset < Infinity',
    guard: vitest('unit', 'test/unit/blobs/mapped-reader.test.ts'),
  },
  {
    what: 'mapped files: half of an extent is dealt out again',
    file: 'src/blobs/files/address-space.ts',
    find: 'this.#free[order]!.add(offset + smallestBytes * 2 ** order)',
    replace: 'this.#free[order]!.add(offset + (smallestBytes * 2 ** order) / 2)',
    guard: vitest('unit', 'test/unit/blobs/address-space.test.ts'),
  },
  {
    what: 'mapped files: each has a view of its own',
    file: 'src/blobs/files/address-space.ts',
    find: 'this.#pieces.push(piece)',
    replace: 'void this.#pieces',
    guard: vitest('unit', 'test/unit/blobs/address-space.test.ts'),
  },
]
