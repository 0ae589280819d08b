/**
 * @module Descriptors (image-spec, descriptor.md): the shape that every manifest's references have,
 * and what is judged about them beyond their shape.
 */
import * as v from 'valibot'
import { type ForeignDigest, judgeDigest } from './digest.ts'
import { RegistryError } from './errors.ts'
import { manifestAnnotationsMax } from './limits.ts'

/**
 * Every name survives: `v.record` leaves out `__proto__`, `prototype` and `constructor`, and takes an
 * array for an object.
 */
const annotationsSchema = v.pipe(
  v.unknown(),
  v.check((value) => !Array.isArray(value), 'annotations must be an object'),
  v.check(
    (value) => Object.keys(value ?? {}).length <= manifestAnnotationsMax,
    `annotations must not be more than ${manifestAnnotationsMax}`,
  ),
  v.custom<Readonly<Record<string, string>>>(
    (value) => typeof value === 'object' && value !== null,
    'annotations must be an object',
  ),
  v.check((value) => Object.values(value).every(isText), 'annotations must be strings'),
)

const isText = (value: unknown) => typeof value === 'string'

/** Unknown fields are accepted everywhere: the specification lets others extend it. */
export const descriptorSchema = v.looseObject({
  mediaType: v.pipe(v.string(), v.nonEmpty('mediaType must not be empty')),
  digest: v.string(),
  size: v.pipe(
    v.number(),
    v.check((size) => Number.isSafeInteger(size) && size >= 0, 'size must be an integer >= 0'),
  ),
  urls: v.nullish(v.array(v.string())),
  annotations: v.nullish(annotationsSchema),
  data: v.nullish(v.string()),
  artifactType: v.nullish(v.string()),
})

export { annotationsSchema }

export type RawDescriptor = v.InferOutput<typeof descriptorSchema>

export interface Descriptor {
  readonly mediaType: string
  readonly digest: Exclude<ForeignDigest, { kind: 'malformed' }>
  readonly sizeBytes: number
}

/** What a manifest refers to. */
export interface ManifestChild extends Omit<Descriptor, 'sizeBytes'> {
  /** Undefined where the manifest only mentions the digest. */
  readonly sizeBytes: number | undefined
  /** A child of kind `manifest` may be a blob too, unless its media type is a manifest's. */
  readonly kind: 'config' | 'layer' | 'manifest'
  /** Whether the registry must hold it before it accepts the manifest (policy apart). */
  readonly isRequired: boolean
}

const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/

/**
 * Judges digest grammar and embedded `data`. Throws DIGEST_INVALID or MANIFEST_INVALID with the
 * field's place in the manifest.
 */
export function checkDescriptor(
  raw: RawDescriptor,
  place: string,
  digestOf: (algorithm: string, bytes: Uint8Array) => string | undefined,
): Descriptor {
  const digest = judgeDigest(raw.digest)
  if (digest.kind === 'malformed') {
    throw new RegistryError('DIGEST_INVALID', {
      message: `${place}.digest is malformed`,
      detail: { field: `${place}.digest`, digest: raw.digest.slice(0, 256) },
    })
  }
  if (raw.data != null) checkData(raw, raw.data, place, digestOf)
  return { mediaType: raw.mediaType, digest, sizeBytes: raw.size }
}

function checkData(
  raw: RawDescriptor,
  data: string,
  place: string,
  digestOf: (algorithm: string, bytes: Uint8Array) => string | undefined,
): void {
  const refuse = (message: string) =>
    new RegistryError('MANIFEST_INVALID', {
      message: `${place}.data ${message}`,
      detail: { field: `${place}.data`, digest: raw.digest },
    })
  if (!BASE64.test(data)) throw refuse('is not base64')
  const bytes = Buffer.from(data, 'base64')
  if (bytes.byteLength !== raw.size) throw refuse('does not have the size of its descriptor')
  const actual = digestOf(raw.digest.slice(0, raw.digest.indexOf(':')), bytes)
  if (actual !== undefined && actual !== raw.digest) {
    throw refuse('does not have the digest of its descriptor')
  }
}
