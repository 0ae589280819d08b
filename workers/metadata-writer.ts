/**
 * @module The one thread that writes metadata.
 */
import type { MetadataWriterSetup } from '../src/metadata/lmdb/worker/messages.ts'
import { writeMetadata } from '../src/metadata/lmdb/worker/writer.ts'
import { announceLoaded } from '../src/runtime/worker-thread.ts'

announceLoaded()

export default function write(setup: MetadataWriterSetup): Promise<void> {
  return writeMetadata(setup)
}
