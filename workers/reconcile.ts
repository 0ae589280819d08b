/**
 * @module The thread that compares files with rows after a start.
 */
import { announceLoaded } from '../src/runtime/worker-thread.ts'
import type { ReconcileSetup } from '../src/storage/worker/messages.ts'
import { reconcile } from '../src/storage/worker/reconcile-task.ts'

announceLoaded()

export default function run(setup: ReconcileSetup): Promise<void> {
  return reconcile(setup)
}
