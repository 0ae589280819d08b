/**
 * @module Who made a signature, and whether that counts: by a key of the configuration, else by the certificate that
 * came along.
 */
import { X509Certificate } from 'node:crypto'
import { certificateBytesMax, signerFactsOf } from '../formats/certificate.ts'
import { Unreadable } from '../formats/encoding.ts'
import type { Proofs } from '../formats/proofs.ts'
import { type PublicKey, publicKeyOf } from '../keys/public-key.ts'
import type { Finding, SignedAt, Signer } from './finding.ts'
import { fits, type Matches, type WantedSigner } from './signers.ts'

/** What is said of a signature once it was looked at. */
export type SignedPart = Pick<
  Finding,
  'result' | 'reason' | 'signer' | 'signedAt' | 'tags' | 'isLogged' | 'validUntil'
>

/** One signature over some bytes, with what came along. */
export interface Proven {
  readonly signature: Buffer
  readonly signed: Uint8Array
  /** What the entry of a log may name instead: the payload of an envelope. */
  readonly payload: Uint8Array
  readonly proofs: Proofs
}

/** What trusted roots and stores prove: loaded where one is configured. */
export interface CertificateVerifiers {
  /** A signature of a certificate in DER. Throws `Unreadable`. */
  keyless(der: Buffer, proven: Proven): SignedPart
  /** When a key signed, and whether that is in a log. Never throws. */
  ofKey(
    key: PublicKey['key'],
    proven: Proven,
  ): { readonly signedAt?: SignedAt; readonly isLogged?: true }
  /** An envelope of Notation in a layer of this type. Throws `Unreadable`. */
  notation(layerType: string, bytes: Uint8Array, subject: SubjectBytes): SignedPart
}

interface SubjectBytes {
  readonly digest: string
  readonly bytes: Uint8Array
}

/** All that signatures are verified with. */
export interface Verifiers {
  readonly keys: readonly PublicKey[]
  /** They verify as well; what they made does not count. */
  readonly revokedKeys: readonly PublicKey[]
  /** SHA-256, lower-case hex, of certificates and of keys (SPKI). */
  readonly revoked: ReadonlySet<string>
  /** All that the configuration names. */
  readonly signers: readonly WantedSigner[]
  readonly matches: Matches
  readonly certificates: CertificateVerifiers
  /** ms since the epoch. */
  readonly now: number
  /** Whether there is time for one more signature. */
  readonly hasTime: () => boolean
}

/** What was signed, and what the signer says of itself. */
export interface Made extends Omit<Proven, 'signature'> {
  readonly signatures: readonly Buffer[]
  /** PEM or DER. */
  readonly certificate?: string | Buffer | undefined
  readonly hint?: string | undefined
}

/**
 * A key counts whatever the signer says of itself; a certificate that lies beside the signature is not covered
 * by it. Throws `Unreadable`.
 */
export function bySigner(how: Verifiers, made: Made): SignedPart {
  const { certificate, signatures } = made
  const own = madeBy(how, how.keys, made)
  if (own !== undefined) return byKey(how, own.key, { ...made, signature: own.signature })
  const revoked = madeBy(how, how.revokedKeys, made)
  if (revoked !== undefined) {
    const { name, fingerprint } = revoked.key
    const reason = `the key ${name} is revoked`
    return { signer: { key: name, fingerprint }, result: 'revoked', reason }
  }
  if (certificate !== undefined) {
    const der = derOf(certificate)
    if (signatures.length !== 1) {
      throw new Unreadable('it is not said which one of several signatures the certificate made')
    }
    const proven = { ...made, signature: signatures[0]! }
    return judged(how, der, () => how.certificates.keyless(der, proven))
  }
  const reason =
    how.keys.length === 0
      ? 'no key is configured in signing.keys'
      : 'none of the keys in signing.keys made it'
  return { result: 'unknown key', reason }
}

/** The same for an envelope of Notation, which has its certificates inside. Throws `Unreadable`. */
export function byCertificateOf(
  how: Verifiers,
  layerType: string,
  bytes: Uint8Array,
  subject: SubjectBytes,
): SignedPart {
  return judged(how, undefined, () => how.certificates.notation(layerType, bytes, subject))
}

function byKey(how: Verifiers, key: PublicKey, proven: Proven): SignedPart {
  const { name, fingerprint, untilMs } = key
  const signer: Signer = { name, key: name, fingerprint }
  const proof = how.certificates.ofKey(key.key, proven)
  const at = proof.signedAt?.at ?? Number.POSITIVE_INFINITY
  if (untilMs === undefined || at < untilMs) return { signer, ...proof, result: 'verified' }
  // What is here before the end was made before the end, and nothing else will say so later.
  if (how.now < untilMs) return { signer, ...proof, result: 'verified', validUntil: untilMs }
  const reason = `expired ${new Date(untilMs).toISOString().slice(0, 10)}: no trusted time says that the key made it before`
  return { signer: { key: name, fingerprint }, ...proof, result: 'expired', reason }
}

/**
 * Whether a signature of a certificate counts: it is proven, it is not revoked, and something names its signer. Errors
 * of the libraries for what a stranger wrote into a certificate are no faults of this program.
 */
function judged(how: Verifiers, leaf: Buffer | undefined, prove: () => SignedPart): SignedPart {
  let part: SignedPart
  try {
    part = prove()
    if (part.result !== 'verified') return part
    if (leaf !== undefined && isRevoked(how, leaf)) {
      return { ...part, result: 'revoked', reason: 'its certificate is revoked' }
    }
  } catch (error) {
    throw error instanceof Unreadable ? error : new Unreadable('its certificate cannot be read')
  }
  const wanted = how.signers.find((one) => fits(one, part, how.matches))
  if (wanted !== undefined) return { ...part, signer: { ...part.signer, name: wanted.name } }
  const { identity, store } = part.signer ?? {}
  const who = identity === undefined ? store?.subject : `${identity.subject} (${identity.issuer})`
  const reason = `wrong subject: ${(who ?? '').slice(0, 512)} is no signer of the configuration`
  return { ...part, result: 'wrong subject', reason }
}

/** Whether a certificate (DER) or its key counts no more. */
export function isRevoked({ revoked }: Pick<Verifiers, 'revoked'>, der: Buffer): boolean {
  if (revoked.size === 0) return false
  if (revoked.has(signerFactsOf(der).certificate)) return true
  const key = publicKeyOf('', new X509Certificate(der).publicKey)
  return key.ok && revoked.has(key.value.fingerprint)
}

function derOf(certificate: string | Buffer): Buffer {
  if (certificate.length > certificateBytesMax) throw new Unreadable('the certificate is too long')
  try {
    return Buffer.from(new X509Certificate(certificate).raw)
  } catch {
    throw new Unreadable('the certificate cannot be read')
  }
}

/** Tries the key that the hint means first, then all others: a hint proves nothing. */
function madeBy(
  { hasTime }: Verifiers,
  keys: readonly PublicKey[],
  { signed, signatures, hint }: Made,
): { readonly key: PublicKey; readonly signature: Buffer } | undefined {
  const isMeant = ({ fingerprint }: PublicKey) =>
    hint !== undefined && Buffer.from(fingerprint, 'hex').toString('base64') === hint
  // Each may hash megabytes.
  for (const key of [...keys.filter(isMeant), ...keys.filter((one) => !isMeant(one))]) {
    const signature = signatures.find((one) => hasTime() && key.verifies(signed, one))
    if (signature !== undefined) return { key, signature }
  }
  return undefined
}
