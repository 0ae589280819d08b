/** @module What it costs to find out what a list of manifests is: all of it is parsed on the thread that answers. */
import { beforeEach, expect, test, vi } from 'vitest'
import type { Change } from '../../../src/metadata/transaction.ts'
import type { Digest } from '../../../src/registry/digest.ts'
import { digestOf } from '../../../src/registry/hasher.ts'
import { imagesIn } from '../../../src/signing/evidence.ts'
import { exemptibleOf } from '../../../src/signing/exemption.ts'
import { MemoryMetadataStore } from '../../support/memory/memory-metadata.ts'
import { asName } from '../../support/registry-client.ts'

const repository = asName('team/app')
const indexType = 'application/vnd.oci.image.index.v1+json'
const signatureType = 'application/vnd.dev.cosign.simplesigning.v1+json'
const layerType = 'application/vnd.oci.image.layer.v1.tar+gzip'

let metadata: MemoryMetadataStore
let parses: number
beforeEach(() => {
  metadata = new MemoryMetadataStore()
  parses = 0
  const parse = JSON.parse
  const counted = vi.spyOn(JSON, 'parse').mockImplementation((...args) => {
    parses += 1
    return parse(...args)
  })
  return () => counted.mockRestore()
})

async function store(json: object): Promise<Digest> {
  const bytes = Buffer.from(JSON.stringify(json))
  const digest = digestOf('sha256', bytes)
  const mediaType = 'application/x'
  const row = { mediaType, sizeBytes: bytes.byteLength, pushedAt: 1, imageBytes: 2 }
  const changes: Change[] = [
    { change: 'put', in: 'manifests', key: [repository, digest], row },
    { change: 'put', in: 'manifestBytes', key: digest, row: bytes },
  ]
  await metadata.commit({ checks: [], changes })
  return digest
}

/** No blob is here: types and sizes alone count. */
const sources = () => ({ metadata, readBlob: async () => undefined })

const manifest = (mediaType: string, name: number, bytes = 1) => ({
  layers: [{ mediaType }],
  annotations: { name, of: 'x'.repeat(bytes) },
})
const index = (members: readonly Digest[]) => ({
  mediaType: indexType,
  manifests: members.map((digest) => ({ digest })),
})
const bytesOf = (json: object) => Buffer.from(JSON.stringify(json))

test('a list of signatures is exempt up to a sum of bytes, with a pause before each of them', async () => {
  const members: Digest[] = []
  for (let name = 0; name < 40; name += 1) {
    members.push(await store(manifest(signatureType, name, 60_000)))
  }
  const exempt = (some: readonly Digest[]) =>
    exemptibleOf(sources(), repository, bytesOf(index(some)))
  let turns = 0
  let isOver = false
  const count = () => {
    turns += 1
    if (!isOver) setImmediate(count)
  }
  setImmediate(count)
  expect(await exempt(members.slice(0, 30))).toBeDefined()
  isOver = true
  expect(turns).toBeGreaterThanOrEqual(30)
  expect(await exempt(members)).toBeUndefined()
})

test('what a list names several times is parsed once', async () => {
  const one = await store(manifest(signatureType, 1, 60_000))
  const list = bytesOf(index(Array.from({ length: 128 }, () => one)))
  expect(await exemptibleOf(sources(), repository, list)).toBeDefined()
  expect(parses).toBe(2)
  expect(await imagesIn(sources(), repository, list, 64)).toEqual([])
  expect(parses).toBe(4)
})

test('an index in an index is an image, and is not opened', async () => {
  const signatures: Digest[] = []
  for (let name = 0; name < 20; name += 1)
    signatures.push(await store(manifest(signatureType, name)))
  const nested: Digest[] = []
  for (let name = 0; name < 20; name += 1) {
    nested.push(await store({ ...index(signatures), annotations: { name } }))
  }
  const list = bytesOf(index([...nested, signatures[0]!]))
  expect(await imagesIn(sources(), repository, list, 64)).toEqual(nested)
  expect(parses).toBe(22)
})

test('images of an index have a bounded sum of bytes, and are named once', async () => {
  const images: Digest[] = []
  for (let name = 0; name < 12; name += 1) {
    images.push(await store(manifest(layerType, name, 200_000)))
  }
  const some = images.slice(0, 10)
  const twice = bytesOf(index([...some, ...some]))
  expect(await imagesIn(sources(), repository, twice, 64)).toEqual(some)
  expect(await imagesIn(sources(), repository, bytesOf(index(images)), 64)).toBeUndefined()
})
