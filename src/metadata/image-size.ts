/**
 * @module The size of an image: config and layers, of an index those of its manifests, each blob once.
 * What its repository does not hold (foreign layers, missing parts of a sparse index) counts nothing,
 * so that nobody learns of it whether another repository has it.
 */

import type { Digest } from '../registry/digest.ts'
import type { RepositoryName } from '../registry/name.ts'
import { nextTurn } from '../runtime/next-turn.ts'
import type { MetadataReader } from './port.ts'
import type { Databases, EdgeKind } from './schema.ts'

type BlobKey = Databases['blobs']['key']

export interface SizedImage {
  readonly digest: Digest
  /** What it names, where no edges of it are stored yet. */
  readonly children?: readonly { readonly digest: string; readonly kind: EdgeKind }[]
}

/** Look-ups of one turn of the event loop: about a millisecond. */
const looksPerTurn = 500

/** Bytes. Looks as long as it takes: for threads and moments in which nobody waits. */
export function imageSize(
  metadata: MetadataReader,
  repository: RepositoryName,
  image: SizedImage,
): number {
  let bytes = 0
  for (const sizeBytes of parts(metadata, repository, image)) bytes += sizeBytes
  return bytes
}

/** The same in short turns. */
export async function imageSizeInTurns(
  metadata: MetadataReader,
  repository: RepositoryName,
  image: SizedImage,
): Promise<number> {
  let bytes = 0
  let looks = 0
  for (const sizeBytes of parts(metadata, repository, image)) {
    bytes += sizeBytes
    looks += 1
    if (looks % looksPerTurn === 0) await nextTurn()
  }
  return bytes
}

/** The size of everything that is looked at, 0 for what counts nothing. */
function* parts(
  metadata: MetadataReader,
  repository: RepositoryName,
  image: SizedImage,
): Generator<number> {
  const seen = new Set<string>([image.digest])
  const waiting: SizedImage[] = [image]
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    for (const { digest, kind } of next.children ?? edges(metadata, next.digest)) {
      if (seen.has(digest)) continue
      seen.add(digest)
      if (kind === 'manifest') {
        waiting.push({ digest: digest as BlobKey })
        yield 0
        continue
      }
      const isHere = metadata.get('links', [repository, digest as BlobKey]) !== undefined
      yield (isHere ? metadata.get('blobs', digest as BlobKey)?.sizeBytes : undefined) ?? 0
    }
  }
}

const edgesAtOnce = 500

function* edges(
  metadata: MetadataReader,
  digest: Digest,
): Generator<{ readonly digest: string; readonly kind: EdgeKind }> {
  let last: string | undefined
  while (true) {
    const rows = metadata.entries('children', [digest], last, edgesAtOnce)
    for (const { key, row } of rows) yield { digest: key[1], kind: row.kind }
    if (rows.length < edgesAtOnce) return
    last = rows.at(-1)!.key[1]
  }
}
