/**
 * @module The thread that waits for the disk so that the event loop does not.
 */
import type { PagerSetup } from '../src/blobs/files/worker/messages.ts'
import { answerPages } from '../src/blobs/files/worker/pager.ts'
import { announceLoaded } from '../src/runtime/worker-thread.ts'

announceLoaded()

export default function page(setup: PagerSetup): Promise<void> {
  return answerPages(setup)
}
