/**
 * @module Whether what a signature of Notation names is the image: digest, media type and size have to be its own.
 * @apart The type of a manifest that does not name it follows from its parts, which is a matter of its own.
 */
import { fromJson, textOf } from '../formats/encoding.ts'
import type { NotationSignature } from '../formats/notation.ts'

export interface SubjectBytes {
  readonly digest: string
  /** The manifest. */
  readonly bytes: Uint8Array
}

const ociManifest = 'application/vnd.oci.image.manifest.v1+json'
const ociIndex = 'application/vnd.oci.image.index.v1+json'

/** What is wrong with the target; undefined: it is the image. */
export function targetProblem(
  { digest, mediaType, size }: NotationSignature['target'],
  subject: SubjectBytes,
): string | undefined {
  if (digest !== subject.digest) return `it is about ${digest.slice(0, 140)}`
  if (size !== subject.bytes.byteLength) return 'it is about a manifest of another size'
  const own = typeOf(subject.bytes)
  return mediaType === own ? undefined : `it is about ${digest.slice(0, 140)} as ${mediaType}`
}

/** Only manifests of OCI may leave their type out. */
function typeOf(bytes: Uint8Array): string {
  const manifest = fromJson(bytes, bytes.byteLength, 'the image')
  const isIndex = Array.isArray(manifest['manifests'])
  return textOf(manifest['mediaType']) ?? (isIndex ? ociIndex : ociManifest)
}
