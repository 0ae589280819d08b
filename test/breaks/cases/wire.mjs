/** @module The breaks of the wire: what proxies, balancers and old clients send. */
import { vitest } from '../breaks.mjs'

const unit = vitest('unit', 'test/unit/http/first-bytes.test.ts')
const engine = vitest('http', 'test/http/engine/uws.test.ts')
const wire = vitest('http', 'test/http/registry/wire.test.ts')
const proxy = vitest('http', 'test/http/access/proxy.test.ts')

export const BREAKS = [
  {
    what: 'B3: a balancer that is a trusted proxy vouches for what its client wrote',
    file: 'src/http/engine/exchange.ts',
    find: 'this.isProxied = isTrusted?.(speaker) === true',
    replace: 'this.isProxied = isTrusted?.(peer) === true',
    guard: proxy,
  },
  {
    what: 'B3: a balancer need not send its header',
    file: 'src/http/engine/uws/acceptor.ts',
    find: "if (header === 'none') return 'headerless'",
    replace: "if (header === 'none') return 'native'",
    guard: proxy,
  },
  {
    what: 'B5: a chunked body that was answered before its end leaves the connection open',
    file: 'src/http/engine/exchange.ts',
    find: 'if (this.bodyBytes === undefined) this.mustClose',
    replace: 'if (this.bodyBytes === 0) this.mustClose',
    guard: wire,
  },
  {
    what: 'B5: a GET may have a chunked body',
    file: 'src/http/engine/framing.ts',
    find: "new Set(['POST', 'PUT', 'PATCH'])",
    replace: "new Set(['POST', 'PUT', 'PATCH', 'GET'])",
    guard: wire,
  },
  {
    what: 'B5: what stands in the packet behind a chunked body is served',
    file: 'src/http/engine/uws/exchange.ts',
    find: 'if (this.isChunked) setImmediate(now)',
    replace: 'if (!this.isChunked) setImmediate(now)',
    guard: engine,
  },
  {
    what: 'C2: the native side gets requests of any version',
    file: 'src/http/engine/first-bytes.ts',
    find: "if (!isPath || !isWhole) return 'node'",
    replace: "if (!isPath || (!isWhole && line === '')) return 'node'",
    guard: unit,
  },
  {
    what: 'C2: the native side refuses in HTML',
    file: 'src/runtime/loaded-binary.ts',
    find: 'if (places.length !== 1) continue',
    replace: 'if (places.length === 1) continue',
    guard: vitest('http', 'test/http/registry/service.test.ts'),
  },
  {
    what: 'C3: Host counts, not the authority of the target',
    file: 'src/http/engine/exchange.ts',
    find: "this.authority ?? this.header('host')",
    replace: "this.header('host')",
    guard: engine,
  },
  {
    what: 'C4: the native side gets several requests at once',
    file: 'src/http/engine/first-bytes.ts',
    find: "queuedBytes) ? 'node' : 'native'",
    replace: "queuedBytes) ? 'native' : 'native'",
    guard: wire,
  },
  {
    what: 'C4: requests of one packet run beside each other',
    file: 'src/http/engine/node/request-line.ts',
    find: 'if (this.#current === undefined) this.#next()',
    replace: 'this.#next()',
    guard: wire,
  },
  {
    what: 'C4: what comes behind a change is read before its answer',
    file: 'src/http/engine/uws/exchange.ts',
    find: 'this.isHeldBack = true\n          res.pause()',
    replace: 'this.isHeldBack = false',
    guard: engine,
  },
  {
    what: 'over TLS less is offered than the socket has refused',
    file: 'src/http/engine/uws/exchange.ts',
    find: 'refused !== undefined && refused.length > bytes.length ? refused : bytes',
    replace: 'refused === undefined ? bytes : bytes',
    guard: engine,
  },
  {
    what: 'a source is closed while a socket reads from it',
    file: 'src/http/engine/pump.ts',
    find: 'if (this.lentWindows === 0) this.source.close()',
    replace: 'this.source.close()',
    guard: vitest('http', 'test/http/engine/node-windows.test.ts'),
  },
  {
    what: 'C5: half a head may take as long as an idle connection',
    file: 'src/http/engine/first-bytes.ts',
    find: "if (headEnd < 0) return bytes.length < firstBytesMax ? 'more' : 'native'",
    replace: "if (headEnd < 0) return 'native'",
    guard: unit,
  },
  {
    what: 'C5: the native clock for idle connections goes as it comes',
    file: 'src/http/engine/uws/engine.ts',
    find: 'loaded.sweep.repeat(Math.ceil(options.idleTimeoutMs / 2))',
    replace: 'loaded.sweep.repeat(4_000)',
    guard: vitest('http', 'test/http/engine/idle.test.ts'),
  },
  {
    what: 'C5: connections are cut although they are used while the server stops',
    file: 'src/http/engine/node/engine.ts',
    find: 'NetServer.prototype.close.call(listener)',
    replace: 'listener.close()',
    guard: vitest('http', 'test/http/engine/node.test.ts'),
  },
  {
    what: 'a client that is refused for load is not told when to come back',
    file: 'src/http/error-headers.ts',
    find: "if (retryAfterSeconds !== undefined) headers.push(['Retry-After'",
    replace: "if (retryAfterSeconds === 0) headers.push(['Retry-After'",
    guard: vitest('unit', 'test/unit/http/refusals.test.ts'),
  },
  {
    what: 'a refused chunk does not say where its session stands',
    file: 'src/http/error-headers.ts',
    find: 'if (facts?.session !== undefined) {',
    replace: "if (facts?.session !== undefined && kind !== 'CHUNK_OUT_OF_ORDER') {",
    guard: vitest('unit', 'test/unit/http/refusals.test.ts'),
  },
]
