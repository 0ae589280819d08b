/**
 * Bytes are linked to a mirrored repository where upstream has confirmed them for that repository, and
 * nowhere else: naming a digest is not having it.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeEach, describe, expect, test } from 'vitest'
import { basic, htpasswd } from '../../support/access.ts'
import { FaultyUpstream } from '../../support/faulty-upstream.ts'
import { dispose, type InProcessRegistry, startInProcess, until } from '../../support/in-process.ts'
import { imageManifest, sha256, someBytes } from '../../support/registry-client.ts'

const folder = mkdtempSync(join(tmpdir(), 'fastregistry-proof-'))
const file = join(folder, 'htpasswd')
writeFileSync(file, htpasswd({ user: 'user-secret', other: 'other-secret' }))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const user = basic('user', 'user-secret')
const other = basic('other', 'other-secret')
const secret = someBytes(300_000, 7)
const digest = sha256(secret)
const config = { mediaType: 'application/x', digest: sha256('{}'), size: 2 }

function naming(...sizes: number[]): object {
  const layers = sizes.map((size) => ({
    mediaType: 'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip',
    digest,
    size,
    urls: ['https://example.com/x'],
  }))
  return imageManifest(config, layers)
}

let upstream: FaultyUpstream
let registry: InProcessRegistry

async function begin(settings: object = {}): Promise<void> {
  registry = await startInProcess({
    engine: 'uws',
    config: {
      auth: { type: 'htpasswd', htpasswd_file: file },
      access: [
        { repositories: ['m.test/evil/**'], users: ['user'], actions: ['pull', 'push', 'list'] },
        { repositories: ['m.test/**', 'copies/**'], users: ['other'], actions: ['pull', 'push'] },
      ],
    },
    mirrors: [{ name: 'm.test', upstream: upstream.url, ...settings }],
  })
  const pulled = await registry.client.get(`/v2/m.test/secret/y/blobs/${digest}`, other)
  expect(pulled.status).toBe(200)
  await until(async () => (await registry.blobFiles()).length === 1)
}

beforeEach(async () => {
  upstream = new FaultyUpstream()
  await upstream.start()
  upstream.addBlob('secret/y', secret)
  upstream.addManifest('evil/x', 'v1', naming(secret.byteLength))
})

afterEach(async () => {
  await dispose(registry)
  await upstream.stop()
})

const blob = `/v2/m.test/evil/x/blobs/${digest}`

describe('a manifest that names a digest', () => {
  test('does not make the bytes of another repository readable', async () => {
    await begin()
    const manifest = await registry.client.get('/v2/m.test/evil/x/manifests/v1', user)
    expect(manifest.status).toBe(200)
    expect((await registry.client.get(blob, user)).status).toBe(404)
    expect((await registry.client.head(blob, user)).status).toBe(404)
    expect((await registry.client.get(blob, { ...user, Range: 'bytes=0-9' })).status).toBe(404)
    expect(upstream.count('HEAD', `/evil/x/blobs/${digest}`)).toBe(1)
  })

  test('does not while the bytes are on their way for somebody else', async () => {
    await begin()
    const slow = someBytes(400_000, 8)
    upstream.addBlob('secret/y', slow)
    upstream.addManifest(
      'evil/x',
      'v2',
      imageManifest(config, [
        { mediaType: 'application/x', digest: sha256(slow), size: slow.byteLength },
      ]),
    )
    await registry.client.get('/v2/m.test/evil/x/manifests/v2', user)
    upstream.bytesPerSecond = 400_000
    const pulling = registry.client.get(`/v2/m.test/secret/y/blobs/${sha256(slow)}`, other)
    await until(() => upstream.count('GET', sha256(slow)) === 1)
    const foreign = await registry.client.get(`/v2/m.test/evil/x/blobs/${sha256(slow)}`, user)
    expect(foreign.status).toBe(404)
    expect((await pulling).status).toBe(200)
  })

  test('does not where pushes are taken', async () => {
    await begin({ push: 'allow' })
    const pushed = await registry.client.request('PUT', '/v2/m.test/evil/mine/manifests/v1', {
      body: JSON.stringify(imageManifest({ ...config, digest, size: secret.byteLength }, [])),
      headers: { ...user, 'Content-Type': 'application/vnd.oci.image.manifest.v1+json' },
    })
    expect(pushed.status).toBe(400)
    const foreign = await registry.client.request('PUT', '/v2/m.test/evil/mine/manifests/v1', {
      body: JSON.stringify(naming(secret.byteLength)),
      headers: { ...user, 'Content-Type': 'application/vnd.oci.image.manifest.v1+json' },
    })
    expect([201, 400]).toContain(foreign.status)
    const mount = `/v2/m.test/evil/mine/blobs/uploads/?mount=${digest}`
    expect((await registry.client.request('POST', mount, { headers: user })).status).toBe(202)
    const found = await registry.client.get(`/v2/m.test/evil/mine/blobs/${digest}`, user)
    expect(found.status).toBe(404)
  })
})

describe('upstream’s word for the repository', () => {
  test('is asked for once, and then the stored bytes are linked', async () => {
    upstream.addBlob('evil/x', secret)
    await begin()
    for (let count = 0; count < 3; count += 1) {
      const answer = await registry.client.get(blob, user)
      expect(answer.body.equals(secret)).toBe(true)
    }
    expect(upstream.count('HEAD', `/evil/x/blobs/${digest}`)).toBe(1)
    expect(upstream.count('GET', `/evil/x/blobs/${digest}`)).toBe(0)
  })

  test('is asked for by GET of one byte where HEAD is not answered', async () => {
    upstream.addBlob('evil/x', secret)
    await begin()
    upstream.fault = (request, response) => {
      if (request.method !== 'HEAD') return false
      response.writeHead(405, { 'Content-Length': 0 }).end()
      return true
    }
    expect((await registry.client.get(blob, user)).body.equals(secret)).toBe(true)
    const asked = upstream.asked.filter(({ url }) => url.includes('/evil/x/blobs/'))
    expect(asked.map(({ method, headers }) => `${method} ${headers.range ?? ''}`)).toEqual([
      'HEAD ',
      'GET bytes=0-0',
    ])
  })

  test('counts only with the right length', async () => {
    await begin()
    upstream.fault = (request, response) => {
      if (!request.url!.includes('/evil/x/blobs/')) return false
      response.writeHead(200, { 'Content-Length': secret.byteLength + 1 }).end()
      return true
    }
    expect((await registry.client.get(blob, user)).status).toBe(502)
  })

  test('for one repository is not that for another of the same fill', async () => {
    await begin()
    const late = someBytes(500_000, 9)
    const name = sha256(late)
    upstream.addBlob('secret/y', late)
    // Whoever has no right to it begins; whoever has joins.
    upstream.fault = (request, response) => {
      if (request.method !== 'GET' || !request.url!.includes(`/evil/x/blobs/${name}`)) return false
      setTimeout(() => response.writeHead(404).end(), 200)
      return true
    }
    const refused = registry.client.get(`/v2/m.test/evil/x/blobs/${name}`, user)
    await until(() => upstream.count('GET', `/evil/x/blobs/${name}`) === 1)
    const given = await registry.client.get(`/v2/m.test/secret/y/blobs/${name}`, other)
    expect((await refused).status).toBe(404)
    expect(given.body.equals(late)).toBe(true)
  })
})
