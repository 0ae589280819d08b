/** @module What pushes, deletes and mounts share, for tests that need no server around them. */
import { Protection } from '../../src/distribution/protection.ts'
import type { PushParts } from '../../src/distribution/push-manifest.ts'
import { TagLocks } from '../../src/distribution/tag-locks.ts'
import { readManifest } from '../../src/distribution/worker/read-manifest.ts'
import { openGate } from '../../src/signing/gate.ts'

/** Fresh ones: make them once and hand them to everything that works on the same store. */
export function repositoryParts(): PushParts {
  return {
    tagLocks: new TagLocks(),
    protection: new Protection(),
    readBlob: async () => undefined,
    readManifest,
    gate: openGate,
  }
}
