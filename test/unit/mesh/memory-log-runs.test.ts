/** @module Runs of several nodes over the log in memory: a seed decides everything that they see. */
import { expect, test } from 'vitest'
import { openMemoryLog } from '../../support/mesh/open-memory-log.ts'

const FAULTS = {
  loseRequest: 0.1,
  loseReply: 0.1,
  late: 0.1,
  repeat: 0.05,
  split: 0.3,
  stuck: 0.02,
}

/** Three nodes append and follow under every fault, one truncates; the trace has all that they see. */
async function trace(seed: number): Promise<string> {
  const { time, log, rest } = openMemoryLog(seed, FAULTS)
  for (const name of ['x', 'y', 'z']) {
    const handle = log.client(time.boot(name))
    handle.follow(
      { index: 0, token: '' },
      {
        onEntries: (entries) => time.note(`${name} has ${entries.at(-1)!.index}`),
        onCut: () => time.note(`${name} is cut`),
      },
    )
    const work = async (): Promise<void> => {
      for (let at = 0; at < 100; at += 1) {
        const call =
          at === 0 ? handle.create(Buffer.from(name)) : handle.append(Buffer.from(`${at}`))
        const outcome = await call.then(String, (error: Error) => error.message)
        time.note(`${name} ${at} ${outcome}`)
        if (at === 50 && name === 'x')
          await handle.truncate(log.entries[40]!).catch(() => undefined)
      }
    }
    void work()
  }
  for (let times = 0; times < 20; times += 1) await rest()
  expect(log.last).toBeGreaterThan(200)
  return time.traceHash()
}

test('the same seed gives the same run, and another seed another', async () => {
  const hashes = new Set<string>()
  for (let seed = 0; seed < 10; seed += 1) {
    const hash = await trace(seed)
    expect(await trace(seed)).toBe(hash)
    hashes.add(hash)
  }
  expect(hashes.size).toBe(10)
})
