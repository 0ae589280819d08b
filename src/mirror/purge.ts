/**
 * @module Taking mirrored content out on demand: one repository, or everything of a mirror. What is
 * asked for afterwards comes from upstream again.
 */

import type { Deletes } from '../distribution/delete.ts'
import type { MetadataStore } from '../metadata/port.ts'
import { listAll } from '../metadata/scan.ts'
import type { RepositoryName } from '../registry/name.ts'
import type { MirrorEviction } from './eviction.ts'
import type { ManifestEviction } from './manifest-eviction.ts'
import type { Mirror } from './mirror.ts'

export interface PurgeReport {
  repositories: number
  manifests: number
  blobs: number
}

export class Purge {
  readonly #metadata: MetadataStore
  readonly #deletes: Deletes
  readonly #eviction: MirrorEviction
  readonly #manifests: ManifestEviction

  /** `deletes` must allow deleting, whatever clients may do. */
  constructor(
    metadata: MetadataStore,
    deletes: Deletes,
    eviction: MirrorEviction,
    manifests: ManifestEviction,
  ) {
    this.#manifests = manifests
    this.#metadata = metadata
    this.#deletes = deletes
    this.#eviction = eviction
  }

  /** What is being read or filled, and what other repositories hold, stays. */
  async run(mirror: Mirror, only: RepositoryName | undefined, by: string): Promise<PurgeReport> {
    const report: PurgeReport = { repositories: 0, manifests: 0, blobs: 0 }
    for await (const repository of only === undefined
      ? this.#manifests.repositories(mirror)
      : [only]) {
      report.repositories += 1
      for (const key of await listAll(this.#metadata, 'mirrorTags', [repository])) {
        await this.#metadata.commit({
          checks: [],
          changes: [{ change: 'delete', in: 'mirrorTags', key }],
        })
      }
      for (const [, digest] of await listAll(this.#metadata, 'manifests', [repository])) {
        await this.#deletes.deleteManifest(repository, digest, by).then(
          () => {
            report.manifests += 1
          },
          () => undefined,
        )
      }
      for (const [, digest] of await listAll(this.#metadata, 'links', [repository])) {
        if (await this.#eviction.remove(mirror, digest, { isForced: true, only: repository })) {
          report.blobs += 1
        }
      }
    }
    return report
  }
}
