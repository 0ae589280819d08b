/** @module The settings of synchronisation as they are read once it is built: sources are no longer refused. */
import { ROWS } from '../../src/config/schema.ts'

/** For the process of the test file that calls it. */
export function allowSync(): void {
  for (const key of ['sync.sources', 'sync.concurrency']) {
    delete (ROWS[key] as { notYet?: unknown }).notYet
  }
}
