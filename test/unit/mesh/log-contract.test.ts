/** @module The log in memory keeps the promises of the port, whatever goes wrong between it and a node. */
import { describeLog } from '../../support/mesh/log-contract.ts'
import { openMemoryLog } from '../../support/mesh/open-memory-log.ts'

describeLog('in memory, at once', () =>
  Promise.resolve(openMemoryLog(1, { requestMs: 0, replyMs: 0, deliveryMs: 0 })),
)

describeLog('in memory, slow and in pieces', () =>
  Promise.resolve(
    openMemoryLog(2, { requestMs: 20, replyMs: 50, deliveryMs: 100, split: 0.5, stuck: 0.1 }),
  ),
)

for (const seed of [3, 4, 5]) {
  const faults = {
    loseRequest: 0.1,
    loseReply: 0.1,
    late: 0.1,
    repeat: 0.05,
    split: 0.3,
    stuck: 0.05,
  }
  describeLog(
    `in memory, with every fault, seed ${seed}`,
    () => Promise.resolve(openMemoryLog(seed, faults)),
    {
      isFaulty: true,
    },
  )
}
