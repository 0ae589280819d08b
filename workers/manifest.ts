/**
 * @module The thread that hashes and parses large manifests, one after the other, at a lower priority
 * than the rest of the process: 4 MiB that are hard to read must not slow pulls.
 */
import {
  judgeManifest,
  type ManifestReply,
  type ManifestRequest,
  type ManifestSetup,
} from '../src/distribution/worker/read-manifest.ts'
import { loadLibc } from '../src/runtime/libc.ts'
import { lowerPriority } from '../src/runtime/priority.ts'
import { announceLoaded } from '../src/runtime/worker-thread.ts'

announceLoaded()

export default function readManifests({ port }: ManifestSetup) {
  lowerPriority()
  const libc = loadLibc()
  if (!('unavailable' in libc)) libc.runWhereIdle()
  port.on('message', ({ id, text }: ManifestRequest) => {
    port.postMessage({ id, verdict: judgeManifest(text) } satisfies ManifestReply)
  })
  return new Promise<void>((resolve) => port.on('close', resolve))
}
