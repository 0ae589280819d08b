/** @module The breaks of the copies that members of a mesh promise to keep. */
import { vitest } from '../breaks.mjs'

const simulation = vitest('unit', 'test/unit/mesh/pins-simulation.test.ts')

export const BREAKS = [
  {
    what: 'mesh: a row comes without a look at the copies that it counts on',
    file: 'src/metadata/apply/change.ts',
    find: 'return isHeld(rows, check)',
    replace: 'return isHeld(rows, check) || true',
    guard: simulation,
  },
  {
    what: 'mesh: a pin ends by time, with no word in the log',
    file: 'src/mesh/pins.ts',
    find: 'if (madeAt <= dueAt && due.length < revokedMax) due.push(pin)',
    replace: 'if (madeAt <= dueAt) this.#end(pin, false)',
    guard: simulation,
  },
  {
    what: 'mesh: a file goes before the revocation of its pin is in the log',
    file: 'src/mesh/pins.ts',
    find: "submit([{ control: 'revoke', pins: due, below }], () => {",
    replace:
      "for (const pin of due) this.#end(pin, false)\n    submit([{ control: 'revoke', pins: due, below }], () => {",
    guard: simulation,
  },
  {
    what: 'mesh: a pin of an earlier run counts',
    file: 'src/metadata/apply/held.ts',
    find: 'if (session === undefined || session.boot !== boot) return false',
    replace: 'if (session === undefined) return false',
    guard: simulation,
  },
  {
    what: 'mesh: a pin that was revoked counts',
    file: 'src/metadata/apply/held.ts',
    find: 'return pin >= below && !pins.includes(pin)',
    replace: 'return pin > 0 || (below > 0 && pins.length > 0)',
    guard: simulation,
  },
  {
    what: 'mesh: a file goes with its row although an upload rests on it',
    file: 'src/mesh/copies.ts',
    find: 'return this.#pins.isPinned(digest)',
    replace: 'return false',
    guard: simulation,
  },
  {
    what: 'mesh: a file goes although its row is here',
    file: 'src/mesh/copies.ts',
    find: 'if (this.#parts.hasRow(digest)) return true',
    replace: '',
    guard: simulation,
  },
  {
    what: 'mesh: files without rows go before the own run has come in',
    file: 'src/mesh/copies.ts',
    find: 'await this.#isIn',
    replace: '',
    guard: simulation,
  },
  {
    what: 'mesh: the first pin of a digest that ends takes the others with it',
    file: 'src/mesh/pins.ts',
    find: 'all?.delete(pin)',
    replace: 'all?.clear()',
    guard: simulation,
  },
  {
    what: 'mesh: a pin is named again after an outcome that is not known',
    file: 'test/support/mesh/pin-mesh.ts',
    find: 'copies = await this.#pinMore(node, digest, before)',
    replace: "if (outcome !== 'unknown') copies = await this.#pinMore(node, digest, before)",
    guard: vitest('unit', 'test/unit/mesh/pins-simulation.test.ts', { MESH_SEEDS: '100' }),
  },
  {
    what: 'mesh: a copy in place is promised before it is flushed',
    file: 'src/mesh/copies.ts',
    find: 'return (await this.#parts.files.confirm(digest)) ? this.#pins.make(digest) : undefined',
    replace: 'return this.#pins.make(digest)',
    guard: simulation,
  },
  {
    what: 'mesh: files are removed beside the lock of their digest',
    file: 'src/mesh/copies.ts',
    find: 'await this.#parts.locks.run(digest, async () => {',
    replace: "await this.#parts.locks.run('', async () => {",
    guard: simulation,
  },
  {
    what: 'mesh: two copies of one member count as two',
    file: 'src/metadata/apply/held.ts',
    find: 'return members.size >= atLeast',
    replace: 'return copies.length >= atLeast',
    guard: vitest('unit', 'test/unit/metadata/held.test.ts'),
  },
]
