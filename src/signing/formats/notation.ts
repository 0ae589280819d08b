/**
 * @module Signatures of Notation (notaryproject/specifications, signature specification): a JWS or a COSE
 * envelope as the one layer of a referrer. Here is what they say; they are verified against trust stores.
 */
import { type Cbor, type CborKey, fromCbor, Tagged } from './cbor.ts'
import { type SignerFacts, signerFactsOf } from './certificate.ts'
import {
  fromBase64,
  fromBase64Url,
  fromJson,
  type Loose,
  listOf,
  objectOf,
  textOf,
  Unreadable,
} from './encoding.ts'

export const notationType = 'application/vnd.cncf.notary.signature'

/** Largest envelope, bytes. */
const envelopeBytesMax = 1024 * 1024

/** COSE_Sign1 (RFC 9052, section 4.2) and its label of a chain of certificates (RFC 9360). */
const coseSign1Tag = 18
const x5chainLabel = 33

const payloadBytesMax = 64 * 1024

export interface NotationSignature {
  /** Of the manifest that is signed. */
  readonly digest: string
  readonly signer: SignerFacts
}

/** Reads the envelope in a layer of this type. Throws `Unreadable`. */
export function readNotation(layerType: string, bytes: Uint8Array): NotationSignature {
  if (bytes.byteLength > envelopeBytesMax) {
    throw new Unreadable(`the signature has more than ${envelopeBytesMax} bytes`)
  }
  if (layerType === 'application/jose+json') return readJws(bytes)
  if (layerType === 'application/cose') return readCose(bytes)
  throw new Unreadable(`${layerType.slice(0, 128)} is neither a JWS nor a COSE envelope`)
}

function readJws(bytes: Uint8Array): NotationSignature {
  const json = fromJson(bytes, envelopeBytesMax, 'the JWS envelope')
  const payload = fromBase64Url(json['payload'], 'the payload')
  const [leaf] = listOf(objectOf(json['header'])?.['x5c'])
  const signer = signerFactsOf(fromBase64(leaf, 'the certificate'))
  return { digest: targetOf(fromJson(payload, payloadBytesMax, 'the payload')), signer }
}

function readCose(bytes: Uint8Array): NotationSignature {
  const item = fromCbor(bytes)
  const parts = item instanceof Tagged && item.tag === coseSign1Tag ? item.value : undefined
  if (!Array.isArray(parts) || parts.length !== 4) throw new Unreadable('it is not a COSE_Sign1')
  const [, header, payload] = parts as readonly Cbor[]
  const chain = header instanceof Map ? (header as Map<CborKey, Cbor>).get(x5chainLabel) : undefined
  const leaf = Array.isArray(chain) ? (chain[0] as Cbor) : chain
  if (!(leaf instanceof Uint8Array)) throw new Unreadable('the COSE envelope has no certificate')
  if (!(payload instanceof Uint8Array)) throw new Unreadable('the COSE envelope has no payload')
  const target = targetOf(fromJson(payload, payloadBytesMax, 'the payload'))
  return { digest: target, signer: signerFactsOf(leaf) }
}

function targetOf(payload: Loose): string {
  const digest = textOf(objectOf(payload['targetArtifact'])?.['digest'])
  if (digest === undefined) throw new Unreadable('the payload names no digest')
  return digest
}
