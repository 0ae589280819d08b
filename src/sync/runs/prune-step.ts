/**
 * @module What a run has seen, handed to the prune at its end. It is kept only where the source prunes.
 */

import type { SyncSourceConfig } from '../../config/config.ts'
import type { Logger } from '../../observability/logger.ts'
import type { RepositoryName } from '../../registry/name.ts'
import type { SyncJournal } from '../journal.ts'
import type { SeenRepository } from '../prune/pass.ts'
import type { Prune } from '../prune/prune.ts'
import { mapName } from '../selection/names.ts'
import type { PruneStep, RepositoryPass, RunFacts } from './parts.ts'

export interface PruneRunParts {
  readonly prune: Prune
  readonly config: SyncSourceConfig
  readonly fingerprint: string
  readonly journal: SyncJournal
  readonly logger: Logger
}

export class PruneRun implements PruneStep {
  readonly #parts: PruneRunParts
  readonly #seen = new Map<string, SeenRepository>()

  constructor(parts: PruneRunParts) {
    this.#parts = parts
  }

  begin(): void {
    this.#seen.clear()
  }

  afterRepository({ repository, local, listed, selected }: RepositoryPass): void {
    this.#seen.set(repository, { repository, local, listing: { listed, selected } })
  }

  afterMissing(repository: string, local: RepositoryName): void {
    this.#seen.set(repository, { repository, local, listing: 'missing' })
  }

  async afterFullPass({ repositories, isPlanOnly, signal }: RunFacts): Promise<number> {
    const { prune, config, fingerprint, journal, logger } = this.#parts
    const { counts, message } = await prune.afterFullPass({
      source: config,
      repositories: this.#all(repositories),
      isProbeOk: true,
      isCancelled: signal.aborted,
      isListComplete: true,
      isFingerprintUnchanged: journal.state(config.name)?.listedFingerprint === fingerprint,
      plansOnly: isPlanOnly,
      signal,
    })
    this.#seen.clear()
    if (message !== undefined) logger.info({ sync: config.name }, message)
    return counts.deleted + counts.attached
  }

  /** A repository that was not looked at, because nothing has changed there, is not known to lack anything. */
  *#all(repositories: ReadonlySet<string>): Generator<SeenRepository> {
    for (const repository of repositories) {
      const seen = this.#seen.get(repository)
      if (seen !== undefined) {
        yield seen
        continue
      }
      const mapped = mapName(this.#parts.config, repository)
      if (mapped.kind === 'local') yield { repository, local: mapped.name, listing: 'unknown' }
    }
  }
}
