/**
 * @module DSSE envelopes (secure-systems-lab/dsse, version 1.0) and the in-toto statements that they carry
 * (in-toto/attestation, statement version 1).
 */
import {
  fromBase64,
  fromJson,
  type Loose,
  listOf,
  objectOf,
  textOf,
  Unreadable,
  type ValueBudget,
} from './encoding.ts'

export const envelopeType = 'application/vnd.dsse.envelope.v1+json'
export const statementType = 'application/vnd.in-toto+json'

/** Largest envelope and statement, bytes: an SBOM of a large image has some megabytes. */
export const attestationBytesMax = 16 * 1024 * 1024

/** Signatures of one envelope that are looked at. */
const signaturesMax = 16

/** Largest payload of an envelope with several signatures, bytes: each is tried with each key. */
const severalBytesMax = 1024 * 1024

/** Longest predicate type, characters. */
const predicateTypeLengthMax = 256

/** Subjects of one statement that are looked at: a build may name each of its files. */
const subjectsMax = 10_000

const STATEMENTS: ReadonlySet<unknown> = new Set([
  'https://in-toto.io/Statement/v1',
  'https://in-toto.io/Statement/v0.1',
])

export interface Envelope {
  readonly payloadType: string
  readonly payload: Buffer
  /** At least one. */
  readonly signatures: readonly Buffer[]
}

export interface Statement {
  readonly predicateType: string
  /** `algorithm:encoded` of all subjects. */
  readonly subjects: ReadonlySet<string>
  /** The whole statement, for rules that look into it. */
  readonly json: Loose
}

/** Reads an envelope from its JSON. Throws `Unreadable`. */
export function readEnvelope(json: Loose): Envelope {
  const payloadType = textOf(json['payloadType'])
  if (payloadType === undefined) throw new Unreadable('the envelope has no payloadType')
  const payload = fromBase64(json['payload'], 'the payload')
  const listed = listOf(json['signatures'])
  if (listed.length === 0) throw new Unreadable('the envelope has no signature')
  if (listed.length > signaturesMax) {
    throw new Unreadable(`the envelope has more than ${signaturesMax} signatures`)
  }
  if (listed.length > 1 && payload.byteLength > severalBytesMax) {
    throw new Unreadable('an envelope of this size has more than one signature')
  }
  const signatures = listed.map((it) => fromBase64(objectOf(it)?.['sig'], 'a signature'))
  if (signatures.some(({ byteLength }) => byteLength === 0)) {
    throw new Unreadable('a signature is empty')
  }
  return { payloadType, payload, signatures }
}

/** What a signature of an envelope covers (DSSE, pre-authentication encoding). */
export function signedBytesOf({ payloadType, payload }: Envelope): Buffer {
  const type = Buffer.from(payloadType)
  const head = `DSSEv1 ${type.byteLength} ${payloadType} ${payload.byteLength} `
  return Buffer.concat([Buffer.from(head), payload])
}

/** Reads the statement of an envelope. Throws `Unreadable` when it carries anything else, or more than `budget` has left. */
export function readStatement({ payloadType, payload }: Envelope, budget?: ValueBudget): Statement {
  if (payloadType !== statementType) {
    throw new Unreadable(`the envelope carries ${payloadType.slice(0, 128)}, not ${statementType}`)
  }
  return statementOf(fromJson(payload, attestationBytesMax, 'the statement', budget))
}

/** A statement from its JSON, signed or not. Throws `Unreadable`. */
export function statementOf(json: Loose): Statement {
  if (!STATEMENTS.has(json['_type'])) throw new Unreadable('it is not an in-toto statement')
  const predicateType = textOf(json['predicateType'])
  if (predicateType === undefined) throw new Unreadable('the statement has no predicateType')
  if (predicateType.length > predicateTypeLengthMax) {
    throw new Unreadable('the predicateType of the statement is too long')
  }
  const listed = listOf(json['subject'])
  if (listed.length > subjectsMax) {
    throw new Unreadable(`the statement has more than ${subjectsMax} subjects`)
  }
  const subjects = new Set<string>()
  for (const it of listed) {
    for (const [algorithm, encoded] of Object.entries(objectOf(objectOf(it)?.['digest']) ?? {})) {
      if (typeof encoded === 'string') subjects.add(`${algorithm}:${encoded}`)
    }
  }
  return { predicateType, subjects, json }
}
