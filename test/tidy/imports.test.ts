/**
 * @module Rules of what may load what, over all imports of the source tree together: circles.
 */
import { expect, test } from 'vitest'
import { findCycle, readSourceFiles } from '../support/source-tree.ts'

const files = readSourceFiles('src', 'workers')

/** Files whose circles are left. The list only gets shorter. */
const CIRCLES_LEFT = [
  // A command is given its command line, which names the command: types of one thought in two files.
  'src/cli/command.ts',
]

test('there are no cycles, of types neither', () => {
  const judged = files.filter(({ path }) => !CIRCLES_LEFT.includes(path))
  expect(findCycle(judged), 'a cycle has no reading order').toBeUndefined()
})
