/** @module The log in memory for the suite of the port, with the time that it lives in. */
import assert from 'node:assert/strict'
import type { OpenLog } from './log-contract.ts'
import type { LogFaults } from './log-faults.ts'
import { MemoryLog } from './memory-log.ts'
import { VirtualTime } from './virtual-time.ts'

/** Longer than any fault lasts, many times over. */
const REST_MS = 60_000

export interface OpenMemoryLog extends OpenLog {
  readonly time: VirtualTime
  readonly log: MemoryLog
}

/** A log in memory for tests; `settle` and `until` run its virtual time. */
export function openMemoryLog(seed: number, faults: Partial<LogFaults> = {}): OpenMemoryLog {
  const time = new VirtualTime(seed)
  const log = new MemoryLog(time, faults)
  let clients = 0
  const until = async (holds: () => boolean): Promise<void> => {
    const end = await time.run({ when: holds, ms: time.now() + 100 * REST_MS })
    assert.equal(end, 'condition', 'it never came')
  }
  return {
    time,
    log,
    client: () => {
      clients += 1
      return Promise.resolve(log.client(time.boot(`node ${clients}`)))
    },
    until,
    rest: async () => {
      await time.run({ ms: time.now() + REST_MS })
    },
    settle: async (promise) => {
      let isSettled = false
      const note = (): void => {
        isSettled = true
      }
      promise.then(note, note)
      await until(() => isSettled)
      return await promise
    },
    close: () => Promise.resolve(),
  }
}
