/**
 * @module What may be under a tag that is named after an image although no policy has judged it: signatures have to
 * be there before the image can be verified. Nothing that can be run is exempt, whatever its tag and its types are.
 */
import type { MetadataReader } from '../metadata/port.ts'
import { parseDigest } from '../registry/digest.ts'
import type { RepositoryName } from '../registry/name.ts'
import { SBOM_TYPES } from '../registry/named-tag.ts'
import { bundleType, isBundleType } from './formats/bundle.ts'
import { envelopeType, statementType } from './formats/dsse.ts'
import { type Loose, listOf, objectOf, textOf } from './formats/encoding.ts'
import { simpleSigningType } from './formats/simple-signing.ts'

/** Largest manifest that can be exempt, bytes: it is parsed on this thread, once a push. */
const bytesMax = 256 * 1024

/** Largest manifest of a list, and how many of them there may be. */
const memberBytesMax = 64 * 1024
const membersMax = 128

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
])

/** What a manifest is, as far as an exemption asks. */
export interface Exemptible {
  /** The image that it names itself. */
  readonly subject: string | undefined
  /** Images that all manifests of a list name; undefined: it is no list. */
  readonly subjects: ReadonlySet<string | undefined> | undefined
}

/** Undefined: it can never be exempt. */
export async function exemptibleOf(
  metadata: MetadataReader,
  repository: RepositoryName,
  bytes: Uint8Array,
): Promise<Exemptible | undefined> {
  if (bytes.byteLength > bytesMax) return undefined
  const manifest = plain(parse(bytes))
  if (manifest === undefined) return undefined
  const members = listOf(manifest['manifests'])
  if (members.length === 0) {
    return isOfSignatures(manifest)
      ? { subject: subjectOf(manifest), subjects: undefined }
      : undefined
  }
  if (members.length > membersMax || listOf(manifest['layers']).length > 0) return undefined
  const subjects = new Set<string | undefined>()
  for (const member of members) {
    const digest = parseDigest(textOf(plain(objectOf(member))?.['digest']) ?? '')
    if (!digest.ok || metadata.get('manifests', [repository, digest.value]) === undefined) {
      return undefined
    }
    await metadata.pageIn('manifestBytes', digest.value)
    const stored = metadata.getBytes('manifestBytes', digest.value)
    if (stored === undefined || stored.byteLength > memberBytesMax) return undefined
    const listed = plain(parse(stored))
    if (listed === undefined || !isOfSignatures(listed)) return undefined
    subjects.add(subjectOf(listed))
  }
  return { subject: subjectOf(manifest), subjects }
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

/** The object, where no name is another spelling of one that means something. */
export function plain(object: Loose | undefined): Loose | undefined {
  const isPlain = (name: string) => {
    const folded = name.toLowerCase()
    return !FOLDED.has(folded) || name === (folded === 'mediatype' ? 'mediaType' : folded)
  }
  return object !== undefined && Object.keys(object).every(isPlain) ? object : undefined
}
