/**
 * @module Chains of certificates from a signer to an anchor of a trust store (notaryproject/specifications,
 * certificate requirements; RFC 5280).
 */
import { createHash, type KeyObject, X509Certificate } from 'node:crypto'
import { certificateBytesMax } from '../formats/certificate.ts'
import type { CertificateParts } from '../formats/der.ts'
import { Unreadable } from '../formats/encoding.ts'
import { certificateParts } from '../keyless/sigstore.ts'

export interface Link {
  readonly der: Buffer
  /** SHA-256, lower-case hex. */
  readonly fingerprint: string
  readonly certificate: X509Certificate
  readonly key: KeyObject
  readonly parts: CertificateParts
}

/** Key usage, alternative names, basic constraints, policies, purposes: what may be critical. */
const UNDERSTOOD: ReadonlySet<string> = new Set([
  '2.5.29.15',
  '2.5.29.17',
  '2.5.29.19',
  '2.5.29.32',
  '2.5.29.37',
])

/** Bits of the key usage. */
const BIT = { digitalSignature: 0, keyCertSign: 5, crlSign: 6 } as const

export const PURPOSE = {
  codeSigning: '1.3.6.1.5.5.7.3.3',
  timeStamping: '1.3.6.1.5.5.7.3.8',
} as const

/** Purposes that a signer of code must not have as well: any, servers, e-mail, timestamps, OCSP. */
const FOREIGN: ReadonlySet<string> = new Set([
  '2.5.29.37.0',
  '1.3.6.1.5.5.7.3.1',
  '1.3.6.1.5.5.7.3.4',
  PURPOSE.timeStamping,
  '1.3.6.1.5.5.7.3.9',
])

/** Reads a certificate in DER. Throws `Unreadable`. */
export function linkOf(der: Buffer): Link {
  if (der.byteLength > certificateBytesMax) throw new Unreadable('a certificate is too long')
  let certificate: X509Certificate
  let key: KeyObject
  try {
    certificate = new X509Certificate(der)
    key = certificate.publicKey
  } catch {
    throw new Unreadable('a certificate cannot be read')
  }
  if (!certificate.raw.equals(der)) throw new Unreadable('a certificate is not DER')
  const fingerprint = createHash('sha256').update(der).digest('hex')
  return { der, fingerprint, certificate, key, parts: certificateParts(der) }
}

function isIssuedBy(child: Link, parent: Link): boolean {
  try {
    const { certificate } = child
    return certificate.checkIssued(parent.certificate) && certificate.verify(parent.key)
  } catch {
    return false
  }
}

/**
 * The way from the first certificate to an anchor: the chain up to a certificate that is an anchor itself, or that
 * an anchor has issued. Undefined: there is none, or the chain is out of order.
 */
export function pathTo(
  anchors: readonly Link[],
  chain: readonly Link[],
): readonly Link[] | undefined {
  const path: Link[] = []
  for (const link of chain) {
    const last = path.at(-1)
    if (last !== undefined && !isIssuedBy(last, link)) return undefined
    path.push(link)
    if (anchors.some(({ fingerprint }) => fingerprint === link.fingerprint)) return path
  }
  const issuer = anchors.find((anchor) => isIssuedBy(path.at(-1)!, anchor))
  return issuer === undefined ? undefined : [...path, issuer]
}

/** The chain in order, out of certificates in any order: each the issuer of the one before. */
export function ordered(leaf: Link, others: readonly Link[], lengthMax: number): readonly Link[] {
  const chain = [leaf]
  while (chain.length < lengthMax) {
    const last = chain.at(-1)!
    const next = others.find((it) => !chain.includes(it) && isIssuedBy(last, it))
    if (next === undefined) break
    chain.push(next)
  }
  return chain
}

/** Why a certificate may not sign for this purpose; undefined: it may. */
export function leafProblem({ parts }: Link, purpose: keyof typeof PURPOSE): string | undefined {
  const { keyUsage, purposes, isAuthority } = parts
  if (keyUsage === undefined || !keyUsage.isCritical) return 'its key usage is not critical'
  if (keyUsage.bits[BIT.digitalSignature] !== 1) return 'it is not for digital signatures'
  if (isAuthority || keyUsage.bits[BIT.keyCertSign] === 1 || keyUsage.bits[BIT.crlSign] === 1) {
    return 'it is one of an authority'
  }
  if (!purposes.includes(PURPOSE[purpose])) {
    return purpose === 'codeSigning' ? 'it is not for signing code' : 'it is not for timestamps'
  }
  const isPure =
    purpose === 'codeSigning'
      ? !purposes.some((one) => FOREIGN.has(one))
      : purposes.length === 1 && isCritical(parts, '2.5.29.37')
  return isPure ? undefined : 'it is for other purposes too'
}

function isCritical({ extensions }: CertificateParts, wanted: string): boolean {
  return extensions.some(({ oid, isCritical: it }) => oid === wanted && it)
}

/** What is wrong with the authorities of a path, or with what its certificates say is critical. */
export function pathProblem(path: readonly Link[]): string | undefined {
  for (const [index, { parts }] of path.entries()) {
    const unknown = parts.extensions.find(({ oid, isCritical: it }) => it && !UNDERSTOOD.has(oid))
    if (unknown !== undefined) return `a certificate has a critical extension ${unknown.oid}`
    if (index === 0) continue
    if (!parts.isAuthority) return 'a certificate of its chain is not one of an authority'
    // Authorities that stand between this one and the signer.
    if (parts.pathLength !== undefined && parts.pathLength < index - 1) {
      return 'its chain is longer than an authority allows'
    }
  }
  return undefined
}

/** Whether all certificates are valid at this time, ms since the epoch. */
export function isValidAt(path: readonly Link[], at: number): boolean {
  return path.every(({ parts }) => parts.notBefore <= at && at <= parts.notAfter)
}
