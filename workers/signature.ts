/**
 * @module The thread that reads and verifies signatures, one image after the other, at a lower priority than
 * the rest of the process: what strangers attach may be long and hard to read.
 */
import { lowerPriority } from '../src/runtime/priority.ts'
import { announceLoaded } from '../src/runtime/worker-thread.ts'
import type { ExamineRequest, SignatureSetup } from '../src/signing/worker/messages.ts'
import { answer } from '../src/signing/worker/task.ts'

announceLoaded()

export default function examineSignatures({ port }: SignatureSetup) {
  lowerPriority()
  port.on('message', async (request: ExamineRequest) => port.postMessage(await answer(request)))
  return new Promise<void>((resolve) => port.on('close', resolve))
}
