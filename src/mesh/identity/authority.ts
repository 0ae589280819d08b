/**
 * @module The authority of a cluster: made when the cluster is founded, it signs one certificate for each
 * member. Its key is one of the sealed rows (`seals.ts`), so each member that knows the secret of the mesh can
 * have its own certificate made again before it ends.
 *
 * A certificate says which member of which cluster holds its key, in a URI and nothing else:
 * `fastregistry://<cluster>/members/<number>`. Its host names are for etcd; between nodes they play no part.
 */
import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  X509Certificate,
} from 'node:crypto'
import type { Clock } from '../../runtime/clock.ts'
import type { Random } from '../../runtime/random.ts'
import { MeshError } from './problem.ts'
import { makeCertificate, type Subject } from './x509.ts'

const hourMs = 3_600_000
const dayMs = 24 * hourMs

/** Certificates begin so much before they are made: clocks of two nodes are never equal. */
const beforeMs = hourMs
/** Of a member's certificate. It is due to be made again when a third of it is left. */
const memberMs = 90 * dayMs
const renewMs = memberMs / 3
/** Of the authority: longer than any cluster lives. */
const authorityMs = 30 * 365 * dayMs

/** Longest public key of a member, bytes; one on P-256 has 91. */
const publicKeyBytesMax = 256
/** Longest certificate that is read, characters. */
const pemCharactersMax = 8_192
/** Largest number of a member: as many are never given. */
export const memberMax = 2 ** 32 - 1

/** What an authority needs of its surroundings. */
export interface AuthorityParts {
  readonly clock: Pick<Clock, 'now'>
  /** For serial numbers; keys are made by Node.js, from its own source. */
  readonly random: Random
}

/** Who holds a key. */
export interface MemberIdentity {
  readonly cluster: string
  readonly member: number
}

/** A key of a member: the private one as PEM, the public one as SubjectPublicKeyInfo in DER. */
export interface MemberKey {
  readonly privateKey: string
  readonly publicKey: Buffer
}

export class Authority {
  readonly cluster: string
  /** PEM. */
  readonly certificate: string
  readonly #key: KeyObject
  readonly #x509: X509Certificate
  readonly #parts: AuthorityParts

  private constructor(pem: string, key: KeyObject, parts: AuthorityParts) {
    this.certificate = pem
    this.#x509 = readCertificate(pem)
    this.cluster = clusterOf(this.#x509)
    this.#key = key
    this.#parts = parts
  }

  /** Makes key and certificate. Throws a RangeError for a name that no cluster has. */
  static async found(cluster: string, parts: AuthorityParts): Promise<Authority> {
    if (!isClusterId(cluster)) throw new RangeError('this is no name of a cluster')
    const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    const now = parts.clock.now()
    const subject = authorityOf(cluster)
    const der = await makeCertificate({
      serial: serialFrom(parts.random),
      subject,
      issuer: subject,
      notBefore: new Date(now - beforeMs),
      notAfter: new Date(now + authorityMs),
      publicKey: publicKey.export({ type: 'spki', format: 'der' }),
      signingKey: privateKey,
      uri: undefined,
    })
    return new Authority(pemOf(der), privateKey, parts)
  }

  /**
   * The authority as it was kept: certificate as PEM, key as PKCS #8 in DER. Throws a MeshError 'certificate'
   * when they do not belong together.
   */
  static open(certificate: string, privateKey: Uint8Array, parts: AuthorityParts): Authority {
    let key: KeyObject
    try {
      key = createPrivateKey({ key: Buffer.from(privateKey), format: 'der', type: 'pkcs8' })
    } catch (error) {
      throw new MeshError('certificate', 'the key of the authority cannot be read', {
        cause: error,
      })
    }
    if (!readCertificate(certificate).checkPrivateKey(key)) {
      throw new MeshError('certificate', 'the key is not the one of the authority')
    }
    return new Authority(certificate, key, parts)
  }

  /** PKCS #8, DER: to be sealed at once, and kept nowhere else. */
  get privateKey(): Buffer {
    return this.#key.export({ type: 'pkcs8', format: 'der' })
  }

  get fingerprint(): Buffer {
    return fingerprintOf(this.#x509)
  }

  /**
   * A certificate for the member's public key (SubjectPublicKeyInfo, DER), as PEM: from an hour ago for 90
   * days. `hosts`: names and addresses that it has beside, for etcd. Throws a MeshError 'message' for a key that is
   * not on P-256, and a RangeError for a number that no member has.
   */
  async issue(
    member: number,
    publicKey: Uint8Array,
    hosts: readonly string[] = [],
  ): Promise<string> {
    const now = this.#parts.clock.now()
    const ends = Math.min(now + memberMs, Date.parse(this.#x509.validTo))
    const der = await makeCertificate({
      serial: serialFrom(this.#parts.random),
      subject: { organization: this.cluster, name: `member ${member}` },
      issuer: authorityOf(this.cluster),
      notBefore: new Date(now - beforeMs),
      notAfter: new Date(ends),
      publicKey: requirePublicKey(publicKey),
      signingKey: this.#key,
      uri: uriOf(this.cluster, member),
      hosts,
    })
    return pemOf(der)
  }
}

/** A name as the log has it: 1 to 64 of `A-Z a-z 0-9 _ -`. */
export function isClusterId(text: string): boolean {
  return /^[A-Za-z0-9_-]{1,64}$/.test(text)
}

export function makeMemberKey(): MemberKey {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  return {
    privateKey: privateKey.export({ type: 'pkcs8', format: 'pem' }) as string,
    publicKey: publicKey.export({ type: 'spki', format: 'der' }),
  }
}

/** Whether a member's certificate (PEM) ends so soon that it is to be made again. `now`: ms of wall time. */
export function isRenewalDue(certificate: string, now: number): boolean {
  return Date.parse(readCertificate(certificate).validTo) - now < renewMs
}

/**
 * Who a certificate says holds its key; undefined: it says no such thing first of all. It says nothing of who
 * signed it.
 */
export function memberIn(x509: X509Certificate): MemberIdentity | undefined {
  const found =
    /^URI:fastregistry:\/\/([A-Za-z0-9_-]{1,64})\/members\/([1-9]\d{0,9})(?:$|, (?:DNS|IP Address):)/.exec(
      x509.subjectAltName ?? '',
    )
  const member = Number(found?.[2])
  return found === null || member > memberMax ? undefined : { cluster: found[1]!, member }
}

/**
 * Sees that a certificate that a peer has sent (both as PEM) is of this member and this key, signed by this
 * authority. Throws a MeshError 'certificate'.
 */
export function requireOwnCertificate(
  certificate: string,
  authority: string,
  { cluster, member, publicKey }: MemberIdentity & { readonly publicKey: Uint8Array },
): void {
  const x509 = readCertificate(certificate)
  const said = memberIn(x509)
  const key = x509.publicKey.export({ type: 'spki', format: 'der' })
  const isOwn = said?.cluster === cluster && said.member === member && key.equals(publicKey)
  if (!isOwn) throw new MeshError('certificate', 'the certificate is not of this node')
  if (!x509.verify(readCertificate(authority).publicKey)) {
    throw new MeshError('certificate', 'the certificate is not of the authority of the cluster')
  }
}

/** Reads PEM that a peer may have sent. Throws a MeshError 'certificate'. */
export function readCertificate(pem: string): X509Certificate {
  try {
    if (pem.length > pemCharactersMax) throw new RangeError('it is too long')
    return new X509Certificate(pem)
  } catch (error) {
    throw new MeshError('certificate', 'the certificate cannot be read', { cause: error })
  }
}

/** SHA-256 of the DER, 32 bytes. */
export function fingerprintOf(x509: X509Certificate): Buffer {
  return createHash('sha256').update(x509.raw).digest()
}

function requirePublicKey(der: Uint8Array): Uint8Array {
  if (der.byteLength > publicKeyBytesMax) throw noKey()
  let key: KeyObject
  try {
    key = createPublicKey({ key: Buffer.from(der), format: 'der', type: 'spki' })
  } catch {
    throw noKey()
  }
  if (key.asymmetricKeyDetails?.namedCurve !== 'prime256v1') throw noKey()
  // As Node.js has understood it, not as it was sent.
  return key.export({ type: 'spki', format: 'der' })
}

function noKey(): MeshError {
  return new MeshError('message', 'the public key of the node is not one on the curve P-256')
}

function authorityOf(cluster: string): Subject {
  return { organization: cluster, name: 'FastRegistry mesh authority' }
}

function clusterOf(x509: X509Certificate): string {
  const lines = x509.subject.split('\n')
  const cluster = lines[0]?.slice('O='.length) ?? ''
  if (x509.ca && isClusterId(cluster) && x509.subject === x509.issuer) return cluster
  throw new MeshError('certificate', 'the certificate is not of an authority of a mesh')
}

function uriOf(cluster: string, member: number): string {
  if (!Number.isInteger(member) || member < 1 || member > memberMax) {
    throw new RangeError('this is no number of a member')
  }
  return `fastregistry://${cluster}/members/${member}`
}

/** 16 bytes; a first one of 64 to 127 makes it positive and as long as it looks. */
function serialFrom(random: Random): Uint8Array {
  const serial = Uint8Array.from(random.bytes(16))
  serial[0] = (serial[0]! & 0x3f) | 0x40
  return serial
}

function pemOf(der: Buffer): string {
  return new X509Certificate(der).toString()
}
