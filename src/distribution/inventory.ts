/**
 * @module What is stored, for people: tags and repositories with times and sizes, what an image is
 * made of, who uses a blob, how much sharing saves. Long reads come in short turns of the event
 * loop; sorted pages keep no more than one page in memory.
 */
import type { Digest } from '../registry/digest.ts'
import type { RepositoryName } from '../registry/name.ts'
import type { MetadataReader } from '../storage/ports.ts'
import type { DatabaseName, Databases } from '../storage/schema.ts'
import { listAll } from './scan.ts'

/** Rows read in one turn: each costs a few look-ups. */
const rowsPerTurn = 200

export type TagOrder = 'name' | 'pushed' | 'pulled' | 'size'

export interface TagInfo {
  readonly tag: string
  readonly digest: Digest
  readonly mediaType: string
  readonly pushedAt: number
  readonly pulledAt: number | undefined
  readonly sizeBytes: number
}

export interface SortedRequest {
  readonly order: TagOrder
  readonly isDescending: boolean
  readonly limit: number
  /** The last entry of the page before, as `next` said it. */
  readonly after: string | undefined
}

/** A page of tags in the order that was asked for. */
export async function sortedTags(
  metadata: MetadataReader,
  repository: RepositoryName,
  request: SortedRequest,
): Promise<{ readonly tags: TagInfo[]; readonly next: string | undefined }> {
  const page = new SortedPage<TagInfo>(request)
  const sizes = new Map<string, number>()
  for await (const { key, row } of inTurns(metadata, 'tags', [repository])) {
    const [, tag] = key
    const { digest, pushedAt } = row
    const pulledAt = pullOf(metadata, repository, tag, digest)
    const mediaType = metadata.get('manifests', [repository, digest])?.mediaType ?? ''
    // Many tags often share a few manifests; the map is bounded by forgetting everything.
    if (sizes.size > 10_000) sizes.clear()
    const sizeBytes = sizes.get(digest) ?? (await imageBytes(metadata, repository, digest))
    sizes.set(digest, sizeBytes)
    const values = { name: 0, pushed: pushedAt, pulled: pulledAt ?? 0, size: sizeBytes }
    const info = { tag, digest, mediaType, pushedAt, pulledAt, sizeBytes }
    page.offer(values[request.order], tag, info)
  }
  return { tags: page.entries, next: page.next }
}

function pullOf(
  metadata: MetadataReader,
  repository: RepositoryName,
  tag: string,
  digest: string,
): number | undefined {
  const byTag = metadata.get('pulls', [repository, tag]) ?? 0
  const byDigest = metadata.get('pulls', [repository, digest]) ?? 0
  return Math.max(byTag, byDigest) || undefined
}

/** Keeps the best `limit` entries behind the cursor, in order: ties are broken by name. */
export class SortedPage<T> {
  readonly #request: Omit<SortedRequest, 'order'>
  readonly #after: { readonly value: number; readonly name: string } | undefined
  readonly #kept: { readonly value: number; readonly name: string; readonly entry: T }[] = []
  #hasMore = false

  constructor(request: Omit<SortedRequest, 'order'>) {
    this.#request = request
    const match = /^(\d+)~(.*)$/s.exec(request.after ?? '')
    this.#after = match === null ? undefined : { value: Number(match[1]), name: match[2]! }
  }

  offer(value: number, name: string, entry: T): void {
    const it = { value, name, entry }
    if (this.#after !== undefined && this.#order(it, this.#after) <= 0) return
    const { limit } = this.#request
    if (this.#kept.length === limit && this.#order(it, this.#kept.at(-1)!) > 0) {
      this.#hasMore = true
      return
    }
    let low = 0
    let high = this.#kept.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#order(this.#kept[middle]!, it) < 0) low = middle + 1
      else high = middle
    }
    this.#kept.splice(low, 0, it)
    if (this.#kept.length <= limit) return
    this.#kept.pop()
    this.#hasMore = true
  }

  #order(
    one: { readonly value: number; readonly name: string },
    other: { readonly value: number; readonly name: string },
  ): number {
    const byName = one.name < other.name ? -1 : one.name > other.name ? 1 : 0
    const order = one.value - other.value || byName
    return this.#request.isDescending ? -order : order
  }

  get entries(): T[] {
    return this.#kept.map(({ entry }) => entry)
  }

  get next(): string | undefined {
    const last = this.#kept.at(-1)
    return this.#hasMore && last !== undefined ? `${last.value}~${last.name}` : undefined
  }
}

/** Config and layers of a manifest, or of all manifests of an index; each blob counted once. */
export async function imageBytes(
  metadata: MetadataReader,
  repository: RepositoryName,
  digest: Digest,
): Promise<number> {
  const seen = new Set<string>()
  let bytes = 0
  const add = async (manifest: string): Promise<void> => {
    if (seen.has(manifest)) return
    seen.add(manifest)
    for (const [, child] of await listAll(metadata, 'children', [manifest])) {
      const [holder] = metadata.keys('holders', [child, repository], undefined, 1)
      const blob = holder === undefined ? undefined : metadata.get('blobs', holder[0])
      if (blob === undefined) await add(child)
      else if (!seen.has(child)) {
        seen.add(child)
        bytes += blob.sizeBytes
      }
    }
  }
  await add(digest)
  return bytes
}

export interface RepositoryInfo {
  readonly name: RepositoryName
  readonly createdAt: number
  readonly tags: number
  readonly manifests: number
  readonly pushedAt: number | undefined
  readonly pulledAt: number | undefined
  /** Bytes of the blobs that it holds, and of those that no other repository holds. */
  readonly logicalBytes: number
  readonly exclusiveBytes: number
}

export async function describeRepository(
  metadata: MetadataReader,
  name: RepositoryName,
): Promise<RepositoryInfo | undefined> {
  const row = metadata.get('repositories', name)
  if (row === undefined) return undefined
  let [tags, manifests, pushedAt, pulledAt, logicalBytes, exclusiveBytes] = [0, 0, 0, 0, 0, 0]
  for await (const entry of inTurns(metadata, 'tags', [name])) {
    tags += 1
    pushedAt = Math.max(pushedAt, entry.row.pushedAt)
  }
  for await (const entry of inTurns(metadata, 'manifests', [name])) {
    manifests += 1
    pushedAt = Math.max(pushedAt, entry.row.pushedAt)
  }
  for await (const entry of inTurns(metadata, 'pulls', [name])) {
    pulledAt = Math.max(pulledAt, entry.row)
  }
  for await (const { key } of inTurns(metadata, 'links', [name])) {
    const sizeBytes = metadata.get('blobs', key[1])?.sizeBytes ?? 0
    logicalBytes += sizeBytes
    if (metadata.keys('holders', [key[1]], undefined, 2).length < 2) exclusiveBytes += sizeBytes
  }
  return {
    name,
    createdAt: row.createdAt,
    tags,
    manifests,
    pushedAt: pushedAt || undefined,
    pulledAt: pulledAt || undefined,
    logicalBytes,
    exclusiveBytes,
  }
}

export interface StorageUse {
  /** What is stored, each blob once. */
  readonly physicalBytes: number
  /** What it would be if repositories shared nothing. */
  readonly logicalBytes: number
  readonly blobs: number
  readonly trashBytes: number
  readonly trashBlobs: number
}

/** Sums over the whole store: about a second for a million blobs, in short turns. */
export async function storageUse(metadata: MetadataReader): Promise<StorageUse> {
  let [physicalBytes, logicalBytes, blobs, trashBytes, trashBlobs] = [0, 0, 0, 0, 0]
  for await (const { key, row } of inTurns(metadata, 'blobs', [])) {
    blobs += 1
    physicalBytes += row.sizeBytes
    logicalBytes += row.sizeBytes * countHolders(metadata, key)
  }
  for await (const { row } of inTurns(metadata, 'trash', [])) {
    trashBlobs += 1
    trashBytes += row.sizeBytes
  }
  return { physicalBytes, logicalBytes, blobs, trashBytes, trashBlobs }
}

/** Holders counted for one blob: the sums are for people, and one blob must not take a second. */
const holdersCountedMax = 1_000

function countHolders(metadata: MetadataReader, digest: Digest): number {
  return metadata.keys('holders', [digest], undefined, holdersCountedMax).length
}

/** Every row below a prefix that is one component shorter than the keys, a few a turn. */
export async function* inTurns<N extends DatabaseName>(
  metadata: MetadataReader,
  database: N,
  prefix: readonly string[],
  after?: string,
): AsyncGenerator<{ key: Databases[N]['key']; row: Databases[N]['row'] }> {
  let last = after
  while (true) {
    const batch = metadata.entries(database, prefix, last, rowsPerTurn)
    yield* batch
    if (batch.length < rowsPerTurn) return
    const key = batch.at(-1)!.key as string | readonly string[]
    last = typeof key === 'string' ? key : key.at(-1)!
    await new Promise((resolve) => setImmediate(resolve))
  }
}
