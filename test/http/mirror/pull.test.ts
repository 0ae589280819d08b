/**
 * A mirror in front of another FastRegistry: what comes out is what is upstream, under every name
 * that clients have for it, and what is cached needs no upstream.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  dispose,
  ENGINES,
  type InProcessRegistry,
  startInProcess,
  until,
} from '../../support/in-process.ts'
import {
  type Descriptor,
  imageIndex,
  imageManifest,
  refusal,
  sha256,
  someBytes,
} from '../../support/registry-client.ts'

const layerBytes = someBytes(3_000_000, 5)
let upstream: InProcessRegistry
let registry: InProcessRegistry
let layer: Descriptor
let config: Descriptor
let manifest: string

describe.each(ENGINES)('a mirror (%s)', (engine) => {
  beforeAll(async () => {
    upstream = await startInProcess({ engine: 'uws' })
    layer = await upstream.client.pushBlob('library/app', layerBytes)
    config = await upstream.client.pushBlob('library/app', '{"architecture":"amd64"}')
    manifest = JSON.stringify(
      imageManifest({ ...config, mediaType: 'application/vnd.oci.image.config.v1+json' }, [
        { ...layer, mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip' },
      ]),
    )
    const type = { 'Content-Type': 'application/vnd.oci.image.manifest.v1+json' }
    await upstream.client.putManifest('library/app', 'v1', manifest, type)
    const child = {
      mediaType: 'application/vnd.oci.image.manifest.v1+json',
      digest: sha256(manifest),
      size: manifest.length,
    }
    await upstream.client.putManifest('library/app', 'multi', imageIndex([child]))
    registry = await startInProcess({
      engine,
      // The fallbacks go together: no uWebSockets.js and no mapped files.
      config: { storage: { reader: engine === 'uws' ? 'auto' : 'file' } },
      mirrors: [
        { name: 'docker.io', upstream: `http://127.0.0.1:${upstream.port}`, root: true },
        { name: 'quay.io', upstream: `http://127.0.0.1:${upstream.port}`, push: 'allow' },
      ],
    })
  })

  afterAll(async () => {
    await dispose(registry)
    await dispose(upstream)
  })

  test('answers a HEAD of a tag from a HEAD upstream', async () => {
    const answer = await registry.client.head('/v2/docker.io/library/app/manifests/v1')
    expect(answer.status).toBe(200)
    expect(answer.headers['docker-content-digest']).toBe(sha256(manifest))
    expect(answer.headers['content-length']).toBe(String(manifest.length))
    const status = await upstream.client.get('/metrics')
    expect(status.text).not.toMatch(/route="manifest",method="GET"/)
  })

  test('answers a manifest with the bytes and the type of upstream', async () => {
    const first = await registry.client.get('/v2/docker.io/app/manifests/v1')
    expect(first.text).toBe(manifest)
    expect(first.headers['content-type']).toBe('application/vnd.oci.image.manifest.v1+json')
    expect(first.headers['x-fastregistry-cache']).toBe('miss')
    const second = await registry.client.get('/v2/docker.io/library/app/manifests/v1')
    expect(second.text).toBe(manifest)
    expect(second.headers['x-fastregistry-cache']).toBeUndefined()
  })

  test('echoes the namespace that a request names, also where the path says it too', async () => {
    for (const path of ['library/app', 'docker.io/library/app', 'app']) {
      const answer = await registry.client.get(`/v2/${path}/manifests/v1?ns=docker.io`)
      expect(answer.text, path).toBe(manifest)
      expect(answer.headers['oci-namespace'], path).toBe('docker.io')
    }
  })

  test('does not know namespaces that are not configured', async () => {
    const answer = await registry.client.get('/v2/library/app/manifests/v1?ns=ghcr.io')
    expect(refusal(answer)).toBe('404 NAME_UNKNOWN')
  })

  test('answers bare paths where it is the root, and local repositories win', async () => {
    expect((await registry.client.get('/v2/library/app/manifests/v1')).text).toBe(manifest)
    await registry.client.pushImage('library/own', 'v1')
    await upstream.client.pushImage('library/own', 'v2')
    expect((await registry.client.get('/v2/library/own/manifests/v1')).status).toBe(200)
    expect((await registry.client.get('/v2/library/own/manifests/v2')).status).toBe(404)
  })

  test('fetches a blob once for all who ask at once', async () => {
    const before = await blobGets()
    const path = `/v2/docker.io/library/app/blobs/${layer.digest}`
    expect((await registry.client.head(path)).headers['content-length']).toBe('3000000')
    expect(await blobGets()).toBe(before)
    const answers = await Promise.all([
      ...Array.from({ length: 20 }, () => registry.client.get(path)),
      registry.client.get(path, { Range: 'bytes=1000-1999' }),
    ])
    for (const answer of answers.slice(0, 20)) expect(sha256(answer.body)).toBe(layer.digest)
    expect(answers[20]!.status).toBe(206)
    expect(answers[20]!.body).toEqual(layerBytes.subarray(1000, 2000))
    expect(await blobGets()).toBe(before + 1)
    await until(async () => (await registry.uploadFiles()).length === 0)
  })

  test('answers small blobs, and ranges of what is stored', async () => {
    const small = await registry.client.get(`/v2/app/blobs/${config.digest}?ns=docker.io`)
    expect(small.text).toBe('{"architecture":"amd64"}')
    const part = await registry.client.get(`/v2/docker.io/app/blobs/${layer.digest}`, {
      Range: 'bytes=-10',
    })
    expect(part.status).toBe(206)
    expect(part.body).toEqual(layerBytes.subarray(-10))
  })

  test('stores an index before its children, which come when they are asked for', async () => {
    const index = await registry.client.get('/v2/docker.io/app/manifests/multi')
    expect(index.headers['content-type']).toBe('application/vnd.oci.image.index.v1+json')
    const [child] = (index.json as { manifests: Descriptor[] }).manifests
    const answer = await registry.client.get(`/v2/docker.io/app/manifests/${child!.digest}`)
    expect(answer.text).toBe(manifest)
  })

  test('lists the tags of upstream and of this registry', async () => {
    const answer = await registry.client.get('/v2/quay.io/library/app/tags/list')
    expect(answer.json).toEqual({ name: 'quay.io/library/app', tags: ['multi', 'v1'] })
    await registry.client.pushImage('quay.io/library/app', 'mine')
    const both = await registry.client.get('/v2/quay.io/library/app/tags/list?n=2')
    expect(both.json).toEqual({ name: 'quay.io/library/app', tags: ['mine', 'multi'] })
    expect(both.headers['link']).toContain('last=multi')
  })

  test('refuses pushes and deletes unless they are allowed', async () => {
    const push = await registry.client.request('POST', '/v2/docker.io/library/app/blobs/uploads/')
    expect(refusal(push)).toBe('403 DENIED')
    const remove = await registry.client.delete('/v2/docker.io/library/app/manifests/v1')
    expect(refusal(remove)).toBe('403 DENIED')
    expect((await registry.client.get('/v2/quay.io/library/app/manifests/mine')).status).toBe(200)
  })

  test('says 404 for what upstream does not have, and asks again only later', async () => {
    const path = '/v2/docker.io/library/app/manifests/none'
    expect(refusal(await registry.client.get(path))).toBe('404 MANIFEST_UNKNOWN')
    const before = await upstream.client.get('/metrics')
    expect(refusal(await registry.client.get(path))).toBe('404 MANIFEST_UNKNOWN')
    const count = (text: string) =>
      /route="manifest",method="GET",status="404"} (\d+)/.exec(text)?.[1]
    expect(count((await upstream.client.get('/metrics')).text)).toBe(count(before.text))
    expect(registry.faults).toEqual([])
  })
})

async function blobGets(): Promise<number> {
  const { text } = await upstream.client.get('/metrics')
  const counts = text.matchAll(/route="blob",method="GET",status="\d+"} (\d+)/g)
  return [...counts].reduce((sum, [, count]) => sum + Number(count), 0)
}
