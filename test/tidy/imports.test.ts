/**
 * @module Rules of what may load what, over all imports of the source tree together: circles, and
 * what a worker thread loads.
 */
import { expect, test } from 'vitest'
import { findCycle, loadedBy, readSourceFiles } from '../support/source-tree.ts'

const files = readSourceFiles('src', 'workers')

test('there are no cycles, of types neither', () => {
  expect(findCycle(files), 'a cycle has no reading order').toBeUndefined()
})

/** What a worker may load, by itself or through what it loads: nothing that needs the main thread. */
const WORKERS_MAY_LOAD = [
  /^workers\//,
  // The domain, and seams such as clock, random and file system.
  /^src\/(registry|runtime)\//,
  // Rows: the environment of LMDB, the tables, transactions as data.
  /^src\/metadata\//,
  // Bytes: the words of the port and the driver on files.
  /^src\/blobs\/((port|driver)\.ts$|files\/)/,
  // What may go and how it goes is decided on the collection's thread.
  /^src\/gc\/(mark|plan|sweep)\//,
  // The worker's side of a part.
  /^src\/[a-z/]+\/worker\//,
  // What strangers have signed is read and verified on a thread of its own.
  /^src\/signing\/(formats|keys|keyless|notation|verdicts)\//,
  // Passwords are compared on a thread of their own.
  /^src\/auth\/bcrypt\.ts$/,
]

test('workers load pure code only', () => {
  const entries = files.filter(({ path }) => path.startsWith('workers/'))
  expect(entries.length).toBeGreaterThan(5)
  const found = entries.flatMap(({ path }) =>
    [...loadedBy(path, files)]
      .filter(([target]) => !WORKERS_MAY_LOAD.some((allowed) => allowed.test(target)))
      .map(([target, by]) => `${path} loads ${target}, which ${by} imports`),
  )
  expect(found, 'a worker is message in, pure function, message out').toEqual([])
})

test('the entry of a worker is short', () => {
  const long = files
    .filter(({ path, lines }) => path.startsWith('workers/') && lines > 25)
    .map(({ path, lines }) => `${path}: ${lines} lines`)
  expect(long, 'the code of a worker is in a folder worker/ of its owner').toEqual([])
})
