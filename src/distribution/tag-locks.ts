/**
 * @module One at a time on a tag, and on a manifest. A push needs no lock for itself: its tags move by what
 * they are in the writer. Deletes and undeletes rest on what they read. A delete of a tag would lose every
 * attempt while many clients push it. A delete of a manifest takes the tags that it saw: a push may not add
 * one meanwhile.
 */
import type { Digest } from '../registry/digest.ts'
import type { RepositoryName } from '../registry/name.ts'
import type { Tag } from '../registry/tag.ts'
import { KeyedLock } from '../runtime/keyed-lock.ts'

export class TagLocks {
  readonly #locks = new KeyedLock()

  /** Runs `work` when nobody else is at any of these. Taken in one order, so never in a circle. */
  run<T>(
    repository: RepositoryName,
    references: readonly (Tag | Digest)[],
    work: () => Promise<T>,
  ): Promise<T> {
    const keys = [...new Set(references)].sort().map((it) => `${repository}/${it}`)
    const takeFrom = (index: number): Promise<T> =>
      index === keys.length ? work() : this.#locks.run(keys[index]!, () => takeFrom(index + 1))
    return takeFrom(0)
  }
}
