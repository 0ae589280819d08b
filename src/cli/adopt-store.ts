/**
 * @module Adoption: every file below `blobs/` that has no row is hashed; where the content is what
 * the name says the blob gets its row, all others go to `trash/quarantine`. The same walk and the
 * same decisions as reconciliation, over everything and without rests.
 */
import type { Config } from '../config/config.ts'
import { linkBlob } from '../metadata/edits.ts'
import type { Digest } from '../registry/digest.ts'
import type { RepositoryName } from '../registry/name.ts'
import { systemClock } from '../runtime/clock.ts'
import { openStorage } from '../storage/open.ts'
import { runWalk } from '../storage/reconcile.ts'
import { type ReconcileCounts, ReconcileDecisions } from '../storage/reconcile-decisions.ts'

/**
 * Adopts the blobs of a store that nobody serves; throws when somebody does. With `repository` each
 * adopted blob is linked there, so that manifests can be pushed again and blobs mounted at once;
 * without it they wait for a push, and collection may take them.
 */
export async function adoptStore(
  { storage: settings }: Config,
  repository: RepositoryName | undefined,
  onProblem: (line: string) => void,
): Promise<ReconcileCounts> {
  const clock = systemClock
  const storage = await openStorage({
    path: settings.path,
    cacheBytes: 0,
    durability: settings.durability,
    reader: 'file',
    ingestThreads: 1,
    clock,
    reserveBytes: 0,
    onQuarantined: (digest, reason) => onProblem(`${digest}: ${reason}`),
  })
  const onAdopt = (digest: Digest) =>
    repository === undefined ? [] : linkBlob(repository, digest, clock.now())
  try {
    const decisions = new ReconcileDecisions({
      ...storage,
      sessions: { whenIdle: async () => undefined },
      clock,
      startedAt: clock.now(),
      log: {
        info: () => undefined,
        warn: (fields, message) => onProblem(`${message}: ${JSON.stringify(fields)}`),
      },
      onAdopt,
    })
    await runWalk(
      {
        storagePath: storage.paths.root,
        checksUploads: false,
        blobsSince: 0,
        checksRows: true,
        isPaced: false,
      },
      decisions,
    )
    return decisions.counts
  } finally {
    await storage.close()
  }
}
