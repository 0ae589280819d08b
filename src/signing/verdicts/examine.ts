/**
 * @module Looks at everything that is attached to one image, and says of each part what it is and whether it
 * counts. Pure, for a worker: what strangers attached may be long and hard to read.
 */
import { createHash } from 'node:crypto'
import type { Digest } from '../../registry/digest.ts'
import { SBOM_TYPES } from '../../registry/named-tag.ts'
import { type Bundle, isBundleType, readBundle } from '../formats/bundle.ts'
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
import {
  fromJson,
  type Loose,
  listOf,
  objectOf,
  textOf,
  Unreadable,
  type ValueBudget,
} from '../formats/encoding.ts'
import { tagsOfStatement } from '../formats/named-tags.ts'
import { notationType } from '../formats/notation.ts'
import { readSimpleSigning, signerOfLayer, simpleSigningType } from '../formats/simple-signing.ts'
import { claimedTimeOf } from './claimed-time.ts'
import type { Finding, FindingResult, Scheme } from './finding.ts'
import { type Evidence, isLookedInto, type Rule } from './policy.ts'
import { byCertificateOf, bySigner, type Made, type SignedPart, type Verifiers } from './signed.ts'

/** Largest manifest of a signature, bytes: cosign puts up to a hundred signatures into one. */
export const evidenceManifestBytesMax = 1024 * 1024

/** Findings of one image: beyond it the rest is not looked at. */
const findingsMax = 256

/**
 * Values of all envelopes, bundles and statements of one image. The thread's heap has room for them if rules look into
 * all of them: the most that one was seen to take is 250 bytes.
 */
const valuesMax = 1_500_000

/** The predicate type of a signature that is written as an attestation (cosign 3). */
const signPredicateType = 'https://sigstore.dev/cosign/sign/v1'

/** Statements that say how the image was built. */
const PROVENANCE: ReadonlySet<string> = new Set([
  'https://slsa.dev/provenance/v1',
  'https://slsa.dev/provenance/v0.2',
])

const helmProvenanceType = 'application/vnd.cncf.helm.chart.provenance.v1.prov'

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
  /** With the statements of attestations that rules look into. */
  readonly found: readonly Evidence[]
  /** Something was left out: too many, too long, or the time was up. */
  readonly isTruncated: boolean
}

/**
 * Examines the candidates in their order. `hasTime` is asked before each signature; once it says no, nothing more
 * is verified. A statement is kept where one of `rules` looks into it. Never throws for what strangers wrote.
 */
export function examine(
  subject: Subject,
  candidates: readonly Candidate[],
  verifiers: Verifiers,
  rules: readonly Rule[] = [],
): Examination {
  const found: Evidence[] = []
  const budget: ValueBudget = { left: valuesMax, isExceeded: false }
  for (const candidate of candidates) {
    for (const one of evidenceIn({ subject, candidate, verifiers, budget })) {
      if (found.length >= findingsMax || !verifiers.hasTime()) return { found, isTruncated: true }
      // What is kept of all attachments together may be more than the heap has room for.
      const { finding } = one
      found.push(isLookedInto(rules, finding) ? one : { finding })
    }
  }
  return { found, isTruncated: budget.isExceeded }
}

interface Look {
  readonly subject: Subject
  readonly candidate: Candidate
  readonly verifiers: Verifiers
  readonly budget: ValueBudget
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

type Part = SignedPart &
  Partial<Pick<Found, 'isSignature' | 'predicateType' | 'statement' | 'isProvenance'>>

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
    const predicateType = predicateTypeOf(type)
    const found = { result: 'unsigned', reason, ...(predicateType && { predicateType }) } as const
    return { scheme: cosign, isSignature: false, found }
  }
  if (type === helmProvenanceType) {
    const reason = 'it is signed with OpenPGP, which this registry does not verify'
    return { scheme: 'openpgp', isSignature: true, found: { result: 'not checked', reason } }
  }
  return undefined
}

/** What an SBOM of this type would be in an attestation. */
function predicateTypeOf(type: string): string | undefined {
  if (type.includes('spdx')) return 'https://spdx.dev/Document'
  return type.includes('cyclonedx') ? 'https://cyclonedx.org/bom' : undefined
}

function simpleSigning({ subject, verifiers }: Look, layer: Loose, bytes: Uint8Array): Part {
  const { digest, signed, signature, tags, ...rest } = readSimpleSigning(layer, bytes)
  if (digest !== subject.digest) return mismatch([digest])
  const made = { signed, payload: signed, signatures: [signature], ...rest }
  return { ...named(tags), ...bySigner(verifiers, made) }
}

function attestation(look: Look, layer: Loose, bytes: Uint8Array): Part {
  const envelope = readEnvelope(fromJson(bytes, attestationBytesMax, 'the envelope', look.budget))
  return envelopePart(look, envelope, signerOfLayer(layer))
}

function bundle(look: Look, _layer: Loose, bytes: Uint8Array): Part {
  const { subject, verifiers, budget } = look
  const read: Bundle = readBundle(fromJson(bytes, attestationBytesMax, 'the bundle', budget))
  const { content, ...by } = read
  if (content.kind === 'envelope') return envelopePart(look, content.envelope, by)
  const isSignature = true
  if (content.digest !== digestOf(content.digest, subject.bytes)) {
    return { isSignature, ...mismatch([content.digest]) }
  }
  const { bytes: signed } = subject
  const made = { signed, payload: signed, signatures: [content.signature], ...by }
  return { isSignature, ...bySigner(verifiers, made) }
}

function envelopePart(
  { subject, verifiers, budget }: Look,
  envelope: Envelope,
  by: Pick<Made, 'certificate' | 'hint' | 'proofs'>,
): Part {
  const { predicateType, subjects, json } = readStatement(envelope, budget)
  const isSignature = predicateType === signPredicateType
  const about = { predicateType, isSignature, statement: json }
  if (!subjects.has(subject.digest)) return { ...about, ...mismatch([...subjects]) }
  const { signatures, payload } = envelope
  const made = { signed: signedBytesOf(envelope), payload, signatures, ...by }
  const tags = tagsOfStatement(json, subject.digest)
  return { ...about, ...named(tags), ...claimedTimeOf(json), ...bySigner(verifiers, made) }
}

function notation({ subject, verifiers }: Look, layer: Loose, bytes: Uint8Array): Part {
  return byCertificateOf(verifiers, textOf(layer['mediaType']) ?? '', bytes, subject)
}

/** A statement without an envelope, as BuildKit writes them. */
function statement({ subject, candidate, budget }: Look, _layer: Loose, bytes: Uint8Array): Part {
  const { predicateType, subjects, json } = statementOf(
    fromJson(bytes, attestationBytesMax, 'the statement', budget),
  )
  // One in an index is about its neighbour; the index itself is in no statement.
  if (candidate.via === 'referrer' && !subjects.has(subject.digest)) {
    return { predicateType, ...mismatch([...subjects]) }
  }
  const reason = 'it is a statement without a signature'
  const isProvenance = PROVENANCE.has(predicateType) && subjects.has(subject.digest)
  return {
    predicateType,
    statement: json,
    ...claimedTimeOf(json),
    ...(isProvenance && { isProvenance }),
    result: 'unsigned',
    reason,
  }
}

const named = (tags: readonly string[]) => (tags.length === 0 ? {} : { tags })

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

/** The digest of the bytes by the algorithm that another digest names. */
function digestOf(other: string, bytes: Uint8Array): string {
  const algorithm = other.slice(0, other.indexOf(':'))
  return `${algorithm}:${createHash(algorithm).update(bytes).digest('hex')}`
}
