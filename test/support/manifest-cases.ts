/** @module Manifests and what a registry says to each: rows of name, document, expected, type. */
import { mediaTypes } from '../../src/registry/media-type.ts'
import { type Descriptor, imageIndex, imageManifest, sha256 } from './registry-client.ts'

export const layerType = 'application/vnd.oci.image.layer.v1.tar+gzip'
export const config: Descriptor = describeContent('{}', 'application/vnd.oci.image.config.v1+json')
export const layer: Descriptor = describeContent('layer', layerType)
export const missing: Descriptor = describeContent('missing', layerType)
export const image = imageManifest(config, [layer])
export const stored = describeContent(JSON.stringify(image), mediaTypes.ociManifest)

export function describeContent(content: string, mediaType: string): Descriptor {
  return { mediaType, digest: sha256(content), size: content.length }
}

const without = (field: string) => {
  const { [field]: _left, ...rest } = image as Record<string, unknown>
  return rest
}

const nested = (depth: number) =>
  `{"schemaVersion":2,"config":{},"layers":[],"x":${'['.repeat(depth)}${']'.repeat(depth)}}`

const rawImage = (fields: string) =>
  `{"schemaVersion":2,"mediaType":"${mediaTypes.ociManifest}","config":${JSON.stringify(config)},"layers":[]${fields}}`

const INVALID = '400 MANIFEST_INVALID'
const DIGEST = '400 DIGEST_INVALID'
export const UNKNOWN = '400 MANIFEST_BLOB_UNKNOWN'

export type Case = [name: string, manifest: object | string, expected: string, contentType?: string]

export const SHAPES: Case[] = [
  ['an image', image, '201'],
  ['an image without layers', imageManifest(config, []), '201'],
  ['one digest twice among the layers', imageManifest(config, [layer, layer]), '201'],
  [
    'unknown fields everywhere',
    { ...image, 'x-y': [{ deep: {} }], config: { ...config, z: 1 } },
    '201',
  ],
  ['null annotations and subject', { ...image, annotations: null, subject: null }, '201'],
  ['a null artifactType', { ...image, artifactType: null }, '201'],
  ['an image with null manifests', { ...image, manifests: null }, '201'],
  [
    'an index with null members of an image',
    { ...imageIndex([]), config: null, layers: null },
    '201',
  ],
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
  ['no layers', without('layers'), '201'],
  ['config null', { ...image, config: null }, INVALID],
  ['layers null', { ...image, layers: null }, '201'],
  ['layers an object', { ...image, layers: {} }, INVALID],
  ['layers of null', { ...image, layers: [null] }, INVALID],
  ['an image that has manifests too', { ...image, manifests: [] }, INVALID],
  ['an index that has layers too', { ...imageIndex([]), layers: [] }, INVALID],
  ['an index that has a config too', { ...imageIndex([]), config }, INVALID],
  ['an index without a list', { schemaVersion: 2, mediaType: mediaTypes.ociIndex }, '201'],
  ['an index with a list of null', { ...imageIndex([]), manifests: null }, '201'],
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

export const DESCRIPTORS: Case[] = [
  ...['urls', 'annotations', 'data', 'artifactType', 'platform'].map(
    (member): Case => [
      `a null ${member}`,
      imageManifest(config, [{ ...layer, [member]: null }]),
      '201',
    ],
  ),
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
    rawImage(`,"subject":{"mediaType":"a/b","digest":"${config.digest}","size":9007199254740993}`),
    INVALID,
  ],
  [
    'a size that is infinite',
    rawImage(`,"subject":{"mediaType":"a/b","digest":"${config.digest}","size":1e999}`),
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

export const TYPES: Case[] = [
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
      blobs: [layer],
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
    DIGEST,
    'application/vnd.example.thing.v1+json',
  ],
  [
    'an unknown type with members that mean something else',
    { blobs: 5, layers: ['x'], manifests: { a: 1 }, config: 'y' },
    '201',
    'application/vnd.example.thing.v1+json',
  ],
  [
    'an unknown type with a descriptor of no size',
    { blobs: [{ mediaType: 'a/b', digest: layer.digest }] },
    INVALID,
    'application/vnd.example.thing.v1+json',
  ],
  ...[
    'text/html',
    'text/css',
    'text/x-component',
    'image/svg+xml',
    'image/png',
    'application/xhtml+xml',
    'application/xml',
    'application/vnd.x.html.y',
    'application/javascript',
    'application/x-ecmascript; charset=utf-8',
    'multipart/mixed',
    'APPLICATION/RSS+XML',
  ].flatMap((type): Case[] => [
    [`content for browsers: ${type}`, { hello: 'world' }, INVALID, type],
    [`an image that calls itself ${type}`, { ...image, mediaType: type }, INVALID, type],
    [`a body that calls itself ${type}`, { mediaType: type }, INVALID, 'application/json'],
  ]),
  ['an unknown type that is no object', '[]', INVALID, 'application/vnd.example.thing.v1+json'],
]

const foreignLayer = (type: string) => ({
  ...missing,
  mediaType: type,
  urls: ['https://example.org'],
})
const unheardOf = { ...missing, digest: 'sha3-256:abcdef' }

export const EXISTENCE: Case[] = [
  ...['blobs', 'layers'].map(
    (member): Case => [
      `missing ${member} of an unknown type`,
      { [member]: [layer, missing] },
      UNKNOWN,
      'application/vnd.example.thing.v1+json',
    ],
  ),
  [
    'a missing config of an unknown type',
    { config: missing },
    UNKNOWN,
    'application/vnd.example.thing.v1+json',
  ],
  [
    'a digest that an unknown type only mentions',
    { here: { or: [`there ${missing.digest}`, missing.digest] } },
    '201',
    'application/vnd.example.thing.v1+json',
  ],
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
