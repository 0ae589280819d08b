/**
 * @module What a signer's certificate says of him. Nothing here is proven: who vouches for it is another
 * question.
 */
import { X509Certificate } from 'node:crypto'
import { Unreadable } from './encoding.ts'

/** Largest certificate, bytes. Real ones have about one thousand. */
export const certificateBytesMax = 16 * 1024

export interface SignerFacts {
  /** SHA-256 of the certificate, lower-case hex. */
  readonly certificate: string
  /** The workflow, e-mail or name that it was given to. */
  readonly subject: string
}

/** Reads a certificate in DER or PEM. Throws `Unreadable`. */
export function signerFactsOf(certificate: string | Uint8Array): SignerFacts {
  if (certificate.length > certificateBytesMax) throw new Unreadable('the certificate is too long')
  try {
    const read = new X509Certificate(certificate)
    const fingerprint = read.fingerprint256.replaceAll(':', '').toLowerCase()
    return { certificate: fingerprint, subject: subjectOf(read) }
  } catch {
    throw new Unreadable('the certificate cannot be read')
  }
}

/** The alternative name of Fulcio's certificates, whose subject is empty; else the subject on one line. */
function subjectOf({ subjectAltName, subject }: X509Certificate): string {
  const alternative = /^(?:URI|email):"?([^",]{1,1024})"?(?:,|$)/.exec(subjectAltName ?? '')?.[1]
  return alternative ?? (subject ?? '').split('\n').join(', ').slice(0, 1024)
}
