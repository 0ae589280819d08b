/**
 * @module Keeps the promise that lies in a 200 to HEAD: the client may go on to push something that
 * refers to what it was told is there, so collection must leave it alone for the grace time (invariant 4,
 * docs/clean-up.md). The answer waits until that is on disk; a promise that was written down lately covers the answers that follow (`registry/grace.ts`), so
 * most of them wait for nothing.
 */

import type { MetadataStore } from '../metadata/port.ts'
import type { Transaction } from '../metadata/transaction.ts'
import type { Digest } from '../registry/digest.ts'
import { RegistryError } from '../registry/errors.ts'
import { cutoffMs, slackMs } from '../registry/grace.ts'
import type { RepositoryName } from '../registry/name.ts'
import type { Clock } from '../runtime/clock.ts'

/** Something whose last written promise is known; `reliedAt` belongs to this module. */
export interface Promised {
  reliedAt: number
}

export class HeadPromise {
  readonly #metadata: MetadataStore
  readonly #clock: Clock
  readonly #slackMs: number
  readonly #graceMs: number
  #unwrittenAt = Number.NEGATIVE_INFINITY

  constructor(metadata: MetadataStore, clock: Clock, graceMs: number) {
    this.#metadata = metadata
    this.#clock = clock
    this.#graceMs = graceMs
    this.#slackMs = graceMs === 0 ? Number.POSITIVE_INFINITY : slackMs(graceMs)
  }

  /** Whether a promise was made that could not be written down and still holds. */
  get hasUnwritten(): boolean {
    return this.#clock.monotonic() - this.#unwrittenAt < cutoffMs(this.#graceMs)
  }

  /**
   * Makes a HEAD's promise for a blob. Undefined when it is written already; rejects with
   * BLOB_UNKNOWN when the blob went in this very moment.
   */
  blob(repository: RepositoryName, digest: Digest, it: Promised): Promise<void> | undefined {
    const now = this.#clock.now()
    if (Math.abs(now - it.reliedAt) < this.#slackMs) return undefined
    const transaction: Transaction = {
      checks: [{ check: 'present', in: 'links', key: [repository, digest] }],
      changes: [{ change: 'raise', in: 'blobs', key: digest, at: now }],
    }
    return this.#write(transaction, it, now, 'BLOB_UNKNOWN', digest)
  }

  /** The same for a manifest in its repository. */
  manifest(repository: RepositoryName, digest: Digest, it: Promised): Promise<void> | undefined {
    const now = this.#clock.now()
    if (Math.abs(now - it.reliedAt) < this.#slackMs) return undefined
    const transaction: Transaction = {
      checks: [],
      changes: [{ change: 'raise', in: 'manifests', key: [repository, digest], at: now }],
    }
    return this.#write(transaction, it, now, 'MANIFEST_UNKNOWN', digest)
  }

  async #write(
    transaction: Transaction,
    it: Promised,
    now: number,
    unknown: 'BLOB_UNKNOWN' | 'MANIFEST_UNKNOWN',
    digest: Digest,
  ): Promise<void> {
    let isThere = true
    try {
      isThere = (await this.#metadata.commit(transaction)).applied
    } catch {
      // The disk takes no writes: the answer is true all the same, and collection waits instead.
      this.#unwrittenAt = this.#clock.monotonic()
    }
    if (!isThere) throw new RegistryError(unknown, { detail: { digest } })
    it.reliedAt = now
  }
}
