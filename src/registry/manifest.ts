/**
 * @module Manifests on their way in: media type, JSON, shape, descriptors. The bytes are kept as
 * received (the digest covers them); what is parsed here is only for reading. Rules and their
 * order: image-spec manifest.md and image-index.md, distribution-spec pushing-manifests.
 */
import { isUtf8 } from 'node:buffer'
import * as v from 'valibot'
import {
  annotationsSchema,
  checkDescriptor,
  type Descriptor,
  descriptorSchema,
  type ManifestChild,
} from './descriptor.ts'
import { RegistryError } from './errors.ts'
import { checkDepth } from './json-depth.ts'
import { manifestDepthMax, manifestDescriptorsMax } from './limits.ts'
import {
  isImageIndex,
  isImageManifest,
  isNonDistributable,
  isSchema1,
  isServable,
  manifestTypeOf,
  mediaTypes,
} from './media-type.ts'
import { readEdges } from './unknown-manifest.ts'

export interface Manifest {
  readonly mediaType: string
  /** As a referrers list shows it: the field, else an image manifest's config type. */
  readonly artifactType: string | undefined
  readonly subject: Descriptor | undefined
  readonly annotations: Readonly<Record<string, string>> | undefined
  readonly children: readonly ManifestChild[]
}

const schemaVersion = v.literal(2, 'schemaVersion must be 2')

/** `null` is absence for every optional member: it is what Go writes for a nil slice or map. */
const common = {
  mediaType: v.nullish(v.string()),
  artifactType: v.nullish(v.string()),
  subject: v.nullish(descriptorSchema),
  annotations: v.nullish(annotationsSchema),
}

const imageManifestSchema = v.looseObject({
  ...common,
  schemaVersion,
  config: descriptorSchema,
  layers: v.nullish(v.pipe(v.array(descriptorSchema), v.maxLength(manifestDescriptorsMax))),
  manifests: v.nullish(v.never('an image manifest must not have "manifests"')),
})

const imageIndexSchema = v.looseObject({
  ...common,
  schemaVersion,
  manifests: v.nullish(v.pipe(v.array(descriptorSchema), v.maxLength(manifestDescriptorsMax))),
  config: v.nullish(v.never('an image index must not have "config"')),
  layers: v.nullish(v.never('an image index must not have "layers"')),
})

/** Types that we do not know: texts and annotations only if they are well-formed. */
const unknownSchema = v.looseObject({
  artifactType: v.fallback(v.nullish(v.string()), undefined),
  annotations: v.fallback(v.nullish(annotationsSchema), undefined),
})

type DigestOf = (algorithm: string, bytes: Uint8Array) => string | undefined

/**
 * Parses a manifest of at most 4 MiB. `digestOf` computes digests for embedded `data` (undefined
 * for algorithms that it does not know). Throws MANIFEST_INVALID or DIGEST_INVALID.
 */
export function parseManifest(
  bytes: Uint8Array,
  contentType: string | undefined,
  digestOf: DigestOf,
): Manifest {
  const json = parseJsonObject(bytes)
  const mediaType = decideMediaType(json, contentType)
  if (isSchema1(mediaType)) {
    throw invalid('Docker schema 1 manifests are not supported; push an OCI or schema 2 image')
  }
  if (isImageManifest(mediaType))
    return imageManifest(check(imageManifestSchema, json), mediaType, digestOf)
  if (isImageIndex(mediaType)) return imageIndex(check(imageIndexSchema, json), mediaType, digestOf)
  return unknownManifest(json, mediaType, digestOf)
}

/**
 * A manifest of a type that we do not know. What is accepted is kept whole, so whatever it refers to
 * has to be found: descriptors where every known type has them, and any other digest that it mentions.
 */
function unknownManifest(
  json: Record<string, unknown>,
  mediaType: string,
  digestOf: DigestOf,
): Manifest {
  const { artifactType, annotations } = check(unknownSchema, json)
  const { subject, children } = readEdges(json, (raw, place) =>
    checkDescriptor(check(descriptorSchema, raw, place), place, digestOf),
  )
  return { mediaType, ...describe({ annotations }, artifactType, digestOf), subject, children }
}

function parseJsonObject(bytes: Uint8Array): Record<string, unknown> {
  let json: unknown
  try {
    // Not TextDecoder: it takes no shared memory, and a copy of megabytes costs more than the rest.
    if (!isUtf8(bytes)) throw new TypeError('it is not UTF-8')
    checkDepth(bytes, manifestDepthMax)
    json = JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString())
  } catch (error) {
    throw invalid(`manifest is not JSON: ${error instanceof Error ? error.message : ''}`)
  }
  if (typeof json !== 'object' || json === null || Array.isArray(json)) {
    throw invalid('manifest is not a JSON object')
  }
  return json as Record<string, unknown>
}

/** The header's type and the body's must agree; the shape decides when neither says anything. */
function decideMediaType(json: Record<string, unknown>, contentType: string | undefined): string {
  const fromHeader = manifestTypeOf(contentType)
  const raw = json['mediaType'] ?? undefined
  if (raw !== undefined && typeof raw !== 'string') throw invalid('mediaType must be a string')
  if (fromHeader !== undefined && raw !== undefined && raw.toLowerCase() !== fromHeader) {
    throw invalid(`mediaType ${raw} is not the Content-Type ${fromHeader}`)
  }
  const fromBody = manifestTypeOf(raw)
  const mediaType = fromHeader ?? fromBody
  if (mediaType !== undefined) {
    if (isServable(mediaType)) return mediaType
    throw invalid(`a manifest cannot be of the type ${mediaType}: browsers run such content`)
  }
  if (Array.isArray(json['manifests'])) return mediaTypes.ociIndex
  if (typeof json['config'] === 'object' && json['config'] !== null) return mediaTypes.ociManifest
  throw invalid('the type of the manifest is not known: set Content-Type or mediaType')
}

function imageManifest(
  raw: v.InferOutput<typeof imageManifestSchema>,
  mediaType: string,
  digestOf: DigestOf,
): Manifest {
  const config = checkDescriptor(raw.config, 'config', digestOf)
  const layers = (raw.layers ?? []).map((layer, index): ManifestChild => {
    const checked = checkDescriptor(layer, `layers[${index}]`, digestOf)
    return { ...checked, kind: 'layer', isRequired: !isNonDistributable(layer.mediaType) }
  })
  return {
    mediaType,
    ...describe(raw, raw.artifactType ?? raw.config.mediaType, digestOf),
    children: [{ ...config, kind: 'config', isRequired: true }, ...layers],
  }
}

function imageIndex(
  raw: v.InferOutput<typeof imageIndexSchema>,
  mediaType: string,
  digestOf: DigestOf,
): Manifest {
  const children = (raw.manifests ?? []).map((child, index): ManifestChild => {
    const checked = checkDescriptor(child, `manifests[${index}]`, digestOf)
    return { ...checked, kind: 'manifest', isRequired: true }
  })
  return { mediaType, ...describe(raw, raw.artifactType, digestOf), children }
}

function describe(
  raw: Partial<Pick<v.InferOutput<typeof imageIndexSchema>, 'subject' | 'annotations'>>,
  artifactType: string | null | undefined,
  digestOf: DigestOf,
): Pick<Manifest, 'artifactType' | 'subject' | 'annotations'> {
  return {
    artifactType: artifactType ?? undefined,
    subject: raw.subject ? checkDescriptor(raw.subject, 'subject', digestOf) : undefined,
    annotations: raw.annotations ?? undefined,
  }
}

function check<S extends v.GenericSchema>(
  schema: S,
  json: unknown,
  place?: string,
): v.InferOutput<S> {
  const result = v.safeParse(schema, json, { abortPipeEarly: true })
  if (result.success) return result.output
  const problems = result.issues.slice(0, 20).map((issue) => {
    const field = [place, v.getDotPath(issue)].filter((part) => part != null).join('.')
    return { field, problem: issue.message }
  })
  const [first] = problems
  throw new RegistryError('MANIFEST_INVALID', {
    message: `manifest is not valid: ${first?.field || 'it'}: ${first?.problem}`,
    detail: problems,
  })
}

function invalid(message: string): RegistryError {
  return new RegistryError('MANIFEST_INVALID', { message })
}
