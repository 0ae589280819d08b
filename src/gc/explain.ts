/**
 * @module Why a tag, a manifest or a whole repository stays or goes, and when: the very marking that
 * a run does, on one repository, asked in the main thread.
 */
import type { CleanupConfig } from '../config/config-cleanup.ts'
import type { RepositoryName } from '../registry/name.ts'
import type { MetadataReader } from '../storage/ports.ts'
import type { DatabaseName, Databases } from '../storage/schema.ts'
import { type MarkedRepository, markRepository } from './mark-repository.ts'
import type { Entry, Rows } from './rows.ts'
import { compileRules, type RuleSet } from './rules.ts'

/** Tags and manifests of a repository that is explained at once; larger ones only by a plan. */
export const explainedRowsMax = 20_000

export class Explain {
  readonly #metadata: MetadataReader
  readonly #rules: RuleSet

  constructor(metadata: MetadataReader, config: CleanupConfig) {
    this.#metadata = metadata
    this.#rules = compileRules(config)
  }

  /** Undefined when the repository is too large to be marked in one turn. */
  repository(name: RepositoryName, now: number): MarkedRepository | undefined {
    const metadata = this.#metadata
    for (const database of ['tags', 'manifests'] as const) {
      const count = metadata.keys(database, [name], undefined, explainedRowsMax + 1).length
      if (count > explainedRowsMax) return undefined
    }
    return markRepository(new StoreRows(metadata), name, {
      rules: this.#rules,
      now,
      pinsOf: (digest) =>
        metadata.entries('pins', [digest], undefined, 1_000).map(({ row }) => row),
      mayDelete: () => true,
    })
  }
}

class StoreRows implements Rows {
  readonly #metadata: MetadataReader

  constructor(metadata: MetadataReader) {
    this.#metadata = metadata
  }

  get<N extends DatabaseName>(database: N, key: Databases[N]['key']) {
    return this.#metadata.get(database, key)
  }

  below<N extends DatabaseName>(database: N, prefix: readonly string[]): Iterable<Entry<N>> {
    return this.#metadata.entries(database, prefix, undefined, 1_000_000)
  }

  keysBelow<N extends DatabaseName>(database: N, prefix: readonly string[]) {
    return this.#metadata.keys(database, prefix, undefined, 1_000_000)
  }
}
