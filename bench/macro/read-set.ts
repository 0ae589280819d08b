/**
 * @module What the read rows read: one image with its manifest, and a blob of each size. Pushed to
 * every registry through its API, written as files for the static file server.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { type Blob, contentOf, withDigest } from './content.ts'
import { HttpConnection } from './http-client.ts'
import { buildImage, type Image, smallImage } from './images.ts'
import { pushBlob, pushImage } from './push.ts'
import { type BenchServer, type ServerName, staticBlobPath } from './server.ts'

export const readRepository = 'bench/read'

const KiB = 1024
const MiB = 1024 * KiB

/** Sizes of the blobs of the table, by the name in a row's id. */
export const BLOB_SIZES = {
  '1k': KiB,
  '64k': 64 * KiB,
  '1m': MiB,
  '10m': 10 * MiB,
  '100m': 100 * MiB,
} as const

export type BlobSize = keyof typeof BLOB_SIZES

export interface ReadSet {
  readonly blobs: Readonly<Record<BlobSize, Blob>>
  readonly image: Image
}

const seed = 1_000_000

function makeReadSet(): ReadSet {
  const blobs = Object.fromEntries(
    Object.entries(BLOB_SIZES).map(([name, sizeBytes]) => [name, withDigest({ seed, sizeBytes })]),
  ) as Record<BlobSize, Blob>
  return { blobs, image: buildImage(smallImage(1)) }
}

/** Fills all servers with the same content. */
export async function fillReadSet(
  servers: readonly BenchServer[],
  folders: ReadonlyMap<ServerName, string>,
  set: ReadSet = makeReadSet(),
): Promise<ReadSet> {
  for (const server of servers) {
    if (server.name === 'nginx') writeStatic(folders.get('nginx')!, set)
    else await fillRegistry(server, set)
  }
  return set
}

async function fillRegistry({ target }: BenchServer, { blobs, image }: ReadSet): Promise<void> {
  const connection = await HttpConnection.open(target)
  for (const blob of Object.values(blobs)) await pushBlob(connection, readRepository, blob)
  await pushImage(connection, readRepository, image)
  connection.close()
}

function writeStatic(folder: string, { blobs }: ReadSet): void {
  for (const blob of Object.values(blobs)) {
    const path = staticBlobPath(folder, readRepository, blob.digest)
    mkdirSync(path.slice(0, path.lastIndexOf('/')), { recursive: true })
    writeFileSync(path, Buffer.concat([...contentOf(blob)]))
  }
}
