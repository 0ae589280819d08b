/**
 * @module Simple signing, as cosign writes it into the layers of `sha256-….sig` and of its first kind of
 * referrers (cosign, SIGNATURE_SPEC.md): the blob is the payload, and the layer's annotations hold the
 * signature.
 */
import { fromBase64, fromJson, type Loose, objectOf, textOf, Unreadable } from './encoding.ts'
import { tagsOfPayload } from './named-tags.ts'
import { type Proofs, readProofAnnotations } from './proofs.ts'

export const simpleSigningType = 'application/vnd.dev.cosign.simplesigning.v1+json'

/** Annotations of a layer that hold what the payload does not. */
const ANNOTATIONS = {
  signature: 'dev.cosignproject.cosign/signature',
  certificate: 'dev.sigstore.cosign/certificate',
} as const

/** Largest payload, bytes: real ones have about 250. */
const payloadBytesMax = 64 * 1024

/** The `type` of a payload that signs an image. */
const payloadType = 'cosign container image signature'

export interface SimpleSigning {
  /** Of the manifest that is signed. */
  readonly digest: string
  /** What is signed: the payload, byte for byte. */
  readonly signed: Uint8Array
  readonly signature: Buffer
  /** PEM; undefined: it is signed with a key. */
  readonly certificate: string | undefined
  readonly proofs: Proofs
  /** That it names. */
  readonly tags: readonly string[]
}

/** Reads one layer with its blob. Throws `Unreadable`. */
export function readSimpleSigning(layer: Loose, payload: Uint8Array): SimpleSigning {
  const annotations = objectOf(layer['annotations']) ?? {}
  const json = fromJson(payload, payloadBytesMax, 'the payload')
  const { critical } = json
  const type = objectOf(critical)?.['type']
  if (type !== payloadType) throw new Unreadable(`the payload is not of type "${payloadType}"`)
  const image = objectOf(objectOf(critical)?.['image'])
  const digest = textOf(image?.['docker-manifest-digest'])
  if (digest === undefined) throw new Unreadable('the payload names no digest')
  const signature = fromBase64(annotations[ANNOTATIONS.signature], 'the signature')
  if (signature.byteLength === 0) throw new Unreadable('the signature is empty')
  const tags = tagsOfPayload(json)
  return { digest, signed: payload, signature, tags, ...signerOfLayer(layer) }
}

/** What a layer says of its signer, beside the signature. Throws `Unreadable`. */
export function signerOfLayer(layer: Loose): Pick<SimpleSigning, 'certificate' | 'proofs'> {
  const annotations = objectOf(layer['annotations']) ?? {}
  const certificate = textOf(annotations[ANNOTATIONS.certificate])
  return { certificate, proofs: readProofAnnotations(annotations) }
}

/** The payload of a signature of an image, as cosign writes it: the same bytes each time. */
export function payloadOfImage(reference: string, digest: string): Buffer {
  const identity = { 'docker-reference': reference }
  const image = { 'docker-manifest-digest': digest }
  const critical = { identity, image, type: payloadType }
  return Buffer.from(JSON.stringify({ critical, optional: null }))
}

/** The annotations of a layer whose payload this signature is over. */
export function annotationsOfLayer(signature: Buffer): Readonly<Record<string, string>> {
  return { [ANNOTATIONS.signature]: signature.toString('base64') }
}
