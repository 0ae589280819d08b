/**
 * @module The thread that reads everything stored and compares it with its digest. It tells what
 * it found and how far it is; it ends at the end of the walk or when it is told to stop.
 */
import { openInventory } from '../../blobs/driver.ts'
import { LmdbEnvironment } from '../../metadata/lmdb/environment.ts'
import { toWorkerFailure } from '../../runtime/worker-failure.ts'
import type { ScrubReply, ScrubSetup } from './messages.ts'
import { Pace, walkEverything } from './scrub-walk.ts'

/** Progress is told this often, ms. */
const progressEveryMs = 500

export async function scrub({
  port,
  setup,
  bytesPerSecond,
  after,
  isShared,
}: ScrubSetup): Promise<void> {
  const inventory = await openInventory(setup.driver)
  const metadata = new LmdbEnvironment(setup.metadata, false)
  const reply = (message: ScrubReply) => port.postMessage(message)
  let isStopped = false
  let told = performance.now()
  let cursor = after
  let bytes = 0
  let entries = 0
  const tell = () => {
    if (cursor !== undefined) reply({ kind: 'progress', cursor, bytes, entries })
    bytes = 0
    entries = 0
    told = performance.now()
  }
  const released = new Promise<void>((resolve) => {
    port.on('message', () => {
      isStopped = true
    })
    port.on('close', () => {
      isStopped = true
      resolve()
    })
  })
  try {
    await walkEverything(metadata, inventory, new Pace(bytesPerSecond, () => isStopped), after, {
      isStopped: () => isStopped,
      isShared: isShared === true,
      onFinding: (finding) => reply({ kind: 'finding', finding }),
      onProgress: (at, count) => {
        cursor = at
        bytes += count
        entries += 1
        if (performance.now() - told >= progressEveryMs) tell()
      },
    })
    tell()
    reply({ kind: 'ended', isComplete: !isStopped, failure: undefined })
  } catch (error) {
    tell()
    reply({ kind: 'ended', isComplete: false, failure: toWorkerFailure(error) })
  }
  // The last answer and the end of the task travel on different channels: wait to be let go.
  await released
  await metadata.close()
}
