/** @module Which manifests are taken and which refused, as a table, over real sockets. */
import { beforeAll, describe, expect, test } from 'vitest'
import { mediaTypes } from '../../src/registry/media-type.ts'
import { describeRegistry } from '../support/in-process.ts'
import {
  type Answer,
  type Descriptor,
  errorsOf,
  imageIndex,
  imageManifest,
  inByteOrder,
  refusal,
  sha256,
} from '../support/registry-client.ts'

const layerType = 'application/vnd.oci.image.layer.v1.tar+gzip'
const config: Descriptor = describeContent('{}', 'application/vnd.oci.image.config.v1+json')
const layer: Descriptor = describeContent('layer', layerType)
const missing: Descriptor = describeContent('missing', layerType)
const image = imageManifest(config, [layer])
const stored = describeContent(JSON.stringify(image), mediaTypes.ociManifest)

function describeContent(content: string, mediaType: string): Descriptor {
  return { mediaType, digest: sha256(content), size: content.length }
}

const without = (field: string) => {
  const { [field]: _left, ...rest } = image as Record<string, unknown>
  return rest
}

const nested = (depth: number) =>
  `{"schemaVersion":2,"config":{},"layers":[],"x":${'['.repeat(depth)}${']'.repeat(depth)}}`

const raw = (text: string) => text.replace('LAYER', JSON.stringify(layer))
const rawImage = (fields: string) =>
  `{"schemaVersion":2,"mediaType":"${mediaTypes.ociManifest}","config":${JSON.stringify(config)},"layers":[]${fields}}`

const INVALID = '400 MANIFEST_INVALID'
const DIGEST = '400 DIGEST_INVALID'
const UNKNOWN = '400 MANIFEST_BLOB_UNKNOWN'

type Case = [name: string, manifest: object | string, expected: string, contentType?: string]

const SHAPES: Case[] = [
  ['an image', image, '201'],
  ['an image without layers', imageManifest(config, []), '201'],
  ['one digest twice among the layers', imageManifest(config, [layer, layer]), '201'],
  [
    'unknown fields everywhere',
    { ...image, 'x-y': [{ deep: {} }], config: { ...config, z: 1 } },
    '201',
  ],
  ['null annotations and subject', { ...image, annotations: null, subject: null }, '201'],
  ['an index without manifests', imageIndex([]), '201'],
  ['an index of an image', imageIndex([stored]), '201'],
  ['a nested index', imageIndex([describeContent('[]', mediaTypes.ociIndex)]), '201'],
  ['nothing', '', INVALID],
  ['no JSON', '{"schemaVersion":2', INVALID],
  ['bytes after the JSON', `${JSON.stringify(image)}x`, INVALID],
  ['an array', '[]', INVALID],
  ['null', 'null', INVALID],
  ['a text', '"x"', INVALID],
  ['schemaVersion 1', { ...image, schemaVersion: 1 }, INVALID],
  ['schemaVersion "2"', { ...image, schemaVersion: '2' }, INVALID],
  ['no schemaVersion', without('schemaVersion'), INVALID],
  ['no config', without('config'), INVALID],
  ['no layers', without('layers'), INVALID],
  ['config null', { ...image, config: null }, INVALID],
  ['layers null', { ...image, layers: null }, INVALID],
  ['layers an object', { ...image, layers: {} }, INVALID],
  ['layers of null', { ...image, layers: [null] }, INVALID],
  ['an image that has manifests too', { ...image, manifests: [] }, INVALID],
  ['an index that has layers too', { ...imageIndex([]), layers: [] }, INVALID],
  ['an index that has a config too', { ...imageIndex([]), config }, INVALID],
  ['an index without a list', { schemaVersion: 2, mediaType: mediaTypes.ociIndex }, INVALID],
  ['annotations that are no object', { ...image, annotations: ['a'] }, INVALID],
  ['annotations that are no texts', { ...image, annotations: { a: 1 } }, INVALID],
  ['annotations of null', { ...image, annotations: { a: null } }, INVALID],
  ['an artifactType that is no text', { ...image, artifactType: 5 }, INVALID],
  ['a subject that is a text', { ...image, subject: config.digest }, INVALID],
  ['a mediaType that is no text', { ...image, mediaType: 5 }, INVALID],
  [
    'nesting at the limit',
    nested(63).replace('"config":{}', `"config":${JSON.stringify(config)}`),
    '201',
  ],
  ['nesting beyond the limit', nested(64), INVALID],
  ['a bomb of nesting', nested(1_000_000), INVALID],
  ['a field named __proto__', rawImage(',"__proto__":{"subject":5,"annotations":7}'), '201'],
  ['an annotation named __proto__', rawImage(',"annotations":{"__proto__":"x"}'), '201'],
  ['a constructor', rawImage(',"constructor":{"prototype":{"x":1}}'), '201'],
  ['the last of two equal keys counts', rawImage(',"schemaVersion":3'), INVALID],
  ['two equal keys', rawImage(',"layers":[]'), '201'],
  ['a number beyond all bounds', rawImage(`,"x":${'9'.repeat(5000)}`), '201'],
  ['text that is not UTF-8', rawImage(',"x":"\u0000"'), INVALID],
]

const DESCRIPTORS: Case[] = [
  ['no mediaType', imageManifest({ ...config, mediaType: '' }, []), INVALID],
  [
    'a mediaType that is no text',
    imageManifest(config, [{ ...layer, mediaType: 1 as never }]),
    INVALID,
  ],
  ['no digest', imageManifest(config, [{ mediaType: 'a/b', size: 1 } as never]), INVALID],
  ['no size', imageManifest(config, [{ ...layer, size: undefined as never }]), INVALID],
  ['a size that is a text', imageManifest(config, [{ ...layer, size: '5' as never }]), INVALID],
  ['a negative size', imageManifest(config, [{ ...layer, size: -1 }]), INVALID],
  ['half a byte', imageManifest(config, [{ ...layer, size: 4.5 }]), INVALID],
  [
    'a size beyond exact integers',
    raw(
      rawImage(
        `,"subject":{"mediaType":"a/b","digest":"${config.digest}","size":9007199254740993}`,
      ),
    ),
    INVALID,
  ],
  [
    'a size that is infinite',
    raw(rawImage(`,"subject":{"mediaType":"a/b","digest":"${config.digest}","size":1e999}`)),
    INVALID,
  ],
  ['a short digest', imageManifest({ ...config, digest: 'sha256:abc' }, []), DIGEST],
  [
    'a digest in capitals',
    imageManifest({ ...config, digest: config.digest.toUpperCase() }, []),
    DIGEST,
  ],
  ['a digest without algorithm', imageManifest(config, [{ ...layer, digest: 'abc' }]), DIGEST],
  ['an empty digest', imageManifest(config, [{ ...layer, digest: '' }]), DIGEST],
  ['a bad digest of a subject', { ...image, subject: { ...config, digest: 'x:' } }, DIGEST],
  ['a bad digest in an index', imageIndex([{ ...stored, digest: 'sha256:' }]), DIGEST],
  ['urls that are no texts', imageManifest(config, [{ ...layer, urls: [1] }]), INVALID],
  ['another size than the stored blob', imageManifest(config, [{ ...layer, size: 6 }]), INVALID],
  ['another size than the stored manifest', imageIndex([{ ...stored, size: 1 }]), INVALID],
  ['data that is right', imageManifest({ ...config, data: 'e30=' }, []), '201'],
  ['data of another length', imageManifest({ ...config, data: 'e30K' }, []), INVALID],
  ['data of another content', imageManifest({ ...config, data: 'e3w=' }, []), INVALID],
  ['data that is no base64', imageManifest({ ...config, data: 'e3!=' }, []), INVALID],
  ['data that is no text', imageManifest({ ...config, data: 5 }, []), INVALID],
]

const TYPES: Case[] = [
  ['parameters of the header', image, '201', `${mediaTypes.ociManifest}; charset=utf-8`],
  ['capitals in the header', image, '201', mediaTypes.ociManifest.toUpperCase()],
  ['another header than body', image, INVALID, mediaTypes.ociIndex],
  ['no mediaType in the body', without('mediaType'), '201', mediaTypes.dockerManifest],
  [
    'an image that calls itself an index',
    { ...image, mediaType: mediaTypes.ociIndex },
    INVALID,
    mediaTypes.ociIndex,
  ],
  ['a header that says nothing', image, '201', 'application/json'],
  ['no type at all, the shape of an image', without('mediaType'), '201', 'text/plain'],
  [
    'no type at all, the shape of an index',
    { schemaVersion: 2, manifests: [] },
    '201',
    'application/octet-stream',
  ],
  ['no type and no shape', { schemaVersion: 2 }, INVALID, 'application/json'],
  [
    'Docker schema 1',
    { schemaVersion: 1 },
    INVALID,
    'application/vnd.docker.distribution.manifest.v1+json',
  ],
  [
    'Docker schema 1, signed',
    { schemaVersion: 1 },
    INVALID,
    'application/vnd.docker.distribution.manifest.v1+prettyjws',
  ],
  [
    'a Docker list',
    { schemaVersion: 2, mediaType: mediaTypes.dockerList, manifests: [stored] },
    '201',
  ],
  [
    'a type that nobody knows',
    { hello: ['world'] },
    '201',
    'application/vnd.example.thing.v1+json',
  ],
  [
    'the withdrawn artifact manifest',
    {
      mediaType: 'application/vnd.oci.artifact.manifest.v1+json',
      blobs: [missing],
      subject: config,
    },
    '201',
  ],
  [
    'an unknown type with a bad subject',
    { subject: 5, annotations: 7, artifactType: 9 },
    '201',
    'application/vnd.example.thing.v1+json',
  ],
  [
    'an unknown type with the digest of its subject malformed',
    { subject: { ...config, digest: 'x' } },
    '201',
    'application/vnd.example.thing.v1+json',
  ],
  ['an unknown type that is no object', '[]', INVALID, 'application/vnd.example.thing.v1+json'],
]

const foreignLayer = (type: string) => ({
  ...missing,
  mediaType: type,
  urls: ['https://example.org'],
})
const unheardOf = { ...missing, digest: 'sha3-256:abcdef' }

const EXISTENCE: Case[] = [
  ['a missing config', imageManifest(missing, []), UNKNOWN],
  ['a missing layer', imageManifest(config, [layer, missing]), UNKNOWN],
  ['a layer that is a manifest here', imageManifest(config, [{ ...layer, ...stored }]), UNKNOWN],
  ['a layer under an algorithm nobody computes', imageManifest(config, [unheardOf]), UNKNOWN],
  [
    'a missing foreign layer',
    imageManifest(config, [
      foreignLayer('application/vnd.docker.image.rootfs.foreign.diff.tar.gzip'),
    ]),
    '201',
  ],
  [
    'a missing non-distributable layer',
    imageManifest(config, [
      foreignLayer('application/vnd.oci.image.layer.nondistributable.v1.tar+zstd'),
    ]),
    '201',
  ],
  ['urls alone excuse nothing', imageManifest(config, [foreignLayer(layerType)]), UNKNOWN],
  [
    'BuildKit’s cache index of blobs',
    imageIndex([layer, { ...config, mediaType: 'application/vnd.buildkit.cacheconfig.v0' }]),
    '201',
  ],
  ['a sparse index', imageIndex([stored, { ...stored, digest: missing.digest }]), '201'],
]

describeRegistry('a manifest', {}, (registry) => {
  beforeAll(async () => {
    await registry().client.pushBlob('app', '{}')
    await registry().client.pushBlob('app', 'layer')
    expect((await push(image, 'stored')).status).toBe(201)
  })

  let count = 0
  function push(manifest: object | string, tag = `case-${count++}`, contentType?: string) {
    const body = typeof manifest === 'string' ? Buffer.from(manifest) : manifest
    const headers = contentType === undefined ? {} : { 'Content-Type': contentType }
    return registry().client.putManifest('app', tag, fixUtf8(body), headers)
  }

  const outcome = (answer: Answer) => (answer.status === 201 ? '201' : refusal(answer))

  describe.each([
    ['its shape', SHAPES],
    ['its descriptors', DESCRIPTORS],
    ['its type', TYPES],
    ['what it names', EXISTENCE],
  ])('judged by %s', (_group, cases) => {
    test.each(cases)('%s', async (_name, manifest, expected, contentType) => {
      const answer = await push(manifest, 'case', contentType)
      expect(outcome(answer)).toBe(expected)
      if (answer.status === 201) {
        const pulled = await registry().client.get(answer.headers['location']!)
        expect(pulled.status).toBe(200)
        expect(sha256(pulled.body)).toBe(answer.headers['docker-content-digest'])
      }
    })
  })

  test('names each missing digest once', async () => {
    const others = ['a', 'b'].map((it) => describeContent(it, layerType))
    const manifest = imageManifest(missing, [others[0]!, layer, others[1]!, others[0]!, missing])
    const answer = await push(manifest)
    const expected = [missing, ...others].map(({ digest }) => ({ digest }))
    expect(errorsOf(answer).map(({ detail }) => detail)).toEqual(expected)
    expect(new Set(errorsOf(answer).map(({ code }) => code))).toEqual(
      new Set(['MANIFEST_BLOB_UNKNOWN']),
    )
  })

  test('says which fields are wrong', async () => {
    const answer = await push({ ...image, schemaVersion: 3, layers: [{ ...layer, size: -1 }] })
    const detail = errorsOf(answer)[0]?.detail as { field: string }[]
    expect(detail.map(({ field }) => field).sort(inByteOrder)).toEqual([
      'layers.0.size',
      'schemaVersion',
    ])
  })

  test('nothing of all this failed', () => {
    expect(registry().faults).toEqual([])
  })
})

/** A NUL in the table stands for a byte that no UTF-8 text has. */
function fixUtf8(body: object | Buffer): object | Buffer {
  if (!Buffer.isBuffer(body)) return body
  const at = body.indexOf(0)
  if (at >= 0) body[at] = 0xff
  return body
}

describeRegistry(
  'with both sparse policies turned',
  {
    engines: ['uws'],
    config: {
      policy: { allow_sparse_index: false, allow_missing_blobs: true, check_sizes: false },
    },
  },
  (registry) => {
    test('missing blobs are taken, missing manifests refused, sizes not compared', async () => {
      const { client } = registry()
      const put = (manifest: object) => client.putManifest('app', 'x', manifest)
      expect((await put(imageManifest(missing, [layer]))).status).toBe(201)
      const sparse = imageIndex([{ ...stored, digest: missing.digest }])
      expect(refusal(await put(sparse))).toBe(UNKNOWN)
      await client.pushBlob('app', '{}')
      expect((await put(imageManifest({ ...config, size: 77 }, []))).status).toBe(201)
    })
  },
)
