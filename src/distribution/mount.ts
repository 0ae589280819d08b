/**
 * @module Mounting: a blob of one repository becomes a blob of another without moving a byte
 * (distribution-spec, mounting-a-blob-from-another-repository).
 */

import { linkBlob, recordEvent } from '../metadata/edits.ts'
import type { MetadataStore } from '../metadata/port.ts'
import type { Digest } from '../registry/digest.ts'
import type { RepositoryName } from '../registry/name.ts'
import type { Clock } from '../runtime/clock.ts'

/** Holders looked at for a mount without `from`; beyond that the client uploads instead. */
const holdersLookedAtMax = 64

export class Mounts {
  readonly #metadata: MetadataStore
  readonly #clock: Clock

  constructor(metadata: MetadataStore, clock: Clock) {
    this.#metadata = metadata
    this.#clock = clock
  }

  /**
   * Links `digest` into `repository` when `from` holds it (or, without `from`, when any repository
   * does that `mayPull` allows). False means: open an upload session instead; a failed mount is
   * never an error. Durable when it resolves to true.
   */
  async mount(
    repository: RepositoryName,
    digest: Digest,
    from: RepositoryName | undefined,
    mayPull: (repository: RepositoryName) => boolean,
    by = 'client',
  ): Promise<boolean> {
    const source = from === undefined ? this.holderOf(digest, mayPull) : from
    if (source === undefined || !mayPull(source)) return false
    const now = this.#clock.now()
    // The source must still hold it and the row must still be there when the link is written:
    // a delete or a collection that came first turns this into an ordinary upload.
    const outcome = await this.#metadata.commit({
      checks: [{ check: 'present', in: 'links', key: [source, digest] }],
      changes: [
        { change: 'raise', in: 'blobs', key: digest, at: now },
        ...linkBlob(repository, digest, now),
        recordEvent({ at: now, action: 'mount', repository, by, digest, from: source }),
      ],
    })
    return outcome.applied
  }

  /** A repository that holds the blob, of those that `mayPull` allows. */
  holderOf(
    digest: Digest,
    mayPull: (repository: RepositoryName) => boolean,
  ): RepositoryName | undefined {
    const holders = this.#metadata.keys('holders', [digest], undefined, holdersLookedAtMax)
    return holders.map(([, repository]) => repository).find(mayPull)
  }
}
