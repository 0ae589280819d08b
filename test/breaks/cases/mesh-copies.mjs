/** @module The breaks of how copies stand on the nodes of a mesh: what is counted, made good first, and released. */
import { vitest } from '../breaks.mjs'

const repair = vitest('unit', 'test/unit/mesh/blobs/repair.test.ts')
const copies = vitest('mesh', 'test/mesh/copies.test.ts')

export const BREAKS = [
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
    find: 'if (known === undefined || known.of !== this.#membersNow()) return undefined',
    replace: 'if (known === undefined) return undefined',
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
    guard: copies,
  },
]
