/**
 * @module Uploads that arrive: several of their tasks run on one thread at a time.
 */
import { ingest } from '../src/blobs/files/worker/ingest.ts'
import type { IngestSetup } from '../src/blobs/files/worker/messages.ts'
import { lowerPriority } from '../src/runtime/priority.ts'
import { announceLoaded } from '../src/runtime/worker-thread.ts'

/**
 * Hashing keeps a core busy. The thread that answers requests and feeds this one must not wait for
 * that. Where cores are free it changes nothing.
 */
lowerPriority(5)

announceLoaded()

export default function run(setup: IngestSetup): Promise<void> {
  return ingest(setup)
}
