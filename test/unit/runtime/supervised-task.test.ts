/**
 * @module A supervised task comes back when it dies, and says what was lost.
 */
import { MessageChannel, type MessagePort } from 'node:worker_threads'
import { expect, onTestFinished, test } from 'vitest'
import { SupervisedTask } from '../../../src/runtime/supervised-task.ts'
import type { LongTask } from '../../../src/runtime/worker-pool.ts'

/** A "worker" in this thread: answers every request with its double until it is killed. */
function makeWorkers() {
  const far: MessagePort[] = []
  const kills: ((error: Error) => void)[] = []
  const start = (): LongTask => {
    const { port1, port2 } = new MessageChannel()
    port2.on('message', (value: number) => port2.postMessage(value * 2))
    far.push(port2)
    onTestFinished(() => port2.close())
    const ended = new Promise<void>((resolve, reject) => {
      kills.push(reject)
      port2.on('close', () => resolve())
    })
    return { port: port1, ended }
  }
  return { start, kills }
}

test('answers come back, and after a death from a new worker', async () => {
  const { start, kills } = makeWorkers()
  const replies: number[] = []
  const downs: string[] = []
  let wake = () => {}
  const next = () => new Promise<void>((resolve) => (wake = resolve))
  const task = new SupervisedTask<number, number>(start, {
    onReply: (reply) => {
      replies.push(reply)
      wake()
    },
    onDown: (error) => {
      downs.push(error.message)
      wake()
    },
  })
  let told = next()
  expect(task.post(21)).toBe(true)
  await told
  told = next()
  kills[0]!(new Error('out of memory'))
  await told
  expect(downs).toEqual(['worker died: Error: out of memory'])
  expect(task.isUp).toBe(false)
  expect(task.post(1)).toBe(false)
  while (!task.isUp) await new Promise((resolve) => setTimeout(resolve, 5))
  told = next()
  expect(task.post(4)).toBe(true)
  await told
  expect(replies).toEqual([42, 8])
  await task.close()
  expect(task.isUp).toBe(false)
})

test('a task that was closed does not come back', async () => {
  const { start, kills } = makeWorkers()
  const task = new SupervisedTask<number, number>(start, {
    onReply: () => {},
    onDown: () => expect.unreachable('closing is no death'),
  })
  await task.close()
  expect(kills.length).toBe(1)
})
