/** What the writer of a node of a mesh is told: which log it is, and how much of it is kept. */
import { expect, test } from 'vitest'
import type { WorkerPool } from '../../../src/runtime/worker-pool.ts'
import { commitsOf, type MeshOfStore } from '../../../src/storage/commits.ts'

test('the settings of the log reach its writer', () => {
  const setups: unknown[] = []
  const writers = {
    start: (setup: unknown) => {
      setups.push(setup)
      throw new Error('not started')
    },
  } as unknown as WorkerPool
  const log = { endpoints: ['127.0.0.1:7948'], cluster: 'm1', compact: false }
  const kept = { keepBytes: 1_048_576, tailBytes: 134_217_728 }
  const mesh = { member: 3, log, kept } as unknown as MeshOfStore
  const start = commitsOf({ path: '/store', durability: 'full', mesh }, writers, '/store/meta', {
    get: () => undefined,
  })
  expect(() => start({} as never)).toThrow('not started')
  expect(setups).toEqual([
    {
      path: '/store/meta',
      log,
      kept,
      member: 3,
      bootFile: '/store/run',
      tail: '/store/tail',
    },
  ])
})
