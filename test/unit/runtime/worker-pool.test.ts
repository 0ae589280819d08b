/** @module When a pool ends its threads: never while they load. */
import { Piscina } from 'piscina'
import { expect, onTestFinished, test, vi } from 'vitest'
import { WorkerPool } from '../../../src/runtime/worker-pool.ts'

test('a pool that is closed at once ends its threads only when all have loaded', async () => {
  const emit = vi.spyOn(Piscina.prototype, 'emit')
  const destroy = vi.spyOn(Piscina.prototype, 'destroy')
  onTestFinished(() => {
    emit.mockRestore()
    destroy.mockRestore()
  })
  await new WorkerPool({ worker: 'manifest', threads: 3, tasksPerThread: 1 }).close()
  const [endedAt] = destroy.mock.invocationCallOrder
  const loaded = emit.mock.calls.filter(
    ([event], index) => event === 'message' && emit.mock.invocationCallOrder[index]! < endedAt!,
  )
  expect(loaded).toHaveLength(3)
})
