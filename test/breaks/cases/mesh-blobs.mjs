/** @module The breaks of the files of blobs that several nodes of a mesh keep. */
import { vitest } from '../breaks.mjs'

const whole = vitest('mesh', 'test/mesh/blobs.test.ts')
const faults = vitest('mesh', 'test/mesh/blob-faults.test.ts')
const spread = vitest('unit', 'test/unit/mesh/blobs/push/spread.test.ts')
const owners = vitest('unit', 'test/unit/mesh/blobs/owners.test.ts')
const answers = vitest('unit', 'test/unit/mesh/blobs/first-answer.test.ts')
const parts = vitest('unit', 'test/unit/mesh/blobs/part-source.test.ts')
const repair = vitest('unit', 'test/unit/mesh/blobs/repair.test.ts')
const looks = vitest('mesh', 'test/mesh/blob-proofs.test.ts')
const proofs = vitest('unit', 'test/unit/mesh/blobs/proofs.test.ts')
const ledger = vitest('unit', 'test/unit/mesh/blobs/ledger.test.ts')

export const BREAKS = [
  {
    what: 'mesh: a member that took a part of a hot blob is taken for one that has it',
    file: 'src/mesh/blobs/serve.ts',
    find: 'isWhole = from === 0',
    replace: 'isWhole = true',
    guard: vitest('mesh', 'test/mesh/hot-blobs.test.ts'),
  },
  {
    what: 'mesh: a hot blob is not sent when the other member has dropped it',
    file: 'src/mesh/blobs/ask.ts',
    find: '.catch(() => this.#bytes(member, query, from))',
    replace: '',
    guard: vitest('mesh', 'test/mesh/hot-blobs.test.ts'),
  },
  {
    what: 'mesh: a member is sent to itself for a hot blob',
    file: 'src/mesh/blobs/hot.ts',
    find: '(taker) => taker !== member',
    replace: '() => true',
    guard: vitest('unit', 'test/unit/mesh/blobs/hot.test.ts'),
  },
  {
    what: 'mesh: a blob is acknowledged with one copy',
    file: 'src/mesh/blobs/push/spread.ts',
    find: 'if (next.length === 0) return false',
    replace: 'if (next.length === 0) return true',
    guard: spread,
  },
  {
    what: 'mesh: rows of a blob that do not rest on its copies',
    file: 'src/mesh/blobs/push/spread.ts',
    find: "const held = { check: 'held', in: 'sessions', copies, atLeast: copies.length } as const",
    replace:
      "const held = { check: 'held', in: 'sessions', copies: copies.slice(1), atLeast: 0 } as const",
    guard: spread,
  },
  {
    what: 'mesh: pins go before new ones are there',
    file: 'src/mesh/blobs/push/spread.ts',
    find: 'const again = await Promise.all(copies.map(({ member }) => this.#keepMore(member, digest)))',
    replace:
      'for (const copy of copies) this.#release(copy)\n      const again = await Promise.all(copies.map(({ member }) => this.#keepMore(member, digest)))',
    guard: spread,
  },
  {
    what: 'mesh: pins are given back although their transaction may be in the log',
    file: 'src/mesh/blobs/push/spread.ts',
    find: "const isVoid = error instanceof RegistryError && error.kind === 'NOT_DONE'",
    replace: 'const isVoid = error instanceof RegistryError',
    guard: spread,
  },
  {
    what: 'mesh: a file is in place before the others have it',
    file: 'src/mesh/blobs/push/spread.ts',
    find: 'const found = await this.#spread(file, mine)',
    replace:
      "mine ??= await keepHere(file, 'owner')\n    const found = await this.#spread(file, mine)",
    guard: spread,
  },
  {
    what: 'mesh: a member that has refused is chosen again',
    file: 'src/mesh/blobs/owners.ts',
    find: 'owners.some((it) => without.has(it))',
    replace: 'owners.every((it) => without.has(it))',
    guard: owners,
  },
  {
    what: 'mesh: a node that knows no members says that none has the blob',
    file: 'src/mesh/blobs/owners.ts',
    find: 'if (!this.members.some(({ number }) => number === this.self)) return undefined',
    replace: 'if (this.members.some(({ number }) => number === -1)) return undefined',
    guard: owners,
  },
  {
    what: 'mesh: nobody else is asked when a member is slow',
    file: 'src/mesh/blobs/first-answer.ts',
    find: 'if (asked < members.length) cancel = time.after(hedgeMs, next)',
    replace: '',
    guard: answers,
  },
  {
    what: 'mesh: an answer that comes too late holds its connection',
    file: 'src/mesh/blobs/first-answer.ts',
    find: 'if (isOver) drop(answer)',
    replace: 'if (isOver) return',
    guard: answers,
  },
  {
    what: 'mesh: a part far ahead waits for all before it',
    file: 'src/mesh/blobs/part-source.ts',
    find: 'if (this.#givenUpAt === offset || !this.#isFarAhead(offset)) {',
    replace: 'if (offset >= 0 || !this.#isFarAhead(offset)) {',
    guard: parts,
  },
  {
    what: 'mesh: a copy counts as handed over before its owners have it',
    file: 'src/mesh/blobs/repair.ts',
    find: 'if (here?.[at] !== true) missing.add(digest)',
    replace: 'if (here === undefined) missing.add(digest)',
    guard: repair,
  },
  {
    what: 'mesh: a copy is handed over before its owners have read theirs',
    file: 'src/mesh/blobs/repair.ts',
    find: 'return right === others.length',
    replace: 'return right <= others.length',
    guard: repair,
  },
  {
    what: 'mesh: a copy of a cache is one to rest on',
    file: 'src/mesh/blobs/proofs.ts',
    find: "if (!isOwner(digest, row)) return 'cache'",
    replace: '',
    guard: proofs,
  },
  {
    what: 'mesh: a copy that was found bad stays in service',
    file: 'src/mesh/blobs/proofs.ts',
    find: "await isolate(digest, 'its bytes have another digest')",
    replace: '',
    guard: proofs,
  },
  {
    what: 'mesh: an owner says yes to a copy with a flipped bit',
    file: 'src/mesh/blobs/proofs.ts',
    find: 'const found = await inventory.check(digest, { onRead })',
    replace:
      'const object = await inventory.stat(digest)\n    if (object !== undefined) return this.#genuine(digest, object)\n    const found = await inventory.check(digest, { onRead })',
    guard: looks,
  },
  {
    what: 'mesh: a blob is lost although a member finds a right copy',
    file: 'src/mesh/blobs/mesh-blobs.ts',
    find: '...others.map((member) => this.#ask.prove(member, digest, row.sizeBytes)),',
    replace: '',
    guard: looks,
  },
  {
    what: 'mesh: a blob is kept for a file here with other bytes',
    file: 'src/mesh/blobs/mesh-blobs.ts',
    find: 'this.local.look(digest, () => true),',
    replace: "this.local.has(digest, row.sizeBytes).then((isHere) => (isHere ? 'cache' : 'none')),",
    guard: looks,
  },
  {
    what: 'mesh: each node counts copies by its own configuration',
    file: 'src/mesh/blobs/mesh-blobs.ts',
    find: 'return this.#sharedFactor ?? this.#parts.replicationFactor ?? defaultFactor',
    replace: 'return this.#parts.replicationFactor ?? defaultFactor',
    guard: looks,
  },
  {
    what: 'mesh: copies that are owned elsewhere are fetched',
    file: 'src/mesh/blobs/repair.ts',
    find: 'if (!isOwner) return undefined',
    replace: '',
    guard: repair,
  },
  {
    what: 'mesh: a copy that others count on is evicted',
    file: 'src/mesh/blobs/ledger.ts',
    find: "if (role !== 'cache') return",
    replace: '',
    guard: ledger,
  },
  {
    what: 'mesh: a file of a peer is kept whatever its bytes are',
    file: 'src/mesh/blobs/local.ts',
    find: 'const seal = () => pending.commit(digest)',
    replace: 'const seal = async () => pending.discard()',
    guard: whole,
  },
  {
    what: 'mesh: what is left of a refused file stays',
    file: 'src/mesh/blobs/push/receive.ts',
    find: 'pending?.discard()',
    replace: '',
    guard: whole,
  },
  {
    what: 'mesh: a body is taken that is not as long as its path says',
    file: 'src/mesh/blobs/push/receive.ts',
    find: "if (request.headers['content-length'] !== String(what.size)) {",
    replace: 'if (what.size === 0) {',
    guard: whole,
  },
  {
    what: 'mesh: each pull asks the owners for itself',
    file: 'src/mesh/blobs/fetches.ts',
    find: 'if (running !== undefined) return running',
    replace: '',
    guard: whole,
  },
  {
    what: 'mesh: a member that does not answer has no copy',
    file: 'src/mesh/blobs/peer-source.ts',
    find: 'if (!isNone) throw copiesSilent(digest, error)',
    replace: '',
    guard: faults,
  },
  {
    what: 'mesh: a member that sent wrong bytes is asked again',
    file: 'src/mesh/blobs/peer-source.ts',
    find: 'this.#parts.bad.add(member)',
    replace: '',
    guard: faults,
  },
  {
    what: 'mesh: the row of a blob goes with one damaged copy',
    file: 'src/blobs/quarantine.ts',
    find: 'if (isolateCopy !== undefined && hasObject(row)) {',
    replace: 'if (isolateCopy !== undefined && !hasObject(row)) {',
    guard: faults,
  },
  {
    what: 'mesh: a collection moves the files of its own node only',
    file: 'src/metadata/lmdb/log-commits.ts',
    find: 'if (reply.copies.length > 0) this.#parts.onCopies?.(reply.copies)',
    replace: 'if (reply.copies.some((it) => it.isPresent)) this.#parts.onCopies?.(reply.copies)',
    guard: faults,
  },
  {
    what: 'mesh: files without rows stay after a start',
    file: 'src/mesh/blobs/local.ts',
    find: "copies.cleanUp().catch((error: unknown) => onFailure('', error))",
    replace: '',
    guard: faults,
  },
  {
    what: 'mesh: a restore looks at its own trash only',
    file: 'src/mesh/blobs/mesh-blobs.ts',
    find: 'const others = this.#owners.sources(digest, trashed) ?? []',
    replace: 'const others: number[] = this.#owners.sources(digest, trashed)?.slice(9) ?? []',
    guard: faults,
  },
]
