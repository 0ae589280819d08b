/**
 * @module A real store in a temporary folder, without a server: what storage tests need to put
 * blobs and manifests into it and to damage them.
 */
import { createHash } from 'node:crypto'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { onTestFinished } from 'vitest'
import { blobPath, blobPaths } from '../../src/blobs/files/layout.ts'
import { commitBlob } from '../../src/distribution/commit-blob.ts'
import { type Digest, parseDigest } from '../../src/registry/digest.ts'
import { parseRepositoryName } from '../../src/registry/name.ts'
import { unwrap } from '../../src/registry/result.ts'
import { systemClock } from '../../src/runtime/clock.ts'
import { openStorage, type Storage } from '../../src/storage/open.ts'

export const REPOSITORY = unwrap(parseRepositoryName('team/app'))

export function digestOfText(text: string | Uint8Array): Digest {
  return unwrap(parseDigest(`sha256:${createHash('sha256').update(text).digest('hex')}`))
}

/** A folder that goes when the test is over. */
export async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'fastregistry-store-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  return folder
}

export interface OpenStore {
  readonly storage: Storage
  /** Digests that were quarantined, with the reason. */
  readonly quarantined: [Digest, string][]
}

/** Opens a store; it is closed when the test is over, if the test has not done so. */
export async function openStore(path: string): Promise<OpenStore> {
  const quarantined: [Digest, string][] = []
  const storage = await openStorage({
    path,
    cacheBytes: 64 * 1024 * 1024,
    durability: 'full',
    reader: 'auto',
    ingestThreads: 1,
    clock: systemClock,
    reserveBytes: 0,
    onQuarantined: (digest, reason) => quarantined.push([digest, reason]),
  })
  let isOpen = true
  const close = storage.close
  storage.close = async () => {
    if (isOpen) await close()
    isOpen = false
  }
  onTestFinished(() => storage.close())
  return { storage, quarantined }
}

/** Stores a blob as a push would, inline or as a file; `elsewhere`: its row alone. */
export async function putBlob(
  { storage }: OpenStore,
  bytes: Uint8Array,
  place: 'inline' | 'file' | 'elsewhere',
): Promise<Digest> {
  const digest = digestOfText(bytes)
  if (place === 'file') {
    const path = blobPath(blobPaths(storage.path), digest)
    await mkdir(dirname(path), { recursive: true })
    await writeFile(path, bytes)
  }
  const inlineBytes = place === 'inline' ? bytes : undefined
  const blob = { digest, sizeBytes: bytes.byteLength, inlineBytes }
  await commitBlob(storage.metadata, blob, { repository: REPOSITORY, now: systemClock.now() })
  return digest
}

/** Stores a manifest's bytes and row. */
export async function putManifest({ storage }: OpenStore, text: string): Promise<Digest> {
  const digest = digestOfText(text)
  const mediaType = 'application/vnd.oci.image.manifest.v1+json'
  await storage.metadata.commit({
    checks: [],
    changes: [
      { change: 'put', in: 'manifestBytes', key: digest, row: Buffer.from(text) },
      {
        change: 'put',
        in: 'manifests',
        key: [REPOSITORY, digest],
        row: { mediaType, sizeBytes: text.length, pushedAt: 1 },
      },
    ],
  })
  return digest
}
