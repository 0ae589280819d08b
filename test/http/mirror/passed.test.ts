/**
 * What a push would refuse, through a mirror: bytes whose digest is right are passed on, whatever anybody
 * thinks of them.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { FaultyUpstream } from '../../support/faulty-upstream.ts'
import { dispose, type InProcessRegistry, startInProcess } from '../../support/in-process.ts'
import { sha256 } from '../../support/registry-client.ts'

const oci = 'application/vnd.oci.image.manifest.v1+json'
const docker = 'application/vnd.docker.distribution.manifest.v2+json'
const config = { mediaType: 'application/x', digest: sha256('{}'), size: 2 }
const layer = { mediaType: 'application/x', digest: sha256('l'), size: 1 }

const BODIES: readonly (readonly [string, object | string, string?])[] = [
  ['layers that are null', { schemaVersion: 2, mediaType: oci, config, layers: null }],
  ['no layers', { schemaVersion: 2, mediaType: oci, config }],
  [
    'null in a descriptor',
    {
      schemaVersion: 2,
      mediaType: oci,
      config: { ...config, urls: null, annotations: null, data: null },
      layers: [{ ...layer, annotations: null }],
      artifactType: null,
      subject: null,
    },
  ],
  [
    'manifests that are null',
    { schemaVersion: 2, mediaType: 'application/vnd.oci.image.index.v1+json', manifests: null },
  ],
  [
    'an OCI body under a docker type',
    { schemaVersion: 2, mediaType: oci, config, layers: [layer] },
    docker,
  ],
  [
    'a negative size',
    { schemaVersion: 2, mediaType: oci, config: { ...config, size: -1 }, layers: [] },
  ],
  [
    'a type of nobody',
    { mediaType: 'application/vnd.unheard.of', blobs: [layer] },
    'application/vnd.unheard.of',
  ],
  ['a type of a browser', '{"x":"<script>"}', 'image/svg+xml'],
  [
    'schema 1',
    { schemaVersion: 1, name: 'app', tag: 'v1', fsLayers: [] },
    'application/vnd.docker.distribution.manifest.v1+prettyjws',
  ],
  ['an array', '[]', oci],
  ['no JSON', 'just text', 'application/octet-stream'],
]

const CASES = BODIES.map(([name, body, type = oci]) => ({ name, body, type }))

const upstream = new FaultyUpstream()
let registry: InProcessRegistry

beforeAll(async () => {
  await upstream.start()
  registry = await startInProcess({
    engine: 'uws',
    mirrors: [{ name: 'hub', upstream: upstream.url }],
  })
})
afterAll(async () => {
  await dispose(registry)
  await upstream.stop()
})

describe.each(CASES)('$name', ({ name, body, type }) => {
  const bytes = typeof body === 'string' ? body : JSON.stringify(body)
  const digest = sha256(bytes)
  const repository = name.replaceAll(/[^a-z0-9]+/gi, '-').toLowerCase()

  beforeAll(() => {
    upstream.fault = (request, response) => {
      if (!request.url!.startsWith(`/v2/${repository}/manifests/`)) return false
      response.writeHead(200, {
        'Content-Type': type,
        'Content-Length': Buffer.byteLength(bytes),
        'Docker-Content-Digest': digest,
      })
      response.end(request.method === 'HEAD' ? undefined : bytes)
      return true
    }
  })

  test.each([
    ['tag', 'v1'],
    ['digest', digest],
  ])('comes by %s, as it is, each time', async (_by, reference) => {
    const path = `/v2/hub/${repository}/manifests/${reference}`
    for (let count = 0; count < 2; count += 1) {
      const head = await registry.client.head(path)
      const answer = await registry.client.get(path)
      for (const it of [head, answer]) {
        expect(it.status).toBe(200)
        expect(it.headers['docker-content-digest']).toBe(digest)
        expect(String(it.headers['content-type'])).toMatch(/^application\//)
      }
      expect(answer.text).toBe(bytes)
    }
  })
})

test('bytes of another digest are passed on to nobody', async () => {
  upstream.fault = (_request, response) => {
    response.writeHead(200, { 'Content-Type': oci, 'Docker-Content-Digest': sha256('a') })
    response.end('{"b":1}')
    return true
  }
  for (const reference of ['v1', sha256('a')]) {
    expect((await registry.client.get(`/v2/hub/other/manifests/${reference}`)).status).toBe(502)
  }
})
