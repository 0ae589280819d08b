/**
 * @module Sigstore bundles (sigstore/protobuf-specs, sigstore_bundle.proto): what cosign 3 and GitHub's
 * attestations attach as a referrer.
 */
import { type Envelope, readEnvelope } from './dsse.ts'
import { fromBase64, type Loose, listOf, objectOf, textOf, Unreadable } from './encoding.ts'
import { type Proofs, readProofs } from './proofs.ts'

export const bundleType = 'application/vnd.dev.sigstore.bundle.v0.3+json'

/** The only version whose log entries need no proof of inclusion. */
const firstType = 'application/vnd.dev.sigstore.bundle+json;version=0.1'

/** Those whose certificate stands alone. */
const LATEST: ReadonlySet<string> = new Set([
  bundleType,
  'application/vnd.dev.sigstore.bundle+json;version=0.3',
])

/** Every media type that bundles of these versions had. */
const TYPES: ReadonlySet<string> = new Set([
  ...LATEST,
  firstType,
  'application/vnd.dev.sigstore.bundle+json;version=0.2',
])

export interface Bundle {
  /** DER of the leaf; undefined: it is signed with a key. */
  readonly certificate: Buffer | undefined
  /** What the signer says of his key: base64 of the SHA-256 of its SPKI, mostly. It proves nothing. */
  readonly hint: string | undefined
  readonly proofs: Proofs
  readonly content:
    | { readonly kind: 'envelope'; readonly envelope: Envelope }
    | {
        readonly kind: 'message'
        /** `algorithm:hex` of what was signed, as the bundle claims. */
        readonly digest: string
        readonly signature: Buffer
      }
}

/** Whether an artifact or layer type is one of a bundle. */
export function isBundleType(type: string): boolean {
  return TYPES.has(type)
}

/** Reads a bundle from its JSON. Throws `Unreadable`. */
export function readBundle(json: Loose): Bundle {
  const type = textOf(json['mediaType'])
  if (type === undefined || !TYPES.has(type)) {
    throw new Unreadable('it is not a bundle of version 0.1, 0.2 or 0.3')
  }
  const material = objectOf(json['verificationMaterial'])
  if (material === undefined) throw new Unreadable('the bundle has no verificationMaterial')
  const envelope = objectOf(json['dsseEnvelope'])
  const message = objectOf(json['messageSignature'])
  if ((envelope === undefined) === (message === undefined)) {
    throw new Unreadable('a bundle has either a dsseEnvelope or a messageSignature')
  }
  const content =
    envelope === undefined
      ? messageOf(message!)
      : { kind: 'envelope' as const, envelope: one(envelope) }
  const hint = textOf(objectOf(material['publicKey'])?.['hint'])
  const certificate = certificateOf(material, LATEST.has(type))
  return { certificate, hint, content, proofs: readProofs(material, type !== firstType) }
}

/** A bundle has exactly one signature: of more it is not said which one the certificate made. */
function one(json: Loose): Envelope {
  const envelope = readEnvelope(json)
  if (envelope.signatures.length !== 1) throw new Unreadable('a bundle has exactly one signature')
  return envelope
}

function messageOf(message: Loose): Bundle['content'] {
  const { algorithm, digest } = objectOf(message['messageDigest']) ?? {}
  const hash = /^SHA2_(256|384|512)$/.exec(textOf(algorithm) ?? '')?.[1]
  if (hash === undefined) {
    throw new Unreadable('messageDigest.algorithm is none of SHA2_256, SHA2_384, SHA2_512')
  }
  const signature = fromBase64(message['signature'], 'the signature')
  if (signature.byteLength === 0) throw new Unreadable('the signature is empty')
  const hex = fromBase64(digest, 'messageDigest.digest').toString('hex')
  return { kind: 'message', digest: `sha${hash}:${hex}`, signature }
}

function certificateOf(material: Loose, isAlone: boolean): Buffer | undefined {
  const chain = objectOf(material['x509CertificateChain'])
  if (chain !== undefined && isAlone) {
    throw new Unreadable('a bundle of version 0.3 has its certificate alone, without a chain')
  }
  const leaf = objectOf(material['certificate']) ?? objectOf(listOf(chain?.['certificates'])[0])
  if (leaf === undefined) return undefined
  if (material['publicKey'] !== undefined) {
    throw new Unreadable('a bundle has either a certificate or a publicKey')
  }
  return fromBase64(leaf['rawBytes'], 'the certificate')
}
