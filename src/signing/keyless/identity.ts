/**
 * @module Who a certificate of Fulcio was given to (sigstore/fulcio, OID information), and whether it may sign.
 */
import type { CertificateParts, Extension } from '../formats/der.ts'
import { readDer } from './sigstore.ts'

const ARC = '1.3.6.1.4.1.57264.1.'

/** Extensions that hold claims of the token, by the last number of their OID: those of old versions are left out. */
const CLAIMS: ReadonlyMap<string, string> = new Map([
  ['9', 'build_signer_uri'],
  ['10', 'build_signer_digest'],
  ['11', 'runner_environment'],
  ['12', 'source_repository'],
  ['13', 'source_digest'],
  ['14', 'source_ref'],
  ['15', 'source_repository_id'],
  ['16', 'source_owner'],
  ['17', 'source_owner_id'],
  ['18', 'build_config_uri'],
  ['19', 'build_config_digest'],
  ['20', 'trigger'],
  ['21', 'run_uri'],
  ['22', 'visibility'],
  ['23', 'deployment_environment'],
  ['24', 'token_subject'],
])

/** What a certificate may say is critical: key usage, names, basic constraints, purposes. */
const UNDERSTOOD: ReadonlySet<string> = new Set([
  '2.5.29.15',
  '2.5.29.17',
  '2.5.29.19',
  '2.5.29.37',
])

const codeSigning = '1.3.6.1.5.5.7.3.3'

/** Longest issuer, subject or claim, characters. */
const textLengthMax = 2048

export interface CertifiedIdentity {
  readonly issuer: string
  readonly subject: string
  readonly claims: Readonly<Record<string, string>>
}

/** Who it was given to; text: why nothing can be said. */
export function identityIn(parts: CertificateParts): CertifiedIdentity | string {
  const { purposes, keyUsage, isAuthority, extensions, names } = parts
  if (!purposes.includes(codeSigning)) return 'the certificate is not for signing code'
  if (keyUsage !== undefined && keyUsage.bits[0] !== 1) return 'the certificate is not for signing'
  if (isAuthority) return 'the certificate is one of an authority, not of a signer'
  const unknown = extensions.find(({ oid, isCritical }) => isCritical && !UNDERSTOOD.has(oid))
  if (unknown !== undefined) return `the certificate has a critical extension ${unknown.oid}`
  const [name, ...others] = names
  if (name === undefined || others.length > 0) return 'the certificate has not exactly one subject'
  const issuer = issuerIn(extensions)
  if (issuer === undefined) return 'the certificate names no issuer'
  if (![0, 1, 6].includes(name.tag) || !isPlain(name.text)) return 'the subject cannot be read'
  const claims: Record<string, string> = {}
  for (const { oid, value } of extensions) {
    const claim = oid.startsWith(ARC) ? CLAIMS.get(oid.slice(ARC.length)) : undefined
    const text = claim === undefined ? undefined : readText(value)
    if (claim !== undefined && text !== undefined && isPlain(text)) claims[claim] = text
  }
  return { issuer, subject: name.text, claims }
}

/** Number 8 is a UTF8String; number 1, of old certificates, is the text itself. */
function issuerIn(extensions: readonly Extension[]): string | undefined {
  const find = (number: string) => extensions.find(({ oid }) => oid === ARC + number)?.value
  const [now, old] = [find('8'), find('1')]
  const text = now === undefined ? old?.toString() : readText(now)
  return text !== undefined && isPlain(text) ? text : undefined
}

/** Text without control characters: what is shown to people, and compared. */
function isPlain(text: string): boolean {
  return text !== '' && text.length <= textLengthMax && !/[\u0000-\u001f\u007f\ufffd]/.test(text)
}

/** The text in the DER of a UTF8String; undefined: it is none. */
function readText(der: Buffer): string | undefined {
  try {
    const { tag, value } = readDer(der)
    return tag === 0x0c ? value.toString() : undefined
  } catch {
    return undefined
  }
}
