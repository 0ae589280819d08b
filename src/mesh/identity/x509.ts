/**
 * @module Makes X.509 certificates, which Node.js only reads: the one user of `@peculiar/asn1-x509`, loaded
 * when a certificate is made. It gives the structures; keys and signatures are those of Node.js.
 */
import { createHash, createPublicKey, type KeyObject, sign } from 'node:crypto'
import { isIP } from 'node:net'

/** 1.2.840.10045.4.3.2, ecdsa-with-SHA256. */
const ecdsaWithSha256 = '1.2.840.10045.4.3.2'
const organizationName = '2.5.4.10'
const commonName = '2.5.4.3'

export interface Subject {
  readonly organization: string
  readonly name: string
}

export interface CertificateFields {
  /** Up to 20 bytes, the first one between 1 and 127. */
  readonly serial: Uint8Array
  readonly subject: Subject
  readonly issuer: Subject
  readonly notBefore: Date
  readonly notAfter: Date
  /** SubjectPublicKeyInfo, DER. */
  readonly publicKey: Uint8Array
  /** Of the issuer: on the curve P-256. */
  readonly signingKey: KeyObject
  /** Undefined: an authority. Else for both ends of TLS, under this URI. */
  readonly uri: string | undefined
  /** Names and addresses of a member, for programs that look at them: the peers of etcd do. */
  readonly hosts?: readonly string[]
}

/** The certificate as DER. Throws for a public key that is none. */
export async function makeCertificate(fields: CertificateFields): Promise<Buffer> {
  const x509 = await import('@peculiar/asn1-x509')
  const { AsnConvert, OctetString } = await import('@peculiar/asn1-schema')
  const nameOf = ({ organization, name }: Subject) =>
    new x509.Name(
      [
        [organizationName, organization],
        [commonName, name],
      ].map(([type, utf8String]) => {
        const value = new x509.AttributeValue({ utf8String: utf8String! })
        const attribute = new x509.AttributeTypeAndValue({ type: type!, value })
        return new x509.RelativeDistinguishedName([attribute])
      }),
    )
  const extension = (extnID: string, critical: boolean, value: unknown) => {
    const extnValue = new OctetString(AsnConvert.serialize(value))
    return new x509.Extension({ extnID, critical, extnValue })
  }
  const { KeyUsageFlags: usage } = x509
  const isAuthority = fields.uri === undefined
  const keyUsage = isAuthority ? usage.keyCertSign | usage.cRLSign : usage.digitalSignature
  const issuerKey = createPublicKey(fields.signingKey).export({ type: 'spki', format: 'der' })
  const extensions = [
    extension(
      x509.id_ce_basicConstraints,
      true,
      new x509.BasicConstraints(isAuthority ? { cA: true, pathLenConstraint: 0 } : { cA: false }),
    ),
    extension(x509.id_ce_keyUsage, true, new x509.KeyUsage(keyUsage)),
    extension(
      x509.id_ce_subjectKeyIdentifier,
      false,
      new x509.SubjectKeyIdentifier(keyId(fields.publicKey)),
    ),
    extension(
      x509.id_ce_authorityKeyIdentifier,
      false,
      new x509.AuthorityKeyIdentifier({ keyIdentifier: new x509.KeyIdentifier(keyId(issuerKey)) }),
    ),
  ]
  if (fields.uri !== undefined) {
    const names = [
      new x509.GeneralName({ uniformResourceIdentifier: fields.uri }),
      ...(fields.hosts ?? []).map((host) => {
        return new x509.GeneralName(isIP(host) === 0 ? { dNSName: host } : { iPAddress: host })
      }),
    ]
    const uses = new x509.ExtendedKeyUsage([x509.id_kp_serverAuth, x509.id_kp_clientAuth])
    extensions.push(
      extension(x509.id_ce_extKeyUsage, false, uses),
      extension(x509.id_ce_subjectAltName, true, new x509.SubjectAlternativeName(names)),
    )
  }
  const algorithm = new x509.AlgorithmIdentifier({ algorithm: ecdsaWithSha256 })
  const tbsCertificate = new x509.TBSCertificate({
    version: x509.Version.v3,
    serialNumber: exactly(fields.serial),
    signature: algorithm,
    issuer: nameOf(fields.issuer),
    validity: new x509.Validity({ notBefore: fields.notBefore, notAfter: fields.notAfter }),
    subject: nameOf(fields.subject),
    subjectPublicKeyInfo: AsnConvert.parse(exactly(fields.publicKey), x509.SubjectPublicKeyInfo),
    extensions: new x509.Extensions(extensions),
  })
  const signed = Buffer.from(AsnConvert.serialize(tbsCertificate))
  const signatureValue = exactly(sign('sha256', signed, fields.signingKey))
  const all = { tbsCertificate, signatureAlgorithm: algorithm, signatureValue }
  return Buffer.from(AsnConvert.serialize(new x509.Certificate(all)))
}

/** As RFC 7093 has it: the first 160 bits of a hash of the key. */
function keyId(publicKey: Uint8Array): ArrayBuffer {
  return exactly(createHash('sha256').update(publicKey).digest().subarray(0, 20))
}

function exactly(bytes: Uint8Array): ArrayBuffer {
  return Uint8Array.from(bytes).buffer
}
