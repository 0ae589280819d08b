/** @module The breaks of the driver of blobs: bin, inventory, and who may know where bytes are. */
import { vitest } from '../breaks.mjs'

const suite = vitest('unit', 'test/ports/blobs.test.ts')
const owners = vitest('tidy', 'test/tidy/owners.test.ts')

export const BREAKS = [
  {
    what: 'a trashed file of another size comes back',
    file: 'src/blobs/files/bin.ts',
    find: 'if (inTrash?.size === sizeBytes) {',
    replace: 'if (inTrash !== undefined) {',
    guard: suite,
  },
  {
    what: 'a purge of the trash removes what is in service',
    file: 'src/blobs/files/bin.ts',
    find: 'if (inPlace) await disk.unlink',
    replace: 'await disk.unlink',
    guard: suite,
  },
  {
    what: 'a file that could not be moved counts as trashed',
    file: 'src/blobs/files/bin.ts',
    find: 'failed.push(digest)',
    replace: 'if (digest.length === 0) failed.push(digest)',
    guard: suite,
  },
  {
    what: 'a list begins at its start again',
    file: 'src/blobs/files/inventory.ts',
    find: 'else if (parsed.value > after) digests',
    replace: 'else digests',
    guard: suite,
  },
  {
    what: 'an object that took the place of another is taken for it',
    file: 'src/storage/reconcile-decisions.ts',
    find: 'if (now?.version !== object.version) return',
    replace: 'if (now === undefined) return',
    guard: vitest('unit', 'test/unit/storage/reconcile.test.ts'),
  },
  {
    what: 'a damaged blob stays in service',
    file: 'src/blobs/store.ts',
    find: 'await this.#quarantine.isolate(digest, row, String(error))',
    replace: 'await Promise.resolve([digest, row, String(error)])',
    guard: vitest('unit', 'test/unit/blobs/store.test.ts'),
  },
  {
    what: 'a part above the driver knows the layout of its files',
    file: 'src/storage/backup.ts',
    find: "import { hasObject, openInventory } from '../blobs/driver.ts'",
    replace:
      "import { hasObject, openInventory } from '../blobs/driver.ts'\nimport '../blobs/files/layout.ts'",
    guard: owners,
  },
  {
    what: 'a part above the store asks where the bytes of a blob are',
    file: 'src/storage/backup.ts',
    find: 'if (hasObject(row)) yield',
    replace: "if (row.place === 'file' && hasObject(row)) yield",
    guard: owners,
  },
  {
    what: 'a walk that misses a stop in its first moments',
    file: 'src/storage/worker/reconcile-task.ts',
    find: "  port.on('close', () => {",
    replace: "  await openInventory(setup.driver)\n  port.on('close', () => {",
    guard: vitest('unit', 'test/unit/storage/reconcile-task.test.ts'),
  },
  {
    what: 'a small blob that is read whole stands behind slow pulls',
    file: 'src/blobs/files/plain-reader.ts',
    find: 'return readWholeFile(blobPath(this.#paths, digest), sizeBytes)',
    replace:
      'return this.#buffers.take().then(() => readWholeFile(blobPath(this.#paths, digest), sizeBytes))',
    guard: vitest('unit', 'test/ports/blobs.test.ts'),
  },
]
