/**
 * @module The breaks of what a mesh promises of its log and of reads: once, in one order, never older than what
 * another node has said.
 */
import { vitest } from '../breaks.mjs'

const simulation = vitest('unit', 'test/unit/mesh/simulation.test.ts', { MESH_SEEDS: '60' })
const entry = vitest('unit', 'test/unit/metadata/log/entry.test.ts')
const replica = vitest('unit', 'test/unit/metadata/log/replica.test.ts')

const freshness = vitest('unit', 'test/unit/http/freshness.test.ts')

const serving = 'src/mesh/serving.ts'
const applyEntry = 'src/metadata/apply/entry.ts'

export const BREAKS = [
  {
    what: 'mesh: an answer does not wait until all nodes give it',
    file: serving,
    find: 'const index = this.#dirty.indexOf(path)',
    replace: 'const index = this.#dirty.isClean ? this.#dirty.indexOf(path) : undefined',
    guard: simulation,
  },
  {
    what: 'mesh: an answer may rest on what was not heard of',
    file: serving,
    find: 'if (this.#shown > this.#visible) {',
    replace: 'if (this.#shown < 0) {',
    guard: simulation,
  },
  {
    what: 'mesh: what an earlier run has applied is taken for shown by all',
    file: serving,
    find: 'if (this.#stable < this.#before) {',
    replace: 'if (this.#stable < 0) {',
    guard: simulation,
  },
  {
    what: 'mesh: a write is acknowledged when one node shows it',
    file: serving,
    find: 'if (index <= this.#stable) return undefined',
    replace: 'if (index <= this.#visible) return undefined',
    guard: simulation,
  },
  {
    what: 'mesh: reads need no lease',
    file: serving,
    find: 'return this.#parts.now() < this.#leaseUntil ? undefined : this.#barrier.pass()',
    replace: 'return undefined',
    guard: simulation,
  },
  {
    what: 'mesh: a lease runs from when its beat was seen',
    file: serving,
    find: 'this.#leaseUntil = this.#sent.at + this.#parts.leaseMs',
    replace: 'this.#leaseUntil = this.#parts.now() + this.#parts.leaseMs',
    guard: vitest('unit', 'test/unit/mesh/serving.test.ts'),
  },
  {
    what: 'mesh: a silent member is put out before its lease has ended',
    file: serving,
    find: 'const since = now - this.#parts.leaseMs - this.#parts.marginMs',
    replace: 'const since = now - this.#parts.leaseMs / 2',
    guard: simulation,
  },
  {
    what: 'mesh: a slow member answers on its own until it is heard to step out',
    file: serving,
    find: `    this.#mode = mode
    this.#leaseUntil = Number.NEGATIVE_INFINITY`,
    replace: '    this.#mode = mode',
    guard: simulation,
  },
  {
    what: 'mesh: a barrier does not wait for what stands in the log',
    file: 'src/mesh/barrier.ts',
    find: '.then((index) => this.#parts.whenVisible(index))',
    replace: '.then(() => undefined)',
    guard: simulation,
  },
  {
    what: 'mesh: a barrier is shared with one that was asked before',
    file: 'src/mesh/barrier.ts',
    find: 'this.#waiting ??= this.#underWay.catch(() => undefined).then(() => this.#next())',
    replace: 'this.#waiting ??= this.#underWay',
    guard: simulation,
  },
  {
    what: 'mesh: an answer is sent before all nodes show what it rests on',
    file: 'src/http/freshness.ts',
    find: 'if (wait === undefined) return this.#response.send(head, body)',
    replace: 'if (wait !== null) return this.#response.send(head, body)',
    guard: freshness,
  },
  {
    what: 'mesh: a refusal waits for nothing',
    file: 'src/http/freshness.ts',
    find: 'throw await response.settledRefusal(error)',
    replace: 'throw error',
    guard: freshness,
  },
  {
    what: 'mesh: what is named by its digest is said to be absent by old rows',
    file: 'src/http/freshness.ts',
    find: "request.method === 'GET' && isHere(store, route)) {",
    replace: "request.method === 'GET' && (isHere(store, route) || route?.kind === 'blob')) {",
    guard: freshness,
  },
  {
    what: 'mesh: a HEAD promises what a node cannot hear of',
    file: 'src/http/freshness.ts',
    find: "wait !== undefined && request.method === 'GET' &&",
    replace: 'wait !== undefined && isRead &&',
    guard: freshness,
  },
  {
    what: 'mesh: content that is named by its digest waits for a log that is silent',
    file: 'src/http/freshness.ts',
    find: 'within(settleMsMax, store.settled(path!))',
    replace: 'store.settled(path!)',
    guard: freshness,
  },
  {
    what: 'mesh: news of an old beat puts a member out',
    file: applyEntry,
    find: 'if (it.member !== member && other.beat !== it.beat) return false',
    replace: '',
    guard: entry,
  },
  {
    what: 'mesh: an entry that is sent again counts again',
    file: applyEntry,
    find: "return said(!isNewRun && seq <= session.seq ? 'repeated' : 'void')",
    replace: "if (isNewRun) return said('void')",
    guard: simulation,
  },
  {
    what: 'mesh: what a run sends after it was put out counts',
    file: applyEntry,
    find: 'const isPresent = !isNewRun && session.presentAt > 0',
    replace: 'const isPresent = !isNewRun',
    guard: entry,
  },
  {
    what: 'mesh: what an older run has sent counts',
    file: applyEntry,
    find: "if (session !== undefined && boot < session.boot) return said('void')",
    replace: '',
    guard: entry,
  },
  {
    what: 'mesh: what an older run has left becomes part of a newer one',
    file: applyEntry,
    find: 'if (isNewRun) dropPieces(rows, member)',
    replace: '',
    guard: entry,
  },
  {
    what: 'mesh: entries with a hole are applied',
    file: 'src/metadata/log/replica.ts',
    find: 'if (first !== undefined && this.#isFollowing && !continues(entries, this.applied)) {',
    replace: 'if (first !== undefined && first.index < 0) {',
    guard: replica,
  },
  {
    what: 'mesh: changes of a node of its own go into the log',
    file: 'src/metadata/log/sender.ts',
    find: 'const own = it.changes.filter(isLocal)',
    replace: 'const own = it.changes.slice(0, 0)',
    guard: replica,
  },
  {
    what: 'mesh: a node whose rows differ from those of most goes on',
    file: 'src/metadata/log/chain.ts',
    find: 'isFenced: this.#differ.size * 2 >= present',
    replace: 'isFenced: this.#differ.size > present',
    guard: replica,
  },
  {
    what: 'mesh: the chain leaves the rows out',
    file: 'src/metadata/log/chain.ts',
    find: "if (DATABASES[database].scope === 'shared') this.#add([database, key, row])",
    replace: '',
    guard: replica,
  },
  {
    what: 'mesh: what is old is served for every read',
    file: 'src/http/freshness.ts',
    find: 'return !parseDigest(route.reference).ok',
    replace: 'return true',
    guard: freshness,
  },
  {
    what: 'mesh: a write rests on what may be old',
    file: 'src/http/freshness.ts',
    find: 'const marks = isRead && mayBeStale(route) ? stale : undefined',
    replace: 'const marks = mayBeStale(route) ? stale : undefined',
    guard: freshness,
  },
  {
    what: 'mesh: any fault is a reason to serve what is old',
    file: 'src/http/freshness.ts',
    find: 'if (!isLogSilent(error)) throw error',
    replace: '',
    guard: freshness,
  },
  {
    what: 'mesh: a refusal that rests on old rows does not say so',
    file: 'src/http/stale-reads.ts',
    find: 'error.withFacts({ isStale: true })',
    replace: 'error',
    guard: freshness,
  },
  {
    what: 'mesh: a node that has not caught up is ready',
    file: 'src/observability/health.ts',
    find: "&& weight !== 'not-ready'",
    replace: '',
    guard: vitest('unit', 'test/unit/observability/health.test.ts'),
  },
  {
    what: 'mesh: a node without rows that it may answer from is well',
    file: 'src/mesh/condition.ts',
    find: "throw new HealthProblem('has no rows that it may answer from')",
    replace: 'return',
    guard: vitest('unit', 'test/unit/mesh/serving.test.ts'),
  },
  {
    what: 'mesh: a tail of another log is taken',
    file: 'src/mesh/tail-of-peers.ts',
    find: 'if (!isSure && first?.token !== place.token) {',
    replace: 'if (false) {',
    guard: vitest('unit', 'test/unit/mesh/tail-of-peers.test.ts'),
  },
  {
    what: 'mesh: a tail has no end',
    file: 'src/metadata/log/catch-up.ts',
    find: '|| last.index > this.#upTo',
    replace: '',
    guard: vitest('unit', 'test/unit/metadata/log/catch-up.test.ts'),
  },
  {
    what: 'mesh: a tail is believed as it comes',
    file: 'src/metadata/log/replica.ts',
    find: 'this.#unproven = last.index',
    replace: '',
    guard: replica,
  },
  {
    what: 'mesh: a tail is proven by a beat from before it',
    file: 'src/metadata/log/replica.ts',
    find: 'if (said.at >= this.#unproven && Buffer',
    replace: 'if (Buffer',
    guard: replica,
  },
  {
    what: 'mesh: writes wait for a node whose disk is short of room',
    file: serving,
    find: "this.#parts.isShort?.() === true ? 'barrier' : this.#paced",
    replace: 'this.#paced',
    guard: vitest('unit', 'test/unit/mesh/serving.test.ts'),
  },
  {
    what: 'mesh: a node that is held goes on',
    file: 'src/metadata/log/replica.ts',
    find: 'if (isDue && !this.#isHeld) this.#follow()',
    replace: 'if (isDue) this.#follow()',
    guard: replica,
  },
  {
    what: 'mesh: reads rest on rows that the store could not follow with',
    file: 'src/metadata/log/replica.ts',
    find: '&& !this.#isStuck',
    replace: '',
    guard: replica,
  },
]
