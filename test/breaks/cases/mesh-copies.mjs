/** @module The breaks of how copies stand on the nodes of a mesh: what is counted, made good first, and released. */
import { vitest } from '../breaks.mjs'

const repair = vitest('unit', 'test/unit/mesh/blobs/repair.test.ts')
const copies = vitest('mesh', 'test/mesh/copies.test.ts')
const leaving = vitest('unit', 'test/unit/server/mesh/leaving.test.ts')
const leave = vitest('mesh', 'test/mesh/leave.test.ts')

const rebalance = vitest('mesh', 'test/mesh/rebalance.test.ts')

const backup = vitest('mesh', 'test/mesh/backup.test.ts')

export const BREAKS = [
  {
    what: 'mesh: copies for pulls alone count in groups',
    file: 'src/server/mesh/overview.ts',
    find: 'sumOfTwo(sum, sumOfTwo(it.owned, it.kept))',
    replace: 'sumOfTwo(sum, sumOfTwo(it.owned, it.cached))',
    guard: copies,
  },
  {
    what: 'mesh: what the repair has done is not counted in groups',
    file: 'src/mesh/standing/figures.ts',
    find: 'groups.add(group, to, 1, bytes)',
    replace: '',
    guard: vitest('unit', 'test/unit/mesh/standing/figures.test.ts'),
  },
  {
    what: 'mesh: the folder of a first fetched blob is not on the disk',
    file: 'src/blobs/files/fetched.ts',
    find: 'await moveInto(part, target)',
    replace: 'await disk.makeFolder(dirname(target))\n    await disk.rename(part, target)',
    guard: vitest('unit', 'test/unit/blobs/fetched.test.ts'),
  },
  {
    what: 'mesh: a peer that names another one may send bytes without end',
    file: 'src/mesh/blobs/ask.ts',
    find: "first.headers['content-length'] !== '0'",
    replace: 'other < 0',
    guard: vitest('mesh', 'test/mesh/hot-blobs.test.ts'),
  },
  {
    what: 'mesh: bytes of a peer are taken as they come into a backup',
    file: 'src/blobs/files/fetched.ts',
    find: 'const isRight = written === sizeBytes && hasher.digest() === digest',
    replace: 'const isRight = written === sizeBytes',
    guard: backup,
  },
  {
    what: 'mesh: a backup has the files of its own node alone',
    file: 'src/storage/backup.ts',
    find: 'members.length < 2 ? undefined',
    replace: 'members.length > 0 ? undefined',
    guard: backup,
  },
  {
    what: 'mesh: owners are found by the number of members',
    file: 'src/mesh/placement.ts',
    find: 'return [...best, ...rest].slice(0, count)',
    replace:
      'const all = [...best, ...rest].sort((one, other) => one - other)\n  return all.map((_, at) => all[(group + at) % all.length]!).slice(0, count)',
    guard: rebalance,
  },
  {
    what: 'mesh: a copy that a peer has asked for is fetched twice',
    file: 'src/mesh/blobs/repair.ts',
    find: 'if (running !== undefined) return running',
    replace: '',
    guard: repair,
  },
  {
    what: 'mesh: a node leaves while an upload rests on it',
    file: 'src/server/mesh/leaving.ts',
    find: 'await this.#until(() => care.pins === 0)',
    replace: 'await this.#until(() => true)',
    guard: leaving,
  },
  {
    what: 'mesh: a node that leaves takes promises until its end',
    file: 'src/server/mesh/leaving.ts',
    find: 'care.close(true)',
    replace: 'care.close(false)',
    guard: leaving,
  },
  {
    what: 'mesh: a node leaves on figures of before',
    file: 'src/server/mesh/leaving.ts',
    find: 'kept = care.passes >= wanted ?',
    replace: 'kept = care.passes >= 0 ?',
    guard: leaving,
  },
  {
    what: 'mesh: a node leaves with what no other disk has',
    file: 'src/server/mesh/leaving.ts',
    find: 'if (only?.blobs === 0) return true',
    replace: 'if (kept === 0) return true',
    guard: leaving,
  },
  {
    what: 'mesh: two nodes leave at once',
    file: 'src/server/mesh/leaving.ts',
    find: "await setState(member, 'active')\n      throw error",
    replace: '',
    guard: leaving,
  },
  {
    what: 'mesh: a node leaves whose vote is needed',
    file: 'src/server/mesh/leaving.ts',
    find: 'if (rest.length === 0 || up.length > rest.length / 2) return undefined',
    replace: 'return undefined',
    guard: leaving,
  },
  {
    what: 'mesh: a node that was asked to leave ends with a failure',
    file: 'src/server/mesh/node.ts',
    find: "if (fault.is === 'refused' && this.#leaving?.step === 'left') return",
    replace: '',
    guard: leave,
  },
  {
    what: 'mesh: a node is removed with what only it has',
    file: 'src/admin/mesh-endpoints.ts',
    find: 'if (only === 0) return',
    replace: 'if (only !== undefined) return',
    guard: leave,
  },
  {
    what: 'mesh: the last copy of a blob waits for all others',
    file: 'src/mesh/standing/census.ts',
    find: 'const of = ({ digest }: T) => copies.get(digest) ?? 0',
    replace: 'const of = (_: T) => copies.size',
    guard: repair,
  },
  {
    what: 'mesh: figures stay when owners may be others',
    file: 'src/mesh/standing/figures.ts',
    find: 'return known?.of === this.#membersNow() ? known : undefined',
    replace: 'return known',
    guard: repair,
  },
  {
    what: 'mesh: a walk goes on with owners of before',
    file: 'src/mesh/blobs/repair.ts',
    find: 'return this.#isStopped || this.#parts.owners.members !== this.#members',
    replace: 'return this.#isStopped',
    guard: repair,
  },
  {
    what: 'mesh: what could not be fetched waits for an hour',
    file: 'src/mesh/blobs/repair.ts',
    find: 'else if (!isWhole) this.#again(',
    replace: 'else if (this.#isStopped) this.#again(',
    guard: repair,
  },
  {
    what: 'mesh: copies that are not counted yet are none',
    file: 'src/observability/metrics/metrics.ts',
    find: 'if (labelNames.length === 0) metric.remove()',
    replace: '',
    guard: copies,
  },
  {
    what: 'mesh: a repair that is asked for begins on one node alone',
    file: 'src/mesh/standing/care.ts',
    find: 'const answer = ask.ask(other, standingPaths.repair, {}, Nothing, shortMs)',
    replace: 'const answer = ask.ask(other, standingPaths.standing, {}, StandingAnswer, shortMs)',
    guard: vitest('unit', 'test/unit/mesh/standing/care.test.ts'),
  },
]
