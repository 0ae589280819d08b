/**
 * @module `fastregistry adopt`: hashes every file below `blobs/` that has no row, such as those of the
 * Go FastRegistry. A blob whose content is what its name says gets its row; other files go to
 * `trash/quarantine`. It is the walk of reconciliation with the same decisions, over everything and
 * without pauses.
 */
import type { Config } from '../../config/config.ts'
import { linkBlob } from '../../metadata/edits.ts'
import type { Digest } from '../../registry/digest.ts'
import { parseRepositoryName, type RepositoryName } from '../../registry/name.ts'
import { systemClock } from '../../runtime/clock.ts'
import { openOffline } from '../../storage/open-offline.ts'
import { runWalk } from '../../storage/reconcile.ts'
import { type ReconcileCounts, ReconcileDecisions } from '../../storage/reconcile-decisions.ts'
import type { RunCommand } from '../command.ts'
import { configOf, Misuse, reportFailure } from '../command-line.ts'
import type { Terminal } from '../terminal.ts'

export const adopt: RunCommand = async (line, terminal) => {
  const text = line.text('repository')
  const name = text === undefined ? undefined : parseRepositoryName(text)
  if (name?.ok === false) {
    throw new Misuse(`--repository: "${text}" is not a name such as team/app`)
  }
  const config = await configOf(line, terminal)
  return reportFailure(terminal, 'cannot adopt', () =>
    adoptAndReport(config, name?.value, terminal),
  )
}

/** Prints what was done. Resolves with the exit code: 0, or 1 when a file could not be read. */
async function adoptAndReport(
  config: Config,
  repository: RepositoryName | undefined,
  { print, printError }: Pick<Terminal, 'print' | 'printError'>,
): Promise<number> {
  const onProblem = (line: string) => printError(`fastregistry: ${line}`)
  const counts = await adoptStore(config, repository, onProblem)
  const place = repository === undefined ? '' : ` into ${repository}`
  print(`adopted ${counts.adopted} blobs${place}`)
  print(`moved ${counts.trashed} files with other content to trash/quarantine`)
  print(`removed ${counts.missing} rows without their file`)
  print(`left ${counts.foreign} files alone that no blob can have`)
  return counts.unreadable === 0 ? 0 : 1
}

/**
 * Adopts the blobs of a store; throws when a server has it open. With `repository` each adopted blob
 * is linked there, so that clients can push manifests again and mount blobs immediately. Without it
 * the blobs wait for a push, and collection may remove them.
 */
async function adoptStore(
  { storage: settings }: Config,
  repository: RepositoryName | undefined,
  onProblem: (line: string) => void,
): Promise<ReconcileCounts> {
  const clock = systemClock
  const storage = await openOffline({
    path: settings.path,
    durability: settings.durability,
    onQuarantined: (digest, reason) => onProblem(`${digest}: ${reason}`),
  })
  const onAdopt = (digest: Digest) =>
    repository === undefined ? [] : linkBlob(repository, digest, clock.now())
  try {
    const decisions = new ReconcileDecisions({
      driver: storage.driver,
      metadata: storage.metadata,
      digestLock: storage.digestLock,
      quarantine: storage.quarantine,
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
        setup: storage.setup,
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
