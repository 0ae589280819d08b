/**
 * @module What comes along with a signature to prove when it was made and that it is public: entries of
 * transparency logs (Rekor, versions 1 and 2) and timestamps (RFC 3161), as bundles write them and as cosign wrote
 * them into annotations before. Here is what they say; nothing of it is proven yet.
 */
import {
  fromBase64,
  fromJson,
  type Loose,
  listOf,
  objectOf,
  textOf,
  Unreadable,
} from './encoding.ts'

/** Entries and timestamps of one signature: real ones have one or two. */
const entriesMax = 8
const timestampsMax = 4

/** Hashes of one proof: a log of 2^64 entries needs no more. */
const hashesMax = 64

/** Largest parts, bytes; the body of an old kind of entry holds a whole envelope, and a timestamp its certificates. */
const timestampBytesMax = 16 * 1024
const checkpointBytesMax = 16 * 1024
const bodyBytesMax = 4 * 1024 * 1024
const annotationBytesMax = 1024 * 1024

export interface InclusionProof {
  readonly logIndex: string
  readonly rootHash: Buffer
  readonly treeSize: string
  readonly hashes: readonly Buffer[]
  /** A signed note. */
  readonly checkpoint: string
}

export interface LogEntry {
  readonly logIndex: string
  readonly logId: Buffer
  readonly kind: string
  readonly version: string
  /** Seconds since the epoch; `0`: the log does not say. */
  readonly integratedTime: string
  /** The signed entry timestamp (SET): it alone proves the time. */
  readonly promise: Buffer | undefined
  readonly proof: InclusionProof | undefined
  readonly body: Buffer
}

export interface Proofs {
  readonly entries: readonly LogEntry[]
  /** TimeStampResp in DER. */
  readonly timestamps: readonly Buffer[]
}

export const NO_PROOFS: Proofs = { entries: [], timestamps: [] }

/** Reads those of a bundle. `isProofNeeded` of its version. Throws `Unreadable`. */
export function readProofs(material: Loose, isProofNeeded: boolean): Proofs {
  const listed = listOf(material['tlogEntries'])
  if (listed.length > entriesMax) throw new Unreadable(`it has more than ${entriesMax} log entries`)
  const entries = listed.map((it) => entryOf(objectOf(it) ?? {}))
  if (isProofNeeded && entries.some(({ proof }) => proof === undefined)) {
    throw new Unreadable('an entry of the log has no inclusionProof')
  }
  if (!isProofNeeded && entries.some(({ promise }) => promise === undefined)) {
    throw new Unreadable('an entry of the log has no inclusionPromise')
  }
  const stamps = listOf(objectOf(material['timestampVerificationData'])?.['rfc3161Timestamps'])
  if (stamps.length > timestampsMax) {
    throw new Unreadable(`it has more than ${timestampsMax} timestamps`)
  }
  const timestamps = stamps.map((it) => timestampOf(objectOf(it)?.['signedTimestamp']))
  return { entries, timestamps }
}

function entryOf(json: Loose): LogEntry {
  const { kind, version } = objectOf(json['kindVersion']) ?? {}
  const promise = objectOf(json['inclusionPromise'])
  const proof = objectOf(json['inclusionProof'])
  return {
    logIndex: integerOf(json['logIndex'] ?? '0', 'the logIndex'),
    logId: bytesOf(objectOf(json['logId'])?.['keyId'], 64, 'the logId'),
    kind: textOf(kind) ?? '',
    version: textOf(version) ?? '',
    integratedTime: integerOf(json['integratedTime'] ?? '0', 'the integratedTime'),
    promise: promise && bytesOf(promise['signedEntryTimestamp'], 4096, 'the signedEntryTimestamp'),
    proof: proof && proofOf(proof),
    body: bytesOf(json['canonicalizedBody'], bodyBytesMax, 'the canonicalizedBody'),
  }
}

function proofOf(json: Loose): InclusionProof {
  const hashes = listOf(json['hashes'])
  if (hashes.length > hashesMax) throw new Unreadable(`a proof has more than ${hashesMax} hashes`)
  const checkpoint = textOf(objectOf(json['checkpoint'])?.['envelope'])
  if (checkpoint === undefined) throw new Unreadable('a proof has no checkpoint')
  if (checkpoint.length > checkpointBytesMax) throw new Unreadable('a checkpoint is too long')
  return {
    logIndex: integerOf(json['logIndex'] ?? '0', 'the logIndex of the proof'),
    rootHash: bytesOf(json['rootHash'], 64, 'the rootHash'),
    treeSize: integerOf(json['treeSize'] ?? '0', 'the treeSize'),
    hashes: hashes.map((it) => bytesOf(it, 64, 'a hash of the proof')),
    checkpoint,
  }
}

const timestampOf = (value: unknown) => bytesOf(value, timestampBytesMax, 'the timestamp')

/**
 * Reads those that cosign wrote into the annotations of a layer: `dev.sigstore.cosign/bundle` and
 * `…/rfc3161timestamp`. Throws `Unreadable`.
 */
export function readProofAnnotations(annotations: Loose): Proofs {
  const log = annotationOf(annotations['dev.sigstore.cosign/bundle'], 'the log entry')
  const stamp = annotationOf(annotations['dev.sigstore.cosign/rfc3161timestamp'], 'the timestamp')
  return {
    entries: log === undefined ? [] : [oldEntryOf(log)],
    timestamps: stamp === undefined ? [] : [timestampOf(stamp['SignedRFC3161Timestamp'])],
  }
}

function annotationOf(value: unknown, what: string): Loose | undefined {
  const text = textOf(value)
  if (text === undefined) return undefined
  return fromJson(Buffer.from(text), annotationBytesMax, what)
}

function oldEntryOf(json: Loose): LogEntry {
  const payload = objectOf(json['Payload']) ?? {}
  const body = bytesOf(payload['body'], bodyBytesMax, 'the body of the log entry')
  const { kind, apiVersion } = fromJson(body, bodyBytesMax, 'the body of the log entry')
  const logId = textOf(payload['logID']) ?? ''
  if (!/^[0-9a-f]{64}$/.test(logId)) throw new Unreadable('the logID is not hex of 32 bytes')
  return {
    logIndex: integerOf(payload['logIndex'], 'the logIndex'),
    logId: Buffer.from(logId, 'hex'),
    kind: textOf(kind) ?? '',
    version: textOf(apiVersion) ?? '',
    integratedTime: integerOf(payload['integratedTime'], 'the integratedTime'),
    promise: bytesOf(json['SignedEntryTimestamp'], 4096, 'the SignedEntryTimestamp'),
    proof: undefined,
    body,
  }
}

function bytesOf(value: unknown, bytesMax: number, what: string): Buffer {
  if (typeof value === 'string' && value.length > bytesMax * 2) {
    throw new Unreadable(`${what} is too long`)
  }
  const bytes = fromBase64(value, what)
  if (bytes.byteLength === 0) throw new Unreadable(`${what} is empty`)
  return bytes
}

/** As protobuf writes it, with quotes or without; never negative, and never more than a number can say. */
function integerOf(value: unknown, what: string): string {
  const text = typeof value === 'number' ? String(value) : value
  if (typeof text === 'string' && /^\d{1,16}$/.test(text) && Number.isSafeInteger(Number(text))) {
    return text
  }
  throw new Unreadable(`${what} is not a whole number`)
}
