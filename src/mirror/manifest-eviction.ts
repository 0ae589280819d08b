/**
 * @module Mirrored manifests that nobody wants any more. They are small, so they are not weighed: when
 * blobs had to go to make room, the manifests that were last used before the youngest of those go as
 * well, with the tags that point at them. What is asked for afterwards comes from upstream again.
 */

import type { Deletes } from '../distribution/delete.ts'
import type { MetadataStore } from '../metadata/port.ts'
import { inTurns, keyPages, listAll } from '../metadata/scan.ts'
import type { ManifestRow } from '../metadata/schema.ts'
import type { Digest } from '../registry/digest.ts'
import { parseRepositoryName, type RepositoryName } from '../registry/name.ts'
import type { Mirror } from './mirror.ts'

/** Used within this time they stay, whatever goes, ms: a pull of the image may be under way. */
export const manifestsKeptMs = 3_600_000

export interface ManifestEvictionParts {
  readonly metadata: MetadataStore
  readonly clock: { now(): number }
  /** Must allow deleting, whatever clients may do. */
  readonly deletes: Deletes
}

export class ManifestEviction {
  readonly #parts: ManifestEvictionParts
  #isStopped = false

  constructor(parts: ManifestEvictionParts) {
    this.#parts = parts
  }

  stop(): void {
    this.#isStopped = true
  }

  /** Removes those last used before `horizon` (ms since the epoch); how many. */
  async evict(mirror: Mirror, horizon: number): Promise<number> {
    const before = Math.min(horizon, this.#parts.clock.now() - manifestsKeptMs)
    let evicted = 0
    for await (const repository of this.repositories(mirror)) {
      if (mirror.isPinned(repository)) continue
      for await (const { digest, row } of this.#manifests(repository)) {
        if (this.#usedAt(repository, digest, row) >= before) continue
        if (await this.#remove(mirror, repository, digest)) evicted += 1
      }
    }
    return evicted
  }

  /** Every repository of the mirror that is stored. */
  async *repositories(mirror: Mirror): AsyncGenerator<RepositoryName> {
    const prefix = `${mirror.name}/`
    for await (const names of keyPages(this.#parts.metadata, 'repositories', [], prefix)) {
      for (const name of names) {
        if (this.#isStopped || !name.startsWith(prefix)) return
        const parsed = parseRepositoryName(name)
        if (parsed.ok) yield parsed.value
      }
    }
  }

  async *#manifests(
    repository: RepositoryName,
  ): AsyncGenerator<{ digest: Digest; row: ManifestRow }> {
    for await (const { key, row } of inTurns(this.#parts.metadata, 'manifests', [repository])) {
      if (this.#isStopped) return
      yield { digest: key[1], row }
    }
  }

  #usedAt(repository: RepositoryName, digest: Digest, row: ManifestRow): number {
    const pulledAt = this.#parts.metadata.get('pulls', [repository, digest]) ?? 0
    return Math.max(row.pushedAt, row.reliedAt ?? 0, pulledAt)
  }

  async #remove(mirror: Mirror, repository: RepositoryName, digest: Digest): Promise<boolean> {
    const { metadata, deletes } = this.#parts
    const tags = await listAll(metadata, 'tagsByDigest', [repository, digest])
    const own = tags.filter(
      ([, , tag]) => metadata.get('mirrorTags', [repository, tag])?.digest === digest,
    )
    // Where clients may push, only what upstream is known to have had.
    const isSeen = metadata.get('mirrorSeen', [repository, digest]) !== undefined
    const isFetched = isSeen || (own.length > 0 && own.length === tags.length)
    if (mirror.config.push === 'allow' && !isFetched) return false
    try {
      await deletes.deleteManifest(repository, digest, `mirror ${mirror.name}`)
    } catch {
      // Pinned, immutable, or gone meanwhile.
      return false
    }
    const changes = own.map(([, , tag]) => {
      return { change: 'delete', in: 'mirrorTags', key: [repository, tag] } as const
    })
    if (changes.length > 0) await metadata.commit({ checks: [], changes })
    return true
  }
}
