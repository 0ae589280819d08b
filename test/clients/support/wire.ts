/**
 * @module The test's own view of the registry, by plain HTTP: what a client pushed is read back
 * here and hashed byte for byte, and images are put here for clients that only pull.
 */

import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { blobPath, type Descriptor, type Layout } from '../../support/random-image.ts'
import type { Target } from './target.ts'

const ACCEPT = [
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.oci.image.index.v1+json',
  'application/vnd.docker.distribution.manifest.v2+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
].join(', ')

export interface ManifestBody {
  readonly mediaType?: string
  readonly artifactType?: string
  readonly config?: Descriptor
  readonly layers?: readonly Descriptor[]
  readonly manifests?: readonly Descriptor[]
  readonly subject?: Descriptor
}

export interface StoredManifest {
  readonly digest: string
  readonly mediaType: string
  readonly body: ManifestBody
}

/** Puts a layout into a repository: blobs first, then child manifests, then the top by tag. */
export async function putLayout(
  target: Target,
  repository: string,
  tag: string,
  layout: Layout,
): Promise<void> {
  const isManifest = (blob: Descriptor) => /\.(manifest|index)\./.test(blob.mediaType)
  const children = layout.blobs.filter((blob) => isManifest(blob) && blob.digest !== layout.digest)
  for (const blob of layout.blobs) {
    if (!isManifest(blob)) await putBlob(target, repository, layout, blob)
  }
  for (const child of children) await putManifest(target, repository, child.digest, layout, child)
  await putManifest(target, repository, tag, layout, layout)
}

/**
 * Reads a manifest and everything below it. Every manifest and blob must have the digest and the
 * size that its descriptor claims.
 */
export async function readWhole(
  target: Target,
  repository: string,
  reference: string,
): Promise<StoredManifest> {
  const manifest = await readManifest(target, repository, reference)
  for (const child of manifest.body.manifests ?? []) {
    const { digest } = await readWhole(target, repository, child.digest)
    assert.equal(digest, child.digest)
  }
  const { config, layers = [] } = manifest.body
  for (const blob of config === undefined ? layers : [config, ...layers]) {
    await checkBlob(target, repository, blob)
  }
  return manifest
}

/** Reads one manifest; its bytes must hash to the digest that the registry names. */
export async function readManifest(
  target: Target,
  repository: string,
  reference: string,
): Promise<StoredManifest> {
  const path = `/v2/${repository}/manifests/${reference}`
  const response = await fetch(target.url + path, { headers: { accept: ACCEPT } })
  const bytes = Buffer.from(await response.arrayBuffer())
  assert.equal(response.status, 200, `GET ${path}: ${response.status} ${bytes.toString()}`)
  const digest = `sha256:${createHash('sha256').update(bytes).digest('hex')}`
  assert.equal(response.headers.get('docker-content-digest'), digest, `GET ${path}`)
  const body = JSON.parse(bytes.toString()) as ManifestBody
  return { digest, mediaType: response.headers.get('content-type') ?? '', body }
}

/** Tags as the registry lists them; an unknown repository has none. */
export async function listTags(target: Target, repository: string): Promise<readonly string[]> {
  const response = await fetch(`${target.url}/v2/${repository}/tags/list`)
  if (response.status === 404) return []
  assert.equal(response.status, 200)
  const { tags } = (await response.json()) as { readonly tags: readonly string[] | null }
  return tags ?? []
}

/** Digests of the manifests whose subject this digest is. */
export async function listReferrers(
  target: Target,
  repository: string,
  digest: string,
): Promise<readonly Descriptor[]> {
  const response = await fetch(`${target.url}/v2/${repository}/referrers/${digest}`)
  assert.equal(response.status, 200)
  return ((await response.json()) as ManifestBody).manifests ?? []
}

/** Deletes a manifest by digest, as a user of a client without a delete command has to. */
export async function deleteManifest(
  target: Target,
  repository: string,
  digest: string,
): Promise<void> {
  const path = `/v2/${repository}/manifests/${digest}`
  const response = await fetch(target.url + path, { method: 'DELETE' })
  assert.equal(response.status, 202, `DELETE ${path}: ${response.status} ${await response.text()}`)
}

/** Status of a GET; the body is thrown away. */
export async function statusOf(target: Target, path: string): Promise<number> {
  const response = await fetch(target.url + path, { headers: { accept: ACCEPT } })
  await response.body?.cancel()
  return response.status
}

async function checkBlob(target: Target, repository: string, blob: Descriptor): Promise<void> {
  const path = `/v2/${repository}/blobs/${blob.digest}`
  const response = await fetch(target.url + path)
  assert.equal(response.status, 200, `GET ${path}: ${response.status}`)
  const hash = createHash('sha256')
  let size = 0
  for await (const chunk of response.body ?? []) {
    hash.update(chunk)
    size += chunk.length
  }
  assert.equal(`sha256:${hash.digest('hex')}`, blob.digest, `GET ${path}: other bytes`)
  assert.equal(size, blob.size, `GET ${path}: other size`)
}

async function putBlob(
  target: Target,
  repository: string,
  layout: Layout,
  { digest, size }: Descriptor,
): Promise<void> {
  const uploads = `${target.url}/v2/${repository}/blobs/uploads/`
  const opened = await fetch(uploads, { method: 'POST' })
  assert.equal(opened.status, 202, `POST ${uploads}: ${await opened.text()}`)
  const location = new URL(opened.headers.get('location') ?? '', uploads)
  location.searchParams.set('digest', digest)
  const done = await fetch(location, {
    method: 'PUT',
    headers: { 'content-length': String(size), 'content-type': 'application/octet-stream' },
    body: createReadStream(blobPath(layout.folder, digest)),
    duplex: 'half',
  })
  assert.equal(done.status, 201, `PUT ${location}: ${done.status} ${await done.text()}`)
}

async function putManifest(
  target: Target,
  repository: string,
  reference: string,
  layout: Layout,
  { digest, mediaType }: Descriptor,
): Promise<void> {
  const path = `/v2/${repository}/manifests/${reference}`
  const response = await fetch(target.url + path, {
    method: 'PUT',
    headers: { 'content-type': mediaType },
    body: await readFile(blobPath(layout.folder, digest)),
  })
  assert.equal(response.status, 201, `PUT ${path}: ${response.status} ${await response.text()}`)
}
