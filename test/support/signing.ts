/** @module Makes signatures of every scheme with `node:crypto`: what cosign and others would attach. */
import { createHash, generateKeyPairSync, type KeyObject, sign } from 'node:crypto'
import type { Verifiers } from '../../src/signing/verdicts/signed.ts'
import { compiled, withoutCertificates } from '../../src/signing/worker/verifiers.ts'

/** What signatures are verified with, where a test says no other. */
export function verifiers(fields: Partial<Verifiers>): Verifiers {
  return {
    keys: [],
    revokedKeys: [],
    revoked: new Set(),
    signers: [],
    matches: compiled(),
    certificates: withoutCertificates,
    now: Date.now(),
    hasTime: () => true,
    ...fields,
  }
}

export interface Signer {
  readonly pem: string
  readonly fingerprint: string
  sign(bytes: Uint8Array): Buffer
}

export type SignerKind = 'p256' | 'p384' | 'p521' | 'rsa' | 'ed25519'

const CURVES = { p256: 'P-256', p384: 'P-384', p521: 'P-521' } as const
const HASHES: Readonly<Record<SignerKind, string | undefined>> = {
  p256: 'sha256',
  p384: 'sha384',
  p521: 'sha512',
  rsa: 'sha256',
  ed25519: undefined,
}

export function makeSigner(kind: SignerKind = 'p256', hash = HASHES[kind]): Signer {
  const { publicKey, privateKey } = keyPair(kind)
  const spki = publicKey.export({ type: 'spki', format: 'der' })
  return {
    pem: publicKey.export({ type: 'spki', format: 'pem' }).toString(),
    fingerprint: createHash('sha256').update(spki).digest('hex'),
    sign: (bytes) => sign(hash, bytes, privateKey),
  }
}

function keyPair(kind: SignerKind): { publicKey: KeyObject; privateKey: KeyObject } {
  if (kind === 'rsa') return generateKeyPairSync('rsa', { modulusLength: 2048 })
  if (kind === 'ed25519') return generateKeyPairSync('ed25519')
  return generateKeyPairSync('ec', { namedCurve: CURVES[kind] })
}

export const base64 = (bytes: Uint8Array | string) => Buffer.from(bytes).toString('base64')

export interface Layer {
  readonly mediaType: string
  readonly annotations: Readonly<Record<string, string>>
  readonly bytes: Buffer
}

/** The payload of simple signing about a digest. */
export function payloadOf(digest: string): Buffer {
  const critical = {
    identity: { 'docker-reference': 'registry.example/team/app' },
    image: { 'docker-manifest-digest': digest },
    type: 'cosign container image signature',
  }
  return Buffer.from(JSON.stringify({ critical, optional: null }))
}

/** A layer as cosign puts it into the manifest below `sha256-….sig`. */
export function simpleSigning(signer: Signer, digest: string, payload = payloadOf(digest)): Layer {
  return {
    mediaType: 'application/vnd.dev.cosign.simplesigning.v1+json',
    annotations: { 'dev.cosignproject.cosign/signature': base64(signer.sign(payload)) },
    bytes: payload,
  }
}

export const signPredicate = 'https://sigstore.dev/cosign/sign/v1'

export function statementAbout(digest: string, predicateType: string): Buffer {
  const [algorithm = '', encoded = ''] = digest.split(':')
  return Buffer.from(
    JSON.stringify({
      _type: 'https://in-toto.io/Statement/v1',
      subject: [{ digest: { [algorithm]: encoded } }],
      predicateType,
      predicate: {},
    }),
  )
}

export function envelope(
  signer: Signer,
  payload: Uint8Array,
  payloadType = 'application/vnd.in-toto+json',
) {
  const head = Buffer.from(`DSSEv1 ${payloadType.length} ${payloadType} ${payload.length} `)
  const sig = base64(signer.sign(Buffer.concat([head, payload])))
  return { payloadType, payload: base64(payload), signatures: [{ sig }] }
}

/** A layer as cosign puts it into the manifest below `sha256-….att`. */
export function attestation(signer: Signer, digest: string, predicateType: string): Layer {
  const content = envelope(signer, statementAbout(digest, predicateType))
  return {
    mediaType: 'application/vnd.dsse.envelope.v1+json',
    annotations: { predicateType, 'dev.cosignproject.cosign/signature': '' },
    bytes: Buffer.from(JSON.stringify(content)),
  }
}

export const bundleType = 'application/vnd.dev.sigstore.bundle.v0.3+json'

/** The layer of a bundle, with an envelope or over the bytes of the manifest. */
export function bundle(signer: Signer, content: object, mediaType = bundleType): Layer {
  const hint = base64(Buffer.from(signer.fingerprint, 'hex'))
  const json = { mediaType, verificationMaterial: { publicKey: { hint } }, ...content }
  return { mediaType: bundleType, annotations: {}, bytes: Buffer.from(JSON.stringify(json)) }
}

export function signedBundle(signer: Signer, digest: string, predicateType = signPredicate): Layer {
  return bundle(signer, { dsseEnvelope: envelope(signer, statementAbout(digest, predicateType)) })
}

export function messageBundle(signer: Signer, manifest: Uint8Array): Layer {
  const digest = createHash('sha256').update(manifest).digest('base64')
  const messageDigest = { algorithm: 'SHA2_256', digest }
  const signature = base64(signer.sign(manifest))
  return bundle(signer, { messageSignature: { messageDigest, signature } })
}
