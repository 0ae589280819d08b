/**
 * @module The one file that knows the libraries of sigstore: trusted roots, the proofs of keyless signatures, and
 * parts of certificates that `node:crypto` does not show. Loaded on demand: most registries need none of it.
 *
 * What the libraries do not check is checked here or by the callers: what is signed (subject, payload type,
 * predicate), the purpose of a certificate, that the entry of a log has the key or certificate of the signature,
 * that a log has a beginning. They throw many kinds of errors for what strangers wrote; none of them leaves.
 */
import { createHash, type KeyObject } from 'node:crypto'
import { ASN1Obj, RFC3161Timestamp, X509Certificate, X509SCTExtension } from '@sigstore/core'
import { type TransparencyLogEntry, TrustedRoot } from '@sigstore/protobuf-specs'
import { type SignedEntity, type TrustMaterial, toTrustMaterial, Verifier } from '@sigstore/verify'
import type { CertificateParts, Der, Extension } from '../formats/der.ts'
import { fromJson, textOf, Unreadable } from '../formats/encoding.ts'
import type { LogEntry, Proofs } from '../formats/proofs.ts'
import { publicKeyOf } from '../keys/public-key.ts'
import type { Proven } from '../verdicts/signed.ts'
import { isDigestOf, isEqual, isMadeBy, isProofInItself } from './entry.ts'

/** Largest trusted root, bytes: the public one has about 10,000. */
const rootBytesMax = 1024 * 1024

const ROOT_TYPE =
  /^application\/vnd\.dev\.sigstore\.trustedroot(?:\+json;version=0\.[12]|\.v0\.[12]\+json)$/

export interface Root {
  readonly material: TrustMaterial
  /** The latest beginning of a key or an authority in it, ms since the epoch. */
  readonly newestAt: number
  /** The end of its last authority, ms since the epoch; infinite where one has no end. */
  readonly endsAt: number
  /** SHA-256 of its certificates of authorities, lower-case hex. */
  readonly certificates: readonly string[]
}

/**
 * Reads a trusted root from its JSON, without the certificates of authorities that are revoked (SHA-256, lower-case
 * hex). Throws `Unreadable` with what was expected.
 */
export function readRoot(json: string, revoked: ReadonlySet<string> = new Set()): Root {
  const loose = fromJson(Buffer.from(json), rootBytesMax, 'the file')
  if (!ROOT_TYPE.test(textOf(loose['mediaType']) ?? '')) {
    throw new Unreadable('expected a trusted root of sigstore (its mediaType says which version)')
  }
  let material: TrustMaterial
  try {
    const read = TrustedRoot.fromJSON(loose)
    // A log without a beginning would be believed about any time.
    const begun = { ...read, tlogs: read.tlogs.filter((log) => log.publicKey?.validFor?.start) }
    material = toTrustMaterial(begun, () => {
      throw new Unreadable('a root has no keys of signers')
    })
  } catch {
    throw new Unreadable('the trusted root cannot be read')
  }
  const { certificateAuthorities, timestampAuthorities, tlogs, ctlogs } = material
  if (certificateAuthorities.length === 0 && tlogs.length === 0) {
    throw new Unreadable('the trusted root has neither authorities nor logs')
  }
  const authorities = [...certificateAuthorities, ...timestampAuthorities]
  const all = [...authorities, ...tlogs, ...ctlogs]
  const isGood = ({ certChain }: (typeof authorities)[number]) =>
    certChain.length > 0 && !certChain.some((one) => revoked.has(sha256Hex(one)))
  return {
    material: {
      ...material,
      certificateAuthorities: certificateAuthorities.filter(isGood),
      timestampAuthorities: timestampAuthorities.filter(isGood),
    },
    newestAt: Math.max(...all.map(({ validFor }) => validFor.start.getTime())),
    endsAt: Math.max(...certificateAuthorities.map(endOf)),
    certificates: authorities.flatMap(({ certChain }) => certChain.map(sha256Hex)),
  }
}

function endOf({ certChain, validFor }: TrustMaterial['certificateAuthorities'][number]): number {
  const ends = certChain.map(({ notAfter }) => notAfter.getTime())
  const end = validFor.end.getTime()
  // What the library says of an authority without an end.
  return Math.min(...ends, end >= 8.64e15 ? Number.POSITIVE_INFINITY : end)
}

function sha256Hex(certificate: X509Certificate): string {
  return createHash('sha256').update(certificate.root.toDER()).digest('hex')
}

/** Why it is not proven: the step that failed, and the library's own words. */
export class NotProven extends Error {
  readonly step:
    | 'time'
    | 'authority'
    | 'expired'
    | 'certificate log'
    | 'log key'
    | 'log'
    | 'signature'
    | 'unreadable'

  constructor(step: NotProven['step'], message: string) {
    super(message)
    this.step = step
  }
}

/**
 * Verifies a signature of a certificate: its time, its way to an authority at that time, its certificate log, its
 * entry in the log, the signature. Resolves to the trusted time, ms since the epoch: the earliest one.
 * Throws `NotProven`, and never anything else for what strangers wrote.
 */
export function verifyCertified({ material }: Root, der: Buffer, proven: Proven): number {
  return guarded(material, der, proven, () => {
    const certificate = X509Certificate.parse(Buffer.from(der))
    const key = { $case: 'certificate' as const, certificate }
    new Verifier(material).verify(entityOf(proven, key))
    return der
  })
}

/**
 * What the logs and the timestamps prove of a signature of a key that was verified before. Throws `NotProven`.
 * `isLogged`: at least one entry of a log is there. `at`: the earliest trusted time; undefined: there is none.
 */
export function verifyKeyed(
  { material }: Root,
  key: KeyObject,
  proven: Proven,
): { readonly at: number | undefined; readonly isLogged: boolean } {
  const isLogged = proven.proofs.entries.length > 0
  const at = guarded(material, undefined, proven, () => {
    const publicKey = () => ({ publicKey: key, validFor: () => true })
    const options = { ctlogThreshold: 0, tlogThreshold: 0, timestampThreshold: 0 }
    const entity = entityOf(proven, { $case: 'public-key', hint: '' })
    new Verifier({ ...material, publicKey }, options).verify(entity)
    return key.export({ type: 'spki', format: 'der' })
  })
  return { at: Number.isFinite(at) ? at : undefined, isLogged }
}

/** Runs the library, which says the key or the certificate in DER, and then the checks that it lacks. */
function guarded(
  material: TrustMaterial,
  der: Buffer | undefined,
  proven: Proven,
  verify: () => Buffer,
): number {
  const { entries } = proven.proofs
  try {
    const made = verify()
    const times = timesOf(proven.proofs)
    for (const entry of entries) {
      if (!isMadeBy(entry, made)) {
        throw new NotProven('log', 'the entry of the log has another key or certificate')
      }
      if (!isProofInItself(entry)) {
        throw new NotProven('log', 'the proof and its checkpoint contradict each other')
      }
      checkLogTimes(material, entry, times)
    }
    return Math.min(...times)
  } catch (error) {
    throw error instanceof NotProven ? error : explained(error, material, der, proven.proofs)
  }
}

function entityOf(proven: Proven, key: SignedEntity['key']): SignedEntity {
  const { proofs, signature } = proven
  const tlogEntries = proofs.entries.map(protobufOf)
  const stamps = proofs.timestamps.map((bytes) => ({
    $case: 'timestamp-authority' as const,
    timestamp: RFC3161Timestamp.parse(Buffer.from(bytes)),
  }))
  const inclusions = tlogEntries
    .filter(({ integratedTime }) => integratedTime !== '0')
    .map((tlogEntry) => ({ $case: 'transparency-log' as const, tlogEntry }))
  return {
    key,
    // Every entry has its `logId` and its `kindVersion`.
    tlogEntries: tlogEntries as never,
    timestamps: [...inclusions, ...stamps] as never,
    signature: {
      signature,
      compareSignature: (other) => isEqual(other, signature),
      compareDigest: (digest) => isDigestOf(digest, proven.payload),
      compareSignedDigest: (digest) => isDigestOf(digest, proven.signed),
      // The library hashes what any curve signs with SHA-256.
      verifySignature: (publicKey) => {
        const read = publicKeyOf('', publicKey)
        return read.ok && read.value.verifies(proven.signed, signature)
      },
    },
  }
}

function protobufOf(entry: LogEntry): TransparencyLogEntry {
  const { promise, proof } = entry
  return {
    logIndex: entry.logIndex,
    logId: { keyId: entry.logId },
    kindVersion: { kind: entry.kind, version: entry.version },
    integratedTime: entry.integratedTime,
    inclusionPromise: promise && { signedEntryTimestamp: promise },
    inclusionProof: proof && {
      logIndex: proof.logIndex,
      rootHash: proof.rootHash,
      treeSize: proof.treeSize,
      hashes: [...proof.hashes],
      checkpoint: { envelope: proof.checkpoint },
    },
    canonicalizedBody: entry.body,
  }
}

/** All times that were verified, ms since the epoch. An entry without a promise says nothing of the time. */
function timesOf({ entries, timestamps }: Proofs): number[] {
  const logged = entries
    .filter(({ promise, integratedTime }) => promise !== undefined && integratedTime !== '0')
    .map(({ integratedTime }) => Number(integratedTime) * 1000)
  const stamped = timestamps.map((bytes) =>
    RFC3161Timestamp.parse(Buffer.from(bytes)).signingTime.getTime(),
  )
  return [...logged, ...stamped]
}

/** An entry without a promise has no time of its own; its log has to be in use at the time of the signature. */
function checkLogTimes(material: TrustMaterial, entry: LogEntry, times: readonly number[]): void {
  const logs = material.tlogs.filter(({ logID }) => isEqual(logID, entry.logId))
  const isInUse = times.every((at) =>
    logs.some(({ validFor: { start, end } }) => start.getTime() <= at && at <= end.getTime()),
  )
  if (!isInUse)
    throw new NotProven('log key', 'the log was not in use at the time of the signature')
}

/** Which step an error of the library belongs to. */
function explained(
  error: unknown,
  material: TrustMaterial,
  der: Buffer | undefined,
  proofs: Proofs,
): NotProven {
  const { code, message } = error as { readonly code?: string; readonly message?: string }
  const isKnown = ({ logId }: LogEntry) => material.tlogs.some(({ logID }) => isEqual(logID, logId))
  const hasUnknown = proofs.entries.some((entry) => !isKnown(entry))
  switch (code) {
    case 'TIMESTAMP_ERROR':
      return new NotProven('time', message ?? '')
    case 'CERTIFICATE_ERROR': {
      const isOfLog = message?.includes('SCT') === true
      if (!isOfLog) return new NotProven(isInTime(der, proofs) ? 'authority' : 'expired', '')
      return new NotProven('certificate log', isLogKnown(material, der) ? 'wrong' : 'unknown')
    }
    case 'TLOG_ERROR':
    case 'TLOG_BODY_ERROR':
      return new NotProven('log', message ?? '')
    case 'TLOG_INCLUSION_PROOF_ERROR':
    case 'TLOG_INCLUSION_PROMISE_ERROR':
    case 'TLOG_MISSING_INCLUSION_ERROR':
      return new NotProven(hasUnknown ? 'log key' : 'log', message ?? '')
    case 'SIGNATURE_ERROR':
      return new NotProven('signature', message ?? '')
    default:
      return new NotProven('unreadable', '')
  }
}

/** Whether the certificate was valid at all of these times. */
function isInTime(der: Buffer | undefined, proofs: Proofs): boolean {
  try {
    const certificate = X509Certificate.parse(Buffer.from(der!))
    return timesOf(proofs).every((at) => certificate.validForDate(new Date(at)))
  } catch {
    return true
  }
}

/** Whether the root has the log that vouches for the certificate. */
function isLogKnown(material: TrustMaterial, der: Buffer | undefined): boolean {
  try {
    const { extensions } = X509Certificate.parse(Buffer.from(der!))
    const extension = extensions.find((one) => one.subs[0]!.toOID() === '1.3.6.1.4.1.11129.2.4.2')
    return new X509SCTExtension(extension!).signedCertificateTimestamps.some((sct) =>
      material.ctlogs.some(({ logID }) => isEqual(logID, sct.logID)),
    )
  } catch {
    return true
  }
}

const OID = {
  keyUsage: '2.5.29.15',
  alternativeName: '2.5.29.17',
  basicConstraints: '2.5.29.19',
  purposes: '2.5.29.37',
  otherName: '1.3.6.1.4.1.57264.1.7',
} as const

/** Reads a certificate in DER. Throws `Unreadable`. */
export function certificateParts(der: Buffer): CertificateParts {
  try {
    const certificate = X509Certificate.parse(Buffer.from(der))
    if (certificate.version !== 'v3') throw new Unreadable('the certificate is not of version 3')
    const { extBasicConstraints, extKeyUsage } = certificate
    const pathLength = extBasicConstraints?.pathLenConstraint
    const subject = certificate.tbsCertificate.subs[5]!.subs.flatMap((set) => set.subs)
    return {
      notBefore: certificate.notBefore.getTime(),
      notAfter: certificate.notAfter.getTime(),
      keyUsage: extKeyUsage && {
        isCritical: extKeyUsage.critical,
        bits: extKeyUsage.valueObj.subs[0]!.toBitString(),
      },
      purposes: purposesOf(certificate),
      isAuthority: certificate.isCA,
      pathLength: pathLength === undefined ? undefined : Number(pathLength),
      extensions: extensionsOf(certificate),
      subject: subject.every(({ subs }) => isText(subs[1]))
        ? subject.map(({ subs }) => [subs[0]!.toOID(), subs[1]!.value.toString()] as const)
        : undefined,
      names: namesOf(certificate),
    }
  } catch (error) {
    throw error instanceof Unreadable ? error : new Unreadable('the certificate cannot be read')
  }
}

/** UTF8String, PrintableString or IA5String. */
function isText(value: ASN1Obj | undefined): boolean {
  return value !== undefined && [0x0c, 0x13, 0x16].includes(value.tag.toDER())
}

function extensionsOf(certificate: X509Certificate): Extension[] {
  const found = certificate.extensions.map((one) => {
    const oid = one.subs[0]!.toOID()
    const isCritical = one.subs.length === 3 && one.subs[1]!.toBoolean()
    return { oid, isCritical, value: one.subs.at(-1)!.value }
  })
  // Two of one name: which one counts would be a matter of taste.
  if (new Set(found.map(({ oid }) => oid)).size !== found.length) {
    throw new Unreadable('the certificate has an extension twice')
  }
  return found
}

function purposesOf(certificate: X509Certificate): string[] {
  const list = certificate.extension(OID.purposes)?.valueObj.subs[0]
  return list?.subs.map((one) => one.toOID()) ?? []
}

function namesOf(certificate: X509Certificate): CertificateParts['names'] {
  const list = certificate.extension(OID.alternativeName)?.valueObj.subs[0]
  return (list?.subs ?? []).map((one) => {
    const tag = one.tag.number
    if (tag !== 0) return { tag, text: one.value.toString() }
    const isOurs = one.subs[0]?.toOID() === OID.otherName
    return { tag, text: isOurs ? (one.subs[1]?.subs[0]?.value.toString() ?? '') : '' }
  })
}

/** Reads DER to its last byte. Throws for anything else, errors of any type. */
export function readDer(der: Buffer): Der {
  return derFrom(ASN1Obj.parseBuffer(Buffer.from(der)))
}

function derFrom(read: ASN1Obj): Der {
  return {
    tag: read.tag.toDER(),
    value: read.value,
    subs: read.subs.map(derFrom),
    bytes: () => Buffer.from(read.toDER()),
    oid: () => read.toOID(),
  }
}
