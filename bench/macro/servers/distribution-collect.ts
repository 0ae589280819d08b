/**
 * @module distribution's `garbage-collect` on a store in its own layout, written as its pushes leave
 * it: the content of `gc-data.ts`, half of it garbage.
 */
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { findProgram } from '../child-process.ts'
import { gcBlobBytes, gcRepository, gcTag, isGarbageManifest } from '../gc-names.ts'
import { manifestType } from '../images.ts'
import { peersFolder } from './distribution.ts'

const manifestsPerRepository = 10
const blobsPerManifest = 10

export function fillPeer(folder: string, blobs: number): void {
  const root = join(folder, 'data/docker/registry/v2')
  const put = (path: string, content: string | Uint8Array) => {
    const file = join(root, path)
    mkdirSync(dirname(file), { recursive: true })
    writeFileSync(file, content)
  }
  const putBlob = (bytes: Uint8Array): string => {
    const hex = createHash('sha256').update(bytes).digest('hex')
    put(`blobs/sha256/${hex.slice(0, 2)}/${hex}/data`, bytes)
    return hex
  }
  for (let index = 0; index < Math.floor(blobs / blobsPerManifest); index += 1) {
    const repository = `repositories/${gcRepository(Math.floor(index / manifestsPerRepository))}`
    const isGarbage = isGarbageManifest(index)
    const layers: object[] = []
    for (let place = 0; place < blobsPerManifest; place += 1) {
      const bytes = gcBlobBytes(index, place)
      const hex = putBlob(bytes)
      put(`${repository}/_layers/sha256/${hex}/link`, `sha256:${hex}`)
      if (isGarbage && place >= blobsPerManifest / 2) continue
      const digest = `sha256:${hex}`
      layers.push({ mediaType: 'application/octet-stream', digest, size: bytes.byteLength })
    }
    const [config, ...rest] = layers
    const manifest = { schemaVersion: 2, mediaType: manifestType, config, layers: rest }
    const hex = putBlob(Buffer.from(JSON.stringify(manifest)))
    put(`${repository}/_manifests/revisions/sha256/${hex}/link`, `sha256:${hex}`)
    if (isGarbage) continue
    const tag = `${repository}/_manifests/tags/${gcTag(index)}`
    put(`${tag}/current/link`, `sha256:${hex}`)
    put(`${tag}/index/sha256/${hex}/link`, `sha256:${hex}`)
  }
}

/** Seconds that the program takes, with manifests that no tag points at. */
export async function collectPeer(folder: string): Promise<number> {
  const file = join(folder, 'config.yml')
  writeFileSync(
    file,
    `version: 0.1
log: { level: error }
storage:
  filesystem: { rootdirectory: ${join(folder, 'data')} }
  delete: { enabled: true }
`,
  )
  const startedAt = performance.now()
  const args = ['garbage-collect', '--delete-untagged', '--quiet', file]
  await promisify(execFile)(findProgram('registry', peersFolder())!, args, {
    env: { ...process.env, OTEL_TRACES_EXPORTER: 'none' },
    maxBuffer: 1024 ** 3,
  })
  return (performance.now() - startedAt) / 1_000
}
