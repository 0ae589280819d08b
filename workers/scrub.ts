/**
 * @module The thread that reads everything stored and compares it with its digest.
 */
import { announceLoaded } from '../src/runtime/worker-thread.ts'
import type { ScrubSetup } from '../src/storage/worker/messages.ts'
import { scrub } from '../src/storage/worker/scrub-task.ts'

announceLoaded()

export default function run(setup: ScrubSetup): Promise<void> {
  return scrub(setup)
}
