/** @module What is looked at of an image to which more is attached than is looked at. */
import { beforeEach, expect, test } from 'vitest'
import type { Change } from '../../../src/metadata/transaction.ts'
import type { Digest } from '../../../src/registry/digest.ts'
import { digestOf } from '../../../src/registry/hasher.ts'
import { ownAnnotation } from '../../../src/signing/attest/store.ts'
import { evidenceOf } from '../../../src/signing/evidence.ts'
import { bundleType } from '../../../src/signing/formats/bundle.ts'
import { MemoryMetadataStore } from '../../support/memory/memory-metadata.ts'
import { asDigest, asName } from '../../support/registry-client.ts'

const repository = asName('team/app')
const image = Buffer.from('{}')
const subject = digestOf('sha256', image)

let metadata: MemoryMetadataStore
beforeEach(() => {
  metadata = new MemoryMetadataStore()
})

/** A referrer of a digest that is chosen: they are gone through in its order. */
async function attach(
  digest: Digest,
  annotations: object,
  artifactType = bundleType,
): Promise<void> {
  const bytes = Buffer.from('{}')
  const key = [repository, digest] as const
  const manifest = { mediaType: 'application/x', sizeBytes: 2, pushedAt: 1, imageBytes: 2 }
  const annotationsJson = Buffer.from(JSON.stringify(annotations))
  const described = { mediaType: 'application/x', digest, size: 2, artifactType }
  const changes: Change[] = [
    { change: 'put', in: 'manifests', key, row: manifest },
    { change: 'put', in: 'manifestBytes', key: digest, row: bytes },
    {
      change: 'put',
      in: 'referrers',
      key: [repository, subject, digest],
      row: { ...described, annotationsJson },
    },
  ]
  await metadata.commit({ checks: [], changes })
}

const numbered = (first: string, count: number) =>
  asDigest(`sha256:${first}${String(count).padStart(63, '0')}`)

test('what registries say of it keeps no signature away', async () => {
  for (let count = 0; count < 200; count += 1) {
    await attach(numbered('0', count), { [ownAnnotation]: String(count) })
  }
  const signature = numbered('f', 0)
  await attach(signature, { 'dev.sigstore.bundle.content': 'dsse-envelope' })
  const sources = { metadata, readBlob: async () => undefined }
  const found = await evidenceOf(sources, repository, subject, { bytes: image })
  expect(found?.isTruncated).toBe(true)
  expect(found?.candidates).toHaveLength(128)
  expect(found?.candidates[0]?.manifest).toBe(signature)
})

test('ten thousand referrers of no known type keep no signature away, and are gone through in turns', async () => {
  for (let count = 0; count < 10_000; count += 1) {
    await attach(numbered('0', count), {}, 'application/x-junk')
  }
  const signature = numbered('f', 0)
  await attach(signature, {})
  const sources = { metadata, readBlob: async () => undefined }
  let turns = 0
  let isOver = false
  const count = () => {
    turns += 1
    if (!isOver) setImmediate(count)
  }
  setImmediate(count)
  const found = await evidenceOf(sources, repository, subject, { bytes: image })
  isOver = true
  expect(turns).toBeGreaterThan(5)
  expect(found?.isTruncated).toBe(true)
  expect(found?.candidates).toHaveLength(128)
  expect(found?.candidates[0]?.manifest).toBe(signature)
})
