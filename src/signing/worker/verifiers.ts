/**
 * @module Makes verifiers out of what a request says that signatures are verified with. What is read of keys, roots and
 * stores is kept until they change; the libraries for certificates are loaded once a root or a store is there.
 *
 * @apart It keeps something between requests, which a request must not.
 */
import { compileGlob, type Matcher } from '../../registry/glob.ts'
import { signerFactsOf } from '../formats/certificate.ts'
import { readNotation } from '../formats/notation.ts'
import { type PublicKey, readPublicKey } from '../keys/public-key.ts'
import { type CertificateVerifiers, isRevoked, type Verifiers } from '../verdicts/signed.ts'
import type { Matches } from '../verdicts/signers.ts'
import type { NamedKey, Trust } from './messages.ts'

type Kept = Omit<Verifiers, 'now' | 'hasTime' | 'certificates'> & {
  readonly version: number
  readonly certificates: (now: number) => CertificateVerifiers
}

let kept: Kept | undefined

/** For one request. Rejects only for a fault of this program: what a request has was checked before. */
export async function verifiersOf(trust: Trust, hasTime: () => boolean): Promise<Verifiers> {
  if (kept?.version !== trust.version) kept = await read(trust)
  return { ...kept, certificates: kept.certificates(trust.now), now: trust.now, hasTime }
}

async function read(trust: Trust): Promise<Kept> {
  const { version, signers, revoked } = trust
  const all = readKeys(trust.keys)
  const isKept = ({ name, fingerprint }: PublicKey) =>
    !revoked.keys.includes(name) && !revoked.keys.includes(fingerprint)
  const revokedKeys = all.filter((key) => !isKept(key))
  const prints = new Set([
    ...revoked.certificates,
    ...revoked.keys,
    ...revokedKeys.map(({ fingerprint }) => fingerprint),
  ])
  return {
    version,
    keys: all.filter(isKept),
    revokedKeys,
    revoked: prints,
    signers,
    matches: compiled(),
    certificates: await certificatesOf(trust, prints),
  }
}

function readKeys(keys: readonly NamedKey[]): PublicKey[] {
  return keys.map(({ name, pem, untilMs }) => {
    const key = readPublicKey(name, pem, untilMs)
    if (!key.ok) throw new Error(`key ${name}: ${key.error}`)
    return key.value
  })
}

/** Globs were checked where they were read: one that cannot be compiled fits nothing. */
export function compiled(): Matches {
  const matchers = new Map<string, Matcher>()
  return (glob, text) => {
    let matcher = matchers.get(glob)
    if (matcher === undefined) {
      const read = compileGlob(glob)
      matcher = read.ok ? read.value : () => false
      matchers.set(glob, matcher)
    }
    return matcher(text)
  }
}

async function certificatesOf(
  { roots, stores }: Trust,
  revoked: ReadonlySet<string>,
): Promise<(now: number) => CertificateVerifiers> {
  if (roots.length + stores.length === 0) return () => withoutCertificates
  const [{ readRoot }, { byCertificate, provenOfKey }, { byStores }, { linkOf }] =
    await Promise.all([
      import('../keyless/sigstore.ts'),
      import('../keyless/keyless.ts'),
      import('../notation/notation.ts'),
      import('../notation/chain.ts'),
    ])
  const trusted = roots.map(({ json, ...rest }) => ({ ...rest, root: readRoot(json, revoked) }))
  const opened = stores.map(({ certificates, ...rest }) => ({
    ...rest,
    anchors: certificates.map((der) => linkOf(Buffer.from(der))),
  }))
  const isGone = (der: Buffer) => isRevoked({ revoked }, der)
  return (now) => ({
    keyless: (der, proven) => byCertificate(trusted, der, proven, now),
    ofKey: (key, proven) => provenOfKey(trusted, key, proven),
    notation: (type, bytes, subject) =>
      byStores({ stores: opened, isRevoked: isGone, now }, type, bytes, subject),
  })
}

/** Where neither a root nor a store is: certificates are listed with what they say of themselves. */
export const withoutCertificates: CertificateVerifiers = {
  keyless(der) {
    const reason = 'it is signed with a certificate, and signing.roots has no root'
    return { signer: signerFactsOf(der), result: 'not checked', reason }
  },
  ofKey: () => ({}),
  notation(type, bytes, { digest }) {
    const { target, chain } = readNotation(type, bytes)
    const signer = signerFactsOf(chain[0]!)
    if (target.digest !== digest) {
      const reason = `it is about ${target.digest.slice(0, 140)}`
      return { signer, result: 'digest mismatch', reason }
    }
    const reason = 'it is signed with a certificate, and signing.stores has no store'
    return { signer, result: 'not checked', reason }
  },
}
