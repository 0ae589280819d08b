/** @module Texts and documents as clients send them, for property tests. */
import fc from 'fast-check'
import { mediaTypes } from '../../src/registry/media-type.ts'

const alphanumeric = fc.string({
  unit: fc.constantFrom(...'abcdefghijklmnopqrstuvwxyz0123456789'),
  minLength: 1,
  maxLength: 12,
})
const separator = fc.constantFrom('.', '_', '__', '-', '--', '-----')

const component = fc
  .tuple(alphanumeric, fc.array(fc.tuple(separator, alphanumeric), { maxLength: 3 }))
  .map(([first, rest]) => first + rest.map(([mark, text]) => mark + text).join(''))

/** Components that the router must not take for its own. */
const confusing = fc.constantFrom(
  'blobs',
  'uploads',
  'manifests',
  'tags',
  'list',
  'referrers',
  'v2',
)

/** Repository names by the grammar, of at most 255 characters. */
export const nameText = fc
  .array(fc.oneof(component, confusing), { minLength: 1, maxLength: 6 })
  .map((components) => components.join('/'))
  .filter((name) => name.length <= 255)

export const tagText = fc
  .string({
    unit: fc.constantFrom(...'abcXYZ019._-'),
    minLength: 1,
    maxLength: 128,
  })
  .filter((tag) => !/^[.-]/.test(tag))

const hex = (length: number) =>
  fc.string({ unit: fc.constantFrom(...'0123456789abcdef'), minLength: length, maxLength: length })

/** Digests that this registry computes. */
export const digestText = fc.oneof(
  hex(64).map((text) => `sha256:${text}`),
  hex(128).map((text) => `sha512:${text}`),
  hex(64).map((text) => `blake3:${text}`),
)

/** Paths of visible ASCII, most of them below `/v2/` and near a route. */
export const pathText = fc.oneof(
  fc
    .string({ unit: fc.integer({ min: 0x21, max: 0x7e }).map((code) => String.fromCharCode(code)) })
    .map((text) => `/${text}`),
  fc
    .array(
      fc.oneof(
        confusing,
        fc.constantFrom(
          '',
          '.',
          '..',
          '%2e',
          '%2F',
          '%',
          '%zz',
          '%C3%A4',
          '%00',
          '_catalog',
          '_oci',
          'ext',
          'discover',
          'A',
          'a',
          'sha256:x',
          'admin',
          'status',
        ),
        nameText,
        digestText,
        tagText,
      ),
      { maxLength: 8 },
    )
    .map((parts) => `/v2/${parts.join('/')}`),
)

const anyDigest = fc.oneof(digestText, fc.constantFrom('sha256:x', '', 'md5:ab', 'x'))

const descriptor = fc.record(
  {
    mediaType: fc.oneof(fc.constantFrom(...Object.values(mediaTypes), ''), fc.jsonValue()),
    digest: fc.oneof(anyDigest, fc.jsonValue()),
    size: fc.oneof(fc.nat(), fc.jsonValue()),
    data: fc.oneof(fc.base64String(), fc.jsonValue()),
    urls: fc.jsonValue(),
    annotations: fc.oneof(fc.dictionary(fc.string(), fc.string()), fc.jsonValue()),
  },
  { requiredKeys: [] },
)

/** Documents near a manifest: right shapes with wrong parts, and any JSON. */
export const manifestDocument = fc.oneof(
  fc.jsonValue(),
  fc.record(
    {
      schemaVersion: fc.oneof(fc.constant(2), fc.jsonValue()),
      mediaType: fc.oneof(fc.constantFrom(...Object.values(mediaTypes)), fc.jsonValue()),
      artifactType: fc.oneof(fc.string(), fc.jsonValue()),
      config: fc.oneof(descriptor, fc.jsonValue()),
      layers: fc.oneof(fc.array(descriptor), fc.jsonValue()),
      manifests: fc.oneof(fc.array(descriptor), fc.jsonValue()),
      subject: fc.oneof(descriptor, fc.jsonValue()),
      annotations: fc.oneof(fc.dictionary(fc.string(), fc.string()), fc.jsonValue()),
      ['__proto__']: fc.jsonValue(),
    },
    { requiredKeys: [] },
  ),
)
