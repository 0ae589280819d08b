/**
 * @module A statement of the registry as clients read it: a DSSE envelope in a sigstore bundle of version 0.3, in a
 * manifest whose subject is the image. The key is named by a hint, and no transparency log is asked.
 */
import type { Digest } from '../../registry/digest.ts'
import { digestOf } from '../../registry/hasher.ts'
import { mediaTypes } from '../../registry/media-type.ts'
import { bundleType } from '../formats/bundle.ts'
import { signedBytesOf, statementType } from '../formats/dsse.ts'
import type { Signer } from './keys.ts'
import type { OwnStatement } from './statements.ts'
import { ownAnnotation } from './store.ts'

export const emptyType = 'application/vnd.oci.empty.v1+json'
export const emptyBytes = Buffer.from('{}')

/** What a statement is attached to. */
export interface AttestedImage {
  readonly digest: Digest
  readonly mediaType: string
  readonly sizeBytes: number
}

export interface Sealed {
  /** The only layer. */
  readonly bundle: Buffer
  readonly manifest: Buffer
}

/** Signs a statement. `id` finds it again, `at` is in ms since the epoch. */
export async function seal(
  statement: OwnStatement,
  signer: Signer,
  about: { readonly image: AttestedImage; readonly id: string; readonly at: number },
): Promise<Sealed> {
  const payload = Buffer.from(JSON.stringify(statement))
  const envelope = { payloadType: statementType, payload, signatures: [] }
  const signature = await signer.sign(signedBytesOf(envelope))
  const bundle = Buffer.from(
    JSON.stringify({
      mediaType: bundleType,
      verificationMaterial: {
        publicKey: { hint: Buffer.from(signer.fingerprint, 'hex').toString('base64') },
      },
      dsseEnvelope: {
        payload: payload.toString('base64'),
        payloadType: statementType,
        signatures: [{ sig: signature.toString('base64') }],
      },
    }),
  )
  const { image, id, at } = about
  const manifest = {
    schemaVersion: 2,
    mediaType: mediaTypes.ociManifest,
    artifactType: bundleType,
    config: described(emptyType, emptyBytes),
    layers: [described(bundleType, bundle)],
    subject: { mediaType: image.mediaType, digest: image.digest, size: image.sizeBytes },
    annotations: {
      'dev.sigstore.bundle.content': 'dsse-envelope',
      'dev.sigstore.bundle.predicateType': statement.predicateType,
      'org.opencontainers.image.created': new Date(at).toISOString(),
      [ownAnnotation]: id,
    },
  }
  return { bundle, manifest: Buffer.from(JSON.stringify(manifest)) }
}

/** The descriptor of bytes. */
export function described(mediaType: string, bytes: Uint8Array) {
  return { mediaType, digest: digestOf('sha256', bytes), size: bytes.byteLength }
}
