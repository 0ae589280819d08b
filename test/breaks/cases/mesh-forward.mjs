/**
 * @module The breaks of what nodes promise when one hands a client's request to another: it comes to the right one,
 * once, as it was, and nothing that no node would send is taken.
 */
import { vitest } from '../breaks.mjs'

const doors = vitest('mesh', 'test/mesh/forward.test.ts')
const faults = vitest('mesh', 'test/mesh/forward-faults.test.ts')
const onTheWay = vitest('unit', 'test/unit/mesh/forward/passing.test.ts')
const inFront = vitest('unit', 'test/unit/http/forwarding.test.ts')
const ownership = vitest('unit', 'test/unit/server/mesh/owners.test.ts')
const links = vitest('unit', 'test/unit/mesh/redirect/links.test.ts')
const redirects = vitest('mesh', 'test/mesh/redirects.test.ts')
const sessions = vitest('unit', 'test/unit/distribution/uploads.test.ts')

const forwarding = 'src/http/forward/forwarding.ts'
const exchange = 'src/http/forward/exchange.ts'
const passing = 'src/mesh/forward/passing.ts'
const messages = 'src/mesh/forward/messages.ts'
const fills = 'src/mesh/fills.ts'
const owners = 'src/server/mesh/owners.ts'
const wiring = 'src/server/mesh/forward.ts'

export const BREAKS = [
  {
    what: 'forward: a change that was handed on and broke off says that it was not done',
    file: forwarding,
    find: "reason: error.problem, outcome: 'unknown' })",
    replace: "reason: error.problem, outcome: 'not done' })",
    guard: faults,
  },
  {
    what: 'redirect: a link of another blob is taken',
    file: 'src/mesh/redirect/links.ts',
    find: "const words = ['fastregistry redirect 1', member, repository, digest, end]",
    replace:
      "const words = ['fastregistry redirect 1', member, repository, end, digest.slice(0, 0)]",
    guard: links,
  },
  {
    what: 'redirect: a link is good for ever',
    file: 'src/mesh/redirect/links.ts',
    find: 'return isSigned && Number(end) * 1000 > now',
    replace: 'return isSigned',
    guard: links,
  },
  {
    what: 'redirect: what looks like a link is one',
    file: 'src/http/redirected.ts',
    find: 'digest.ok && redirects.admits(request.query, { repository, digest: digest.value })',
    replace: 'digest.ok',
    guard: redirects,
  },
  {
    what: 'redirect: a link opens other methods',
    file: 'src/http/redirected.ts',
    find: "request.method !== 'GET' || ",
    replace: '',
    guard: redirects,
  },
  {
    what: 'redirect: clients of all networks are sent on',
    file: 'src/server/mesh/redirects.ts',
    find: ' || !this.#clients.includes(client)',
    replace: '',
    guard: redirects,
  },
  {
    what: 'redirect: clients are sent to nodes that are gone',
    file: 'src/server/mesh/redirects.ts',
    find: ' || !reached.includes(other)',
    replace: '',
    guard: vitest('unit', 'test/unit/server/mesh/redirects.test.ts'),
  },
  {
    what: 'forward: every node answers for every session',
    file: wiring,
    find: 'if (owned === undefined || !isElsewhere(owned)) return',
    replace: 'if (owned === undefined || isElsewhere !== undefined) return',
    guard: doors,
  },
  {
    what: 'forward: a member that has left is asked all the same',
    file: wiring,
    find: 'isThere(peers, owned.member) &&',
    replace: '',
    guard: faults,
  },
  {
    what: 'forward: whatever a peer hands on is taken',
    file: owners,
    find: 'if (uploadOwner(path) === member || opensUpload(method, path)) return true',
    replace: 'if (member > 0 || opensUpload(method, path)) return true',
    guard: ownership,
  },
  {
    what: 'forward: the route asks nobody whether the request is one for this node',
    file: 'src/mesh/forward/route.ts',
    find: 'if (!takes(head)) {',
    replace: 'if (takes === undefined) {',
    guard: faults,
  },
  {
    what: 'forward: a job that has ended is handed to the member that ran it',
    file: owners,
    find: 'rowOf: (rows, id) => running(rows.job(id)),',
    replace: 'rowOf: (rows, id) => rows.job(id),',
    guard: ownership,
  },
  {
    what: 'forward: an id with more in front names a member',
    file: 'src/distribution/upload/id.ts',
    find: 'const meshId = /^([1-9]',
    replace: 'const meshId = /([1-9]',
    guard: vitest('unit', 'test/unit/distribution/upload-id.test.ts'),
  },
  {
    what: 'forward: a head of any length is read',
    file: 'src/mesh/forward/read-head.ts',
    find: 'if (length > headBytesMax) throw',
    replace: 'if (length < 0) throw',
    guard: faults,
  },
  {
    what: 'forward: a body may be longer or shorter than its head says',
    file: 'src/mesh/forward/route.ts',
    find: 'if (length === expected) return',
    replace: 'if (length === expected || headBytes > 0) return',
    guard: faults,
  },
  {
    what: 'forward: a field that nobody knows is passed over',
    file: messages,
    find: 'export const RequestHead = v.strictObject({',
    replace: 'export const RequestHead = v.object({',
    guard: faults,
  },
  {
    what: 'forward: a header may hold the beginning of another',
    file: messages,
    find: String.raw`v.regex(/^[^\0\r\n]*$/))`,
    replace: String.raw`v.regex(/^[^\0]*$/))`,
    guard: onTheWay,
  },
  {
    what: 'forward: headers of one connection reach the next',
    file: messages,
    find: 'return !NOT_CARRIED.has(name)',
    replace: "return name !== ''",
    guard: inFront,
  },
  {
    what: 'forward: headers that the client names as those of its connection are passed on',
    file: exchange,
    find: 'if (isCarried(name) && !named.has(name)) carried',
    replace: 'if (isCarried(name)) carried',
    guard: inFront,
  },
  {
    what: 'forward: the owner sees another node as the client',
    file: exchange,
    find: 'return this.head.client',
    replace: "return '127.0.0.1'",
    guard: faults,
  },
  {
    what: 'forward: each node gives a request an id of its own',
    file: exchange,
    find: 'return this.head.id',
    replace: 'return super.id',
    guard: doors,
  },
  {
    what: 'forward: the log does not say who has handed a request on',
    file: 'src/http/request-log.ts',
    find: "request.via === undefined ? ''",
    replace: "Number(request.via) !== 0 ? ''",
    guard: doors,
  },
  {
    what: 'forward: the node in front books what a client has moved, too',
    file: 'src/server/http.ts',
    find: 'if (request.handedTo !== undefined) return',
    replace: '',
    guard: faults,
  },
  {
    what: 'forward: the owner does not hear that the client has left',
    file: forwarding,
    find: "if (response.state !== 'headersSent' && response.state !== 'done') {",
    replace: "if (response.state === 'done') {",
    guard: inFront,
  },
  {
    what: 'forward: a member that takes no more does not hold up the client',
    file: forwarding,
    find: 'request.pause()',
    replace: '',
    guard: inFront,
  },
  {
    what: 'forward: a piece of a body is kept without a copy',
    file: forwarding,
    find: 'if (passing.write(Buffer.from(bytes))) return',
    replace: 'if (passing.write(bytes)) return',
    guard: inFront,
  },
  {
    what: 'forward: any number of requests goes to one member',
    file: forwarding,
    find: 'if (count >= passingMax) throw',
    replace: 'if (count < 0) throw',
    guard: inFront,
  },
  {
    what: 'forward: an answer that broke off is taken for whole',
    file: forwarding,
    find: 'if (bytes !== sizeBytes) throw notWhole()\n  return',
    replace: 'return',
    guard: inFront,
  },
  {
    what: 'forward: a connection that is to end goes on',
    file: forwarding,
    find: 'const body = await gather(passing, sizeBytes)\n    if (isLast) response.closeAfter()',
    replace: 'const body = await gather(passing, sizeBytes)',
    guard: inFront,
  },
  {
    what: 'forward: a member that lives is given up after a moment',
    file: passing,
    find: 'if (moved === before && isAwaited && !lives()) this.abort()',
    replace: 'if (moved === before && isAwaited) this.abort()',
    guard: onTheWay,
  },
  {
    what: 'forward: a client that is slow is taken for a member that is silent',
    file: passing,
    find: 'if (moved === before && isAwaited && !lives()) this.abort()',
    replace: 'if (moved === before && !lives()) this.abort()',
    guard: onTheWay,
  },
  {
    what: 'forward: a place where nothing answers is waited for',
    file: passing,
    find: 'if ((socket as TLSSocket).authorized) cancel()',
    replace: 'if ((socket as TLSSocket).authorized !== null) cancel()',
    guard: onTheWay,
  },
  {
    what: 'forward: each small piece waits for the receipt of the one before',
    file: 'src/mesh/peers/client.ts',
    find: '    asked.setNoDelay(true)\n',
    replace: '',
    guard: onTheWay,
  },
  {
    what: 'fills: each node asks upstream for a blob itself',
    file: 'src/mirror/blobs.ts',
    find: 'source: sharing?.sourceOf(upstream, repository.name, digest) ?? upstream,',
    replace: 'source: sharing === undefined ? upstream : upstream,',
    guard: vitest('mesh', 'test/mesh/fills.test.ts'),
  },
  {
    what: 'fills: a member fetches for the others though it is not the filler',
    file: fills,
    find: 'if (this.fillerOf(digest) !== this.#parts.member) {',
    replace: 'if (repository.length === 0) {',
    guard: vitest('mesh', 'test/mesh/fills.test.ts'),
  },
  {
    what: 'fills: a filler that does not give is the end of it',
    file: fills,
    find: 'return ask(deadline).catch(() => this.#own.open(offset, deadline))',
    replace: 'return ask(deadline)',
    guard: vitest('unit', 'test/unit/mesh/fills.test.ts'),
  },
  {
    what: 'fills: a filler that has died is waited for',
    file: fills,
    find: 'else asked.destroy()\n  }\n  let cancel',
    replace: '}\n  let cancel',
    guard: vitest('unit', 'test/unit/mesh/fills.test.ts'),
  },
  {
    what: 'uploads: a session whose end alone was lost sends its client back to the start',
    file: 'src/distribution/uploads.ts',
    find: 'if (!isUnknownSession(error) || !this.#isLinked(repository, digest)) throw error',
    replace: 'throw error',
    guard: sessions,
  },
  {
    what: 'uploads: a session that was lost is finished without its blob',
    file: 'src/distribution/uploads.ts',
    find: 'if (!isUnknownSession(error) || !this.#isLinked(repository, digest)) throw error',
    replace: 'if (!isUnknownSession(error)) throw error',
    guard: sessions,
  },
  {
    what: 'uploads: a session that ended unheard is counted for ever',
    file: 'src/distribution/uploads.ts',
    find: "this.#quota.settle((id) => metadata.get('uploads', id) !== undefined)",
    replace: '',
    guard: sessions,
  },
]
