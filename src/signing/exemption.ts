/**
 * @module What may be under a tag that is named after an image although no policy has judged it: signatures have to
 * be there before the image can be verified. Nothing that can be run is exempt, whatever its tag and its types are.
 */
import type { MetadataReader } from '../metadata/port.ts'
import { type Digest, parseDigest } from '../registry/digest.ts'
import type { RepositoryName } from '../registry/name.ts'
import { SBOM_TYPES } from '../registry/named-tag.ts'
import { nextTurn } from '../runtime/next-turn.ts'
import { bundleType, isBundleType } from './formats/bundle.ts'
import { envelopeType, statementType } from './formats/dsse.ts'
import { type Loose, listOf, objectOf, textOf } from './formats/encoding.ts'
import { simpleSigningType } from './formats/simple-signing.ts'

/** Largest manifest that can be exempt, bytes: it is parsed on this thread, once a push. */
const bytesMax = 256 * 1024

/** Largest manifest of a list, and how many of them there may be. */
const memberBytesMax = 64 * 1024
const membersMax = 128

/** Manifests of one list together, bytes: what has more is not exempt. */
export const listedBytesMax = 2 * 1024 * 1024

/** Layers that nobody can run. */
const LAYER_TYPES: ReadonlySet<string> = new Set([
  simpleSigningType,
  envelopeType,
  statementType,
  bundleType,
  'application/jose+json',
  'application/cose',
  'application/vnd.oci.empty.v1+json',
  ...SBOM_TYPES,
])

/** Names that programs in Go read in any case: another spelling of one would be another manifest to them. */
const FOLDED: ReadonlySet<string> = new Set([
  'layers',
  'manifests',
  'config',
  'subject',
  'mediatype',
  'digest',
  // Of the first version of Docker's manifests: in no spelling.
  'fslayers',
])

/** Types of configs that clients take for those of images: only these they unpack. */
const IMAGE_CONFIG = /^application\/vnd\.(?:oci\.image\.config|docker\.container\.image)\b/i

/** Beginnings of what clients unpack: gzip, zstd, xz, bzip2. */
const PACKED: readonly Uint8Array[] = [
  Uint8Array.of(0x1f, 0x8b),
  Uint8Array.of(0x28, 0xb5, 0x2f, 0xfd),
  Uint8Array.of(0xfd, 0x37, 0x7a, 0x58, 0x5a),
  Uint8Array.of(0x42, 0x5a, 0x68),
]

/** Layers of one image that are looked at, and their bytes in all. */
const layersMax = 128
const layerBytesMax = 32 * 1024 * 1024

export interface ExemptionSources {
  readonly metadata: MetadataReader
  /** A blob of at most so many bytes; undefined: it is not here, or has more. */
  readonly readBlob: (digest: Digest, bytesMax: number) => Promise<Uint8Array | undefined>
}

/** What a manifest is, as far as an exemption asks. */
export interface Exemptible {
  /** The image that it names itself. */
  readonly subject: string | undefined
  /** Images that all manifests of a list name; undefined: it is no list. */
  readonly subjects: ReadonlySet<string | undefined> | undefined
}

/** Undefined: it can never be exempt. */
export async function exemptibleOf(
  sources: ExemptionSources,
  repository: RepositoryName,
  bytes: Uint8Array,
): Promise<Exemptible | undefined> {
  const { metadata } = sources
  if (bytes.byteLength > bytesMax) return undefined
  const manifest = plain(parse(bytes))
  if (manifest === undefined) return undefined
  const members = listOf(manifest['manifests'])
  if (members.length === 0) {
    return isOfSignatures(manifest) && !(await isUnpacked(sources, manifest))
      ? { subject: subjectOf(manifest), subjects: undefined }
      : undefined
  }
  if (members.length > membersMax || listOf(manifest['layers']).length > 0) return undefined
  const subjects = new Set<string | undefined>()
  const seen = new Set<string>()
  let leftBytes = listedBytesMax
  for (const member of members) {
    const digest = parseDigest(textOf(plain(objectOf(member))?.['digest']) ?? '')
    if (!digest.ok || metadata.get('manifests', [repository, digest.value]) === undefined) {
      return undefined
    }
    if (seen.has(digest.value)) continue
    seen.add(digest.value)
    await metadata.pageIn('manifestBytes', digest.value)
    // Each is parsed on this thread.
    await nextTurn()
    const stored = metadata.getBytes('manifestBytes', digest.value)
    if (stored === undefined || stored.byteLength > memberBytesMax) return undefined
    leftBytes -= stored.byteLength
    if (leftBytes < 0) return undefined
    const listed = plain(parse(stored))
    if (listed === undefined || !isOfSignatures(listed)) return undefined
    if (await isUnpacked(sources, listed)) return undefined
    subjects.add(subjectOf(listed))
  }
  return { subject: subjectOf(manifest), subjects }
}

/** Whether a manifest holds nothing but signatures, attestations, SBOMs itself: a list of such manifests is none. */
export async function isSignatures(sources: ExemptionSources, bytes: Uint8Array): Promise<boolean> {
  const manifest = bytes.byteLength > bytesMax ? undefined : plain(parse(bytes))
  if (manifest === undefined || !isOfSignatures(manifest)) return false
  return !(await isUnpacked(sources, manifest))
}

/** Whether it may be under a tag that is named after `subject`. */
export function isExempt({ subject: own, subjects }: Exemptible, subject: string): boolean {
  if (own !== undefined && own !== subject) return false
  return subjects === undefined || (subjects.size === 1 && subjects.has(subject))
}

/** All that it holds is signatures, attestations, SBOMs. */
function isOfSignatures(manifest: Loose): boolean {
  const layers = listOf(manifest['layers'])
  if (layers.length === 0 || listOf(manifest['manifests']).length > 0) return false
  return layers.every((it) => {
    const type = textOf(plain(objectOf(it))?.['mediaType']) ?? ''
    return LAYER_TYPES.has(type) || isBundleType(type)
  })
}

/**
 * Whether clients may find programs in it. They unpack what has the config of an image, whatever the types of its layers
 * are. Signatures, attestations and SBOMs are text: what has no byte 0 and is not packed holds nothing that can be run.
 * A layer that is not here (a mirror has not fetched it) says nothing.
 */
async function isUnpacked(
  { metadata, readBlob }: ExemptionSources,
  { config, layers }: Loose,
): Promise<boolean> {
  // Without a config no client takes it for an image; one without a type may be taken for any.
  if (config === undefined) return false
  const type = textOf(plain(objectOf(config))?.['mediaType'])
  if (type !== undefined && !IMAGE_CONFIG.test(type)) return false
  const all = listOf(layers)
  if (all.length > layersMax) return true
  let room = layerBytesMax
  for (const it of all) {
    const digest = parseDigest(textOf(objectOf(it)?.['digest']) ?? '')
    if (!digest.ok) return true
    const row = metadata.get('blobs', digest.value)
    if (row === undefined) continue
    const bytes = row.sizeBytes > room ? undefined : await readBlob(digest.value, room)
    if (bytes === undefined || bytes.includes(0)) return true
    if (PACKED.some((magic) => magic.every((byte, at) => bytes[at] === byte))) return true
    room -= bytes.byteLength
  }
  return false
}

function subjectOf(manifest: Loose): string | undefined {
  return textOf(objectOf(manifest['subject'])?.['digest'])
}

/** Undefined: it is no JSON object. */
export function parse(bytes: Uint8Array): Loose | undefined {
  try {
    return objectOf(JSON.parse(Buffer.from(bytes).toString()))
  } catch {
    return undefined
  }
}

/**
 * The object, where no name is another spelling of one that means something. Go folds letters that are not ASCII as well
 * (U+017F is an s), and no manifest needs them.
 */
export function plain(object: Loose | undefined): Loose | undefined {
  const isPlain = (name: string) => {
    if (!/^[\x20-\x7e]*$/.test(name)) return false
    const folded = name.toLowerCase()
    if (folded === 'fslayers') return false
    return !FOLDED.has(folded) || name === (folded === 'mediatype' ? 'mediaType' : folded)
  }
  return object !== undefined && Object.keys(object).every(isPlain) ? object : undefined
}
