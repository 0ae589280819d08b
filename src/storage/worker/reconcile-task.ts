/**
 * @module The walk that compares files with rows after a start: says what it finds, a bounded number
 * of findings ahead of the answers, and ends when all are settled or its port closes.
 */
import { openInventory } from '../../blobs/driver.ts'
import { LmdbEnvironment } from '../../metadata/lmdb/environment.ts'
import type { ReconcileAnswer, ReconcileProposal, ReconcileSetup } from './messages.ts'
import { walkStore } from './reconcile-walk.ts'

/** Findings that the main thread has not settled yet: together they share one flush. */
const openFindingsMax = 32

export async function reconcile({ port, setup, ...asked }: ReconcileSetup): Promise<void> {
  const rows = new LmdbEnvironment(setup.metadata, false)
  let openFindings = 0
  let isStopped = false
  let wake = () => {}
  port.on('message', (_answer: ReconcileAnswer) => {
    openFindings -= 1
    wake()
  })
  // Before anything is waited for: a port reports its end once, whether or not it is heard.
  port.on('close', () => {
    isStopped = true
    wake()
  })
  const untilOpen = async (count: number) => {
    while (openFindings > count && !isStopped) {
      await new Promise<void>((resolve) => {
        wake = resolve
      })
    }
  }
  try {
    const inventory = await openInventory(setup.driver)
    let id = 0
    const walk = walkStore({ ...asked, inventory, rows, isStopped: () => isStopped })
    for await (const finding of walk) {
      id += 1
      openFindings += 1
      port.postMessage({ id, finding } satisfies ReconcileProposal)
      await untilOpen(openFindingsMax - 1)
      if (isStopped) break
    }
    // The end of the task could overtake the last findings, which travel on the port.
    await untilOpen(0)
  } finally {
    await rows.close()
  }
}
