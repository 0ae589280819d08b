/**
 * @module Makes a store of a million of everything, through the product's own environment and with
 * the rows that its pushes write: `node scale-data.js FOLDER COUNT`. A process of its own, so that
 * its memory is nobody else's. What it makes is a whole store: every blob has its bytes.
 */

import { mkdirSync } from 'node:fs'
import { blobPaths } from '../../src/blobs/files/layout.ts'
import { LmdbEnvironment } from '../../src/metadata/lmdb/environment.ts'
import { metadataFolder } from '../../src/metadata/lmdb/folder.ts'
import { type DatabaseName, schemaVersion } from '../../src/metadata/schema.ts'
import { digestOf } from '../../src/registry/hasher.ts'
import { contentOf } from './content.ts'
import { buildImage, manifestType, smallImage } from './images.ts'
import { scaleBlobBytes, scaleRepository, scaleTag, tagsRepository } from './scale-names.ts'

/** Rows in one transaction: fast, and bounded in memory. */
const rowsPerTransaction = 50_000

type Put = (database: DatabaseName, key: unknown, row: unknown) => void

const now = Date.now()

function main(folder: string, count: number): Promise<void> {
  const paths = blobPaths(folder)
  for (const path of [...Object.values(paths), metadataFolder(folder)])
    mkdirSync(path, { recursive: true })
  // Nothing here needs to survive a power loss.
  const environment = new LmdbEnvironment(metadataFolder(folder), true)
  const put: Put = (database, key, row) => environment.put(database, key, row)
  const digest = environment.writeSync(() => {
    put('system', 'schemaVersion', schemaVersion)
    return putImage(put)
  })
  for (let from = 0; from < count; from += rowsPerTransaction) {
    const to = Math.min(count, from + rowsPerTransaction)
    environment.writeSync(() => {
      for (let index = from; index < to; index += 1) putOneOfEach(put, index, digest)
    })
  }
  return environment.close()
}

/** The image that all tags point to. */
function putImage(put: Put): string {
  const image = buildImage(smallImage(1))
  const { digest, manifest, blobs } = image
  put('repositories', tagsRepository, { createdAt: now })
  put('manifestBytes', digest, manifest)
  const imageConfig = blobs.at(-1)!.digest
  const sizeBytes = manifest.length
  const row = { mediaType: manifestType, sizeBytes, imageConfig, pushedAt: now }
  put('manifests', [tagsRepository, digest], row)
  for (const blob of blobs) {
    const kind = blob.digest === imageConfig ? 'config' : 'layer'
    put('children', [digest, blob.digest], { kind })
    put('parents', [blob.digest, tagsRepository, digest], true)
    putBlob(put, tagsRepository, blob.digest, Buffer.concat([...contentOf(blob)]))
  }
  return digest
}

/** A tag of the one repository, and a repository with one blob. */
function putOneOfEach(put: Put, index: number, digest: string): void {
  const tag = scaleTag(index)
  put('tags', [tagsRepository, tag], { digest, pushedAt: now, previous: [] })
  put('tagsByDigest', [tagsRepository, digest, tag], true)
  const repository = scaleRepository(index)
  put('repositories', repository, { createdAt: now })
  const bytes = scaleBlobBytes(index)
  putBlob(put, repository, digestOf('sha256', bytes), bytes)
}

function putBlob(put: Put, repository: string, digest: string, bytes: Uint8Array): void {
  const sizeBytes = bytes.byteLength
  put('blobs', digest, { sizeBytes, place: 'inline', createdAt: now, linkedAt: now })
  put('links', [repository, digest], { linkedAt: now })
  put('holders', [digest, repository], true)
  put('blobBytes', digest, bytes)
}

await main(process.argv[2]!, Number(process.argv[3]))
