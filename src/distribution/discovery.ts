/**
 * @module Discovery: tags, repositories, referrers, a page at a time and in byte order
 * (distribution-spec, listing-tags and listing-referrers).
 */

import type { MetadataReader } from '../metadata/port.ts'
import { listKeys } from '../metadata/scan.ts'
import { RegistryError } from '../registry/errors.ts'
import { pageEntriesMax, referrersPageBytesMax } from '../registry/limits.ts'
import type { RepositoryName } from '../registry/name.ts'
import { nextTurn } from '../runtime/next-turn.ts'
import { nextReferrers, type ReferrerEntry, toEntry } from './referrer-entry.ts'

export interface PageRequest {
  /** Entries wanted; undefined: as many as fit. Clamped to `pageEntriesMax`. */
  readonly count: number | undefined
  /** Return what comes after this entry, whether it exists or not. */
  readonly last: string | undefined
}

export interface Page<T> {
  readonly entries: readonly T[]
  /** The `last` of the next page; undefined when this one is the end. */
  readonly next: string | undefined
}

export class Discovery {
  readonly #metadata: MetadataReader

  constructor(metadata: MetadataReader) {
    this.#metadata = metadata
  }

  /** Tags of a repository. Throws NAME_UNKNOWN. */
  async listTags(repository: RepositoryName, request: PageRequest): Promise<Page<string>> {
    if (this.#metadata.get('repositories', repository) === undefined) {
      throw new RegistryError('NAME_UNKNOWN', { detail: { name: repository } })
    }
    return page(request, async (last, limit) => {
      const keys = await listKeys(this.#metadata, 'tags', [repository], last, limit)
      return keys.map(([, tag]) => tag)
    })
  }

  /** Repositories of the registry, those that `maySee` allows. */
  listRepositories(
    request: PageRequest,
    maySee?: (repository: RepositoryName) => boolean,
  ): Promise<Page<string>> {
    return page(request, (last, limit) =>
      listKeys(this.#metadata, 'repositories', [], last, limit, maySee),
    )
  }

  /**
   * Manifests whose subject is `subject`, in byte order of their digests; a page ends before 3 MiB
   * of JSON. `artifactTypes` filters by any of them; undefined does not filter.
   */
  async listReferrers(
    repository: RepositoryName,
    subject: string,
    artifactTypes: readonly string[] | undefined,
    request: PageRequest,
  ): Promise<Page<ReferrerEntry>> {
    const countMax = Math.min(request.count ?? pageEntriesMax, pageEntriesMax)
    const entries: ReferrerEntry[] = []
    if (countMax === 0) return { entries, next: undefined }
    let last = request.last
    let bytes = 0
    while (true) {
      const rows = nextReferrers(this.#metadata, [repository, subject], last)
      for (const { key, row } of rows) {
        if (artifactTypes === undefined || artifactTypes.includes(row.artifactType ?? '')) {
          const entry = toEntry(row)
          bytes += Buffer.byteLength(JSON.stringify(entry)) + 1
          if (
            entries.length === countMax ||
            (bytes > referrersPageBytesMax && entries.length > 0)
          ) {
            return { entries, next: last }
          }
          entries.push(entry)
        }
        last = key[2]
      }
      if (rows.length === 0) return { entries, next: undefined }
      await nextTurn()
    }
  }
}

async function page(
  { count, last }: PageRequest,
  list: (last: string | undefined, limit: number) => Promise<readonly string[]>,
): Promise<Page<string>> {
  const wanted = Math.min(count ?? pageEntriesMax, pageEntriesMax)
  if (wanted === 0) return { entries: [], next: undefined }
  // One more than wanted tells whether a next page exists.
  const found = await list(last, wanted + 1)
  const entries = found.slice(0, wanted)
  return { entries, next: found.length > wanted ? entries.at(-1) : undefined }
}
