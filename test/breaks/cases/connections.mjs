/** @module The breaks of connections: how they are taken, and lent for the rest of a long body. */
import { vitest } from '../breaks.mjs'

const uploads = vitest('http', 'test/http/registry/long-uploads.test.ts')
const engine = vitest('http', 'test/http/engine/uws-lend.test.ts')

export const BREAKS = [
  {
    what: 'a worker reads what is behind the body',
    file: 'src/blobs/files/worker/receive.ts',
    find: 'Math.max(1, Math.min(rest.wantedBytes, readBytesMax))',
    replace: 'readBytesMax',
    guard: uploads,
  },
  {
    what: 'a session forgets what a worker has read when its client leaves',
    file: 'src/distribution/upload/session.ts',
    find: 'this.#offsetBytes += bytes\n        socket.ended(end)',
    replace: "if (end === 'whole') this.#offsetBytes += bytes\n        socket.ended(end)",
    guard: uploads,
  },
  {
    what: 'a turn that is taken away leaves its worker reading',
    file: 'src/runtime/lent-socket.ts',
    find: 'if (!this.#hasEnded) this.onCut?.()',
    replace: '',
    guard: vitest('http', 'test/http/registry/upload-turns.test.ts'),
  },
  {
    what: 'a connection that was lent is not given back',
    file: 'src/http/engine/uws/lent-connection.ts',
    find: 'if (!closes && sent',
    replace: 'if (closes && sent',
    guard: engine,
  },
  {
    what: 'a connection with half a body goes on',
    file: 'src/http/engine/uws/exchange.ts',
    find: 'const closes = this.closes || !this.hasWholeBody',
    replace: 'const closes = this.closes',
    guard: engine,
  },
  {
    what: 'an engine that closes keeps what it has lent',
    file: 'src/http/engine/uws/engine.ts',
    find: 'for (const connection of this.keeper.lent) connection.close()',
    replace: '',
    guard: engine,
  },
  {
    what: 'a connection goes on behind bytes that were lost',
    file: 'src/http/engine/uws/exchange.ts',
    find: "this.mustClose ||= end === 'overrun'",
    replace: '',
    guard: uploads,
  },
  {
    what: 'a connection of a proxy goes on behind a chunked body that was lent',
    file: 'src/http/engine/uws/exchange.ts',
    find: 'this.mustClose ||= this.isChunked && this.isFromProxy()',
    replace: '',
    guard: engine,
  },
  {
    what: 'a line of a chunked body ends with a line feed alone',
    file: 'src/blobs/files/worker/chunked-body.ts',
    find: 'if (byte === CR) {',
    replace: 'if (byte === LF) return this.#endLine()\n    if (byte === CR) {',
    guard: vitest('unit', 'test/unit/blobs/chunked-body.test.ts'),
  },
  {
    what: 'data behind which a read ends are taken for a whole chunk',
    file: 'src/http/engine/uws/chunk-frame.ts',
    find: '? size - piece.byteLength :',
    replace: '? size :',
    guard: engine,
  },
  {
    what: 'a turn takes one new connection',
    file: 'src/http/engine/uws/acceptor.ts',
    find: 'const acceptsPerTurnMax = 16',
    replace: 'const acceptsPerTurnMax = 1',
    guard: vitest('http', 'test/http/engine/uws-accept.test.ts'),
  },
]
