/**
 * @module Makes a store to collect, through the product's own environment and with the rows that its
 * pushes write: `node gc-data.js FOLDER BLOBS half|none`. Ten blobs a manifest, ten manifests a
 * repository, one blob in twenty a file. With `half`, every second manifest has no tag and half of its
 * blobs were never named by any: half of everything is garbage. With `none`, nothing is.
 */

import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { blobPath, blobPaths } from '../../src/blobs/files/layout.ts'
import { LmdbEnvironment } from '../../src/metadata/lmdb/environment.ts'
import { metadataFolder } from '../../src/metadata/lmdb/folder.ts'
import { type DatabaseName, schemaVersion } from '../../src/metadata/schema.ts'
import { digestOf } from '../../src/registry/hasher.ts'
import { gcBlobBytes, gcRepository, gcTag, isGarbageManifest } from './gc-names.ts'
import { manifestType } from './images.ts'

/** Small ones, as pushes make them: large ones leave long lists of free pages, which cost every commit. */
const manifestsPerTransaction = 100
const manifestsPerRepository = 10
const blobsPerManifest = 10

/** Long before any grace time. */
const then = Date.now() - 30 * 24 * 3_600_000

type Put = (database: DatabaseName, key: unknown, row: unknown) => void

async function main(folder: string, blobs: number, garbage: string): Promise<void> {
  const paths = blobPaths(folder)
  for (const path of [...Object.values(paths), metadataFolder(folder)])
    mkdirSync(path, { recursive: true })
  const environment = new LmdbEnvironment(metadataFolder(folder), true)
  const put: Put = (database, key, row) => environment.put(database, key, row)
  environment.writeSync(() => {
    put('system', 'schemaVersion', schemaVersion)
  })
  const folders = new Set<string>()
  const putFile = (digest: string, bytes: Uint8Array) => {
    const path = blobPath(paths, digest as Parameters<typeof blobPath>[1])
    if (!folders.has(dirname(path))) mkdirSync(dirname(path), { recursive: true })
    folders.add(dirname(path))
    writeFileSync(path, bytes)
  }
  const count = Math.floor(blobs / blobsPerManifest)
  for (let from = 0; from < count; from += manifestsPerTransaction) {
    const to = Math.min(count, from + manifestsPerTransaction)
    environment.writeSync(() => {
      for (let index = from; index < to; index += 1) {
        putManifest(put, putFile, index, garbage === 'half' && isGarbageManifest(index))
      }
    })
  }
  await environment.close()
}

function putManifest(
  put: Put,
  putFile: (digest: string, bytes: Uint8Array) => void,
  index: number,
  isGarbage: boolean,
): void {
  const repository = gcRepository(Math.floor(index / manifestsPerRepository))
  put('repositories', repository, { createdAt: then })
  const layers: object[] = []
  const used: string[] = []
  for (let place = 0; place < blobsPerManifest; place += 1) {
    const bytes = gcBlobBytes(index, place)
    const digest = digestOf('sha256', bytes)
    const sizeBytes = bytes.byteLength
    const isFile = (index + place) % 20 === 0
    if (isFile) putFile(digest, bytes)
    else put('blobBytes', digest, bytes)
    const row = { sizeBytes, place: isFile ? 'file' : 'inline', createdAt: then, linkedAt: then }
    put('blobs', digest, row)
    put('links', [repository, digest], { linkedAt: then })
    put('holders', [digest, repository], true)
    if (isGarbage && place >= blobsPerManifest / 2) {
      // As the writer leaves it: linked, and named by no manifest since.
      put('candidates', digest, place)
      continue
    }
    used.push(digest)
    layers.push({ mediaType: 'application/octet-stream', digest, size: sizeBytes })
  }
  const [config, ...rest] = layers
  const manifest = Buffer.from(
    JSON.stringify({ schemaVersion: 2, mediaType: manifestType, config, layers: rest }),
  )
  const digest = digestOf('sha256', manifest)
  put('manifestBytes', digest, manifest)
  put('manifestHolders', [digest, repository], 'stored')
  const sizeBytes = manifest.byteLength
  const row = { mediaType: manifestType, sizeBytes, imageConfig: used[0], pushedAt: then }
  put('manifests', [repository, digest], row)
  for (const [place, child] of used.entries()) {
    put('children', [digest, child], { kind: place === 0 ? 'config' : 'layer' })
    put('parents', [child, repository, digest], true)
  }
  if (isGarbage) return
  const tag = gcTag(index)
  put('tags', [repository, tag], { digest, pushedAt: then, previous: [] })
  put('tagsByDigest', [repository, digest, tag], true)
}

await main(process.argv[2]!, Number(process.argv[3]), process.argv[4]!)
