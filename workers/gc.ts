/**
 * @module The collection's thread: walks indexes and says what would go, away from the event loop.
 */
import type { GcSetup } from '../src/gc/worker/messages.ts'
import { runTask } from '../src/gc/worker/task.ts'
import { announceLoaded } from '../src/runtime/worker-thread.ts'

announceLoaded()

export default function collect(setup: GcSetup): Promise<void> {
  return runTask(setup)
}
