/** @module Pools of threads: they end none while it loads, and a thread carries many long tasks. */
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

test('as many long tasks as allowed share a thread', async () => {
  const pool = new WorkerPool({ worker: 'manifest', threads: 1, tasksPerThread: 3 })
  const tasks = [pool.start({}), pool.start({}), pool.start({})]
  expect(pool.hasRoom).toBe(false)
  await Promise.all(
    tasks.map(({ port }) => {
      const answered = new Promise((resolve) => port.once('message', resolve))
      port.postMessage({ id: 1, text: { bytes: Buffer.from('{}') } })
      return answered
    }),
  )
  for (const { port } of tasks) port.close()
  await Promise.all(tasks.map(({ ended }) => ended))
  await pool.close()
})
