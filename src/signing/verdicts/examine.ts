/**
 * @module Looks at everything that is attached to one image, and says of each part what it is and whether it
 * counts. Pure, for a worker: what strangers attached may be long and hard to read.
 */
import { createHash } from 'node:crypto'
import type { Digest } from '../../registry/digest.ts'
import { SBOM_TYPES } from '../../registry/named-tag.ts'
import { type Bundle, isBundleType, readBundle } from '../formats/bundle.ts'
import { signerFactsOf } from '../formats/certificate.ts'
import {
  attestationBytesMax,
  type Envelope,
  envelopeType,
  readEnvelope,
  readStatement,
  signedBytesOf,
  statementOf,
  statementType,
} from '../formats/dsse.ts'
import { fromJson, type Loose, listOf, objectOf, textOf, Unreadable } from '../formats/encoding.ts'
import { notationType, readNotation } from '../formats/notation.ts'
import {
  certificateOfLayer,
  readSimpleSigning,
  simpleSigningType,
} from '../formats/simple-signing.ts'
import type { PublicKey } from '../keys/public-key.ts'
import type { Finding, FindingResult, Scheme, Signer } from './finding.ts'
import type { Evidence } from './policy.ts'

/** Largest manifest of a signature, bytes: cosign puts up to a hundred signatures into one. */
export const evidenceManifestBytesMax = 1024 * 1024

/** Findings of one image: beyond it the rest is not looked at. */
const findingsMax = 256

/** The predicate type of a signature that is written as an attestation (cosign 3). */
const signPredicateType = 'https://sigstore.dev/cosign/sign/v1'

const helmProvenanceType = 'application/vnd.cncf.helm.chart.provenance.v1.prov'

const certificateReason = 'it is signed with a certificate, and this registry verifies keys only'

/** The image. */
export interface Subject {
  readonly digest: Digest
  /** The manifest: some signatures are over its bytes. */
  readonly bytes: Uint8Array
}

/** One manifest that is attached to the image, with the layers that could be read. */
export interface Candidate {
  readonly manifest: Digest
  /** A tag that is named after the image, the image as its subject, or a member of the image's index. */
  readonly via: 'tag' | 'referrer' | 'member'
  /** Undefined: it has more than `evidenceManifestBytesMax` bytes. */
  readonly bytes: Uint8Array | undefined
  /** By digest. A layer that is missing here is not in the registry, or too long to be a signature. */
  readonly blobs: ReadonlyMap<string, Uint8Array>
}

export interface Examination {
  /** With the statements of attestations, for rules that look into them. */
  readonly found: readonly Evidence[]
  /** Something was left out: too many, too long, or the time was up. */
  readonly isTruncated: boolean
}

/**
 * Examines the candidates in their order. `hasTime` is asked before each signature; once it says no, nothing more
 * is verified. Never throws for what strangers wrote.
 */
export function examine(
  subject: Subject,
  candidates: readonly Candidate[],
  keys: readonly PublicKey[],
  hasTime: () => boolean,
): Examination {
  const found: Evidence[] = []
  for (const candidate of candidates) {
    for (const one of evidenceIn({ subject, candidate, keys, hasTime })) {
      if (found.length >= findingsMax || !hasTime()) return { found, isTruncated: true }
      found.push(one)
    }
  }
  return { found, isTruncated: false }
}

interface Look {
  readonly subject: Subject
  readonly candidate: Candidate
  readonly keys: readonly PublicKey[]
  readonly hasTime: () => boolean
}

/** What a layer turned out to be, before the manifest's own facts are added. */
interface Found extends Omit<Finding, 'manifest'> {
  /** Of an attestation that could be read. */
  readonly statement?: Loose
}

function* evidenceIn(look: Look): Generator<Evidence> {
  const { manifest, bytes } = look.candidate
  let json: Loose
  try {
    if (bytes === undefined) throw new Unreadable('the manifest is too long for a signature')
    json = fromJson(bytes, evidenceManifestBytesMax, 'the manifest')
  } catch (error) {
    yield { finding: { manifest, scheme: 'unknown', isSignature: false, ...unreadable(error) } }
    return
  }
  const artifactType =
    textOf(json['artifactType']) ?? textOf(objectOf(json['config'])?.['mediaType'])
  let isEmpty = true
  for (const it of listOf(json['layers'])) {
    const layer = objectOf(it) ?? {}
    const found = foundIn(look, layer, artifactType)
    if (found === undefined) continue
    isEmpty = false
    const { statement, ...finding } = found
    yield { finding: { manifest, ...finding }, statement }
  }
  if (!isEmpty) return
  const reason = `what is attached as ${(artifactType ?? 'no type').slice(0, 128)} is not understood`
  const finding = { manifest, scheme: 'unknown', isSignature: false, reason } as const
  yield { finding: { ...finding, result: 'not checked' } }
}

/** Undefined: the layer is of no type that belongs to a signature. */
function foundIn(look: Look, layer: Loose, artifactType: string | undefined): Found | undefined {
  const type = textOf(layer['mediaType']) ?? ''
  const kind = kindOf(type, artifactType, look.candidate.via)
  if (kind === undefined) return undefined
  const { scheme, isSignature, read } = kind
  try {
    if (read === undefined) return { scheme, isSignature, ...kind.found! }
    const bytes = look.candidate.blobs.get(textOf(layer['digest']) ?? '')
    if (bytes === undefined) {
      throw new Unreadable('its bytes are not in this registry, or too many for a signature')
    }
    return { scheme, isSignature, ...read(look, layer, bytes) }
  } catch (error) {
    return { scheme, isSignature, ...unreadable(error) }
  }
}

type Part = Partial<
  Pick<Found, 'isSignature' | 'signer' | 'predicateType' | 'reason' | 'statement'>
> &
  Pick<Found, 'result'>

interface Kind {
  readonly scheme: Scheme
  readonly isSignature: boolean
  /** Reads the layer's blob. */
  readonly read?: (look: Look, layer: Loose, bytes: Uint8Array) => Part
  /** What is known without reading anything. */
  readonly found?: Part
}

function kindOf(
  type: string,
  artifactType: string | undefined,
  via: Candidate['via'],
): Kind | undefined {
  const cosign = via === 'tag' ? 'cosign-tag' : 'cosign-referrer'
  if (type === simpleSigningType) return { scheme: cosign, isSignature: true, read: simpleSigning }
  if (type === envelopeType) return { scheme: cosign, isSignature: false, read: attestation }
  if (isBundleType(type)) return { scheme: 'bundle', isSignature: false, read: bundle }
  if (artifactType === notationType)
    return { scheme: 'notation', isSignature: true, read: notation }
  if (type === statementType) return { scheme: 'buildkit', isSignature: false, read: statement }
  if (SBOM_TYPES.has(type)) {
    const reason = 'it is an SBOM without a signature'
    return { scheme: cosign, isSignature: false, found: { result: 'unsigned', reason } }
  }
  if (type === helmProvenanceType) {
    const reason = 'it is signed with OpenPGP, which this registry does not verify'
    return { scheme: 'openpgp', isSignature: true, found: { result: 'not checked', reason } }
  }
  return undefined
}

function simpleSigning({ subject, ...how }: Look, layer: Loose, bytes: Uint8Array): Part {
  const { digest, signed, signature, certificate } = readSimpleSigning(layer, bytes)
  if (digest !== subject.digest) return mismatch([digest])
  return bySigner(how, { signed, signatures: [signature], certificate })
}

function attestation(look: Look, layer: Loose, bytes: Uint8Array): Part {
  const envelope = readEnvelope(fromJson(bytes, attestationBytesMax, 'the envelope'))
  return envelopePart(look, envelope, certificateOfLayer(layer), undefined)
}

function bundle(look: Look, _layer: Loose, bytes: Uint8Array): Part {
  const { subject } = look
  const read: Bundle = readBundle(fromJson(bytes, attestationBytesMax, 'the bundle'))
  const { content, certificate, hint } = read
  if (content.kind === 'envelope') {
    return envelopePart(look, content.envelope, certificate, hint)
  }
  const isSignature = true
  if (content.digest !== sha256Of(subject.bytes))
    return { isSignature, ...mismatch([content.digest]) }
  const made = { signed: subject.bytes, signatures: [content.signature], certificate, hint }
  return { isSignature, ...bySigner(look, made) }
}

function envelopePart(
  look: Look,
  envelope: Envelope,
  certificate: string | Uint8Array | undefined,
  hint: string | undefined,
): Part {
  const { predicateType, subjects, json } = readStatement(envelope)
  const isSignature = predicateType === signPredicateType
  const about = { predicateType, isSignature, statement: json }
  if (!subjects.has(look.subject.digest)) return { ...about, ...mismatch([...subjects]) }
  const signed = signedBytesOf(envelope)
  const made = { signed, signatures: envelope.signatures, certificate, hint }
  return { ...about, ...bySigner(look, made) }
}

function notation({ subject }: Look, layer: Loose, bytes: Uint8Array): Part {
  const { digest, signer } = readNotation(textOf(layer['mediaType']) ?? '', bytes)
  if (digest !== subject.digest) return { signer, ...mismatch([digest]) }
  return { signer, result: 'not checked', reason: certificateReason }
}

/** A statement without an envelope, as BuildKit writes them. */
function statement({ subject, candidate }: Look, _layer: Loose, bytes: Uint8Array): Part {
  const { predicateType, subjects } = statementOf(
    fromJson(bytes, attestationBytesMax, 'the statement'),
  )
  // One in an index is about its neighbour; the index itself is in no statement.
  if (candidate.via === 'referrer' && !subjects.has(subject.digest)) {
    return { predicateType, ...mismatch([...subjects]) }
  }
  const reason = 'it is a statement without a signature'
  return { predicateType, result: 'unsigned', reason }
}

/** What was signed, and what the signer says of himself. */
interface Made {
  readonly signed: Uint8Array
  readonly signatures: readonly Uint8Array[]
  readonly certificate?: string | Uint8Array | undefined
  readonly hint?: string | undefined
}

type Keys = Pick<Look, 'keys' | 'hasTime'>

/**
 * A key counts whatever the signer says of himself; a certificate that lies beside the signature is not covered
 * by it.
 */
function bySigner(how: Keys, made: Made): Part {
  const { keys } = how
  const key = madeBy(how, made)
  if (key !== undefined) {
    const signer: Signer = { key: key.name, fingerprint: key.fingerprint }
    return { signer, result: 'verified' }
  }
  if (made.certificate !== undefined) {
    const signer = signerFactsOf(made.certificate)
    return { signer, result: 'not checked', reason: certificateReason }
  }
  const reason =
    keys.length === 0
      ? 'no key is configured in signing.keys'
      : 'none of the keys in signing.keys made it'
  return { result: 'unknown key', reason }
}

/** Tries the key that the hint means first, then all others: a hint proves nothing. */
function madeBy(
  { keys, hasTime }: Keys,
  { signed, signatures, hint }: Made,
): PublicKey | undefined {
  const isMeant = ({ fingerprint }: PublicKey) =>
    hint !== undefined && Buffer.from(fingerprint, 'hex').toString('base64') === hint
  const ordered = [...keys.filter(isMeant), ...keys.filter((key) => !isMeant(key))]
  // Each may hash megabytes.
  return ordered.find((key) =>
    signatures.some((signature) => hasTime() && key.verifies(signed, signature)),
  )
}

/** Digests that are named in a reason. */
const namedMax = 3

function mismatch(digests: readonly string[]): Part {
  const named = digests.slice(0, namedMax).map((digest) => digest.slice(0, 140))
  const more = digests.length > namedMax ? ` and ${digests.length - namedMax} more` : ''
  const about = named.length === 0 ? 'nothing' : `${named.join(', ')}${more}`
  return { result: 'digest mismatch', reason: `it is about ${about}` }
}

function unreadable(error: unknown): { readonly result: FindingResult; readonly reason: string } {
  if (error instanceof Unreadable) return { result: 'unreadable', reason: error.message }
  throw error
}

function sha256Of(bytes: Uint8Array): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`
}
