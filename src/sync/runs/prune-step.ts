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
    const isFingerprintUnchanged = journal.state(config.name)?.listedFingerprint === fingerprint
    // Nothing was listed to its end, and nothing is missing: what waits goes on to wait.
    const isNews = this.#seen.size > 0 || isPlanOnly || !isFingerprintUnchanged
    if (!isNews && !(await this.#isAnyUnlisted(repositories))) return 0
    const { counts, message } = await prune.afterFullPass({
      source: config,
      repositories: this.#all(repositories),
      isProbeOk: true,
      isCancelled: signal.aborted,
      isListComplete: true,
      isFingerprintUnchanged,
      plansOnly: isPlanOnly,
      signal,
    })
    this.#seen.clear()
    if (message !== undefined) logger.info({ sync: config.name }, message)
    return counts.deleted + counts.attached
  }

  async afterDeletions(
    tags: Iterable<{ readonly repository: string; readonly tag: string }>,
    signal: AbortSignal,
  ): Promise<{ readonly deleted: number; readonly unknown: number }> {
    const { prune, config } = this.#parts
    const { deleted, attached, unknown } = await prune.afterDeletions(config, tags, signal)
    return { deleted: deleted + attached, unknown }
  }

  end(): void {
    this.#seen.clear()
  }

  /** Whether the list lacks some of which no plan waits. */
  async #isAnyUnlisted(repositories: ReadonlySet<string>): Promise<boolean> {
    const { journal, config, prune } = this.#parts
    const waiting = prune.plans.repositoriesOf(config.name)
    for await (const { repository } of journal.repositories(config.name)) {
      if (!repositories.has(repository) && !waiting.has(repository)) return true
    }
    return false
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
