/**
 * @module Timestamps of Notation: a TimeStampToken (RFC 3161, with RFC 5816) that a public authority has signed, with
 * its certificates inside, verified against the trust stores of type `tsa`.
 */
import { createHash, verify } from 'node:crypto'
import type { Der } from '../formats/der.ts'
import { Unreadable } from '../formats/encoding.ts'
import { chainLengthMax } from '../formats/notation.ts'
import { readDer } from '../keyless/sigstore.ts'
import { isValidAt, type Link, leafProblem, linkOf, ordered, pathProblem, pathTo } from './chain.ts'

/** Largest token, bytes: with three certificates of RSA real ones have about 7,000. */
const tokenBytesMax = 16 * 1024

const OID = {
  signedData: '1.2.840.113549.1.7.2',
  tstInfo: '1.2.840.113549.1.9.16.1.4',
  contentType: '1.2.840.113549.1.9.3',
  messageDigest: '1.2.840.113549.1.9.4',
  signingCertificate: '1.2.840.113549.1.9.16.2.47',
} as const

const HASHES: ReadonlyMap<string, string> = new Map([
  ['2.16.840.1.101.3.4.2.1', 'sha256'],
  ['2.16.840.1.101.3.4.2.2', 'sha384'],
  ['2.16.840.1.101.3.4.2.3', 'sha512'],
])

/** Algorithms of signatures with their hash; of the first the hash stands elsewhere. */
const SIGNATURES: ReadonlyMap<string, string | undefined> = new Map([
  ['1.2.840.113549.1.1.1', undefined],
  ['1.2.840.113549.1.1.11', 'sha256'],
  ['1.2.840.113549.1.1.12', 'sha384'],
  ['1.2.840.113549.1.1.13', 'sha512'],
  ['1.2.840.10045.4.3.2', 'sha256'],
  ['1.2.840.10045.4.3.3', 'sha384'],
  ['1.2.840.10045.4.3.4', 'sha512'],
])

const TAG = { context0: 0xa0, octets: 0x04, generalizedTime: 0x18, set: 0x31 } as const

/**
 * The time that the token proves for these bytes, ms since the epoch, by one of the anchors; text: why it proves
 * none. Never throws for what strangers wrote.
 */
export function timestampedAt(
  token: Buffer,
  bytes: Uint8Array,
  anchors: readonly Link[],
): { readonly at: number; readonly path: readonly Link[] } | string {
  if (token.byteLength > tokenBytesMax) return 'its timestamp is too long'
  try {
    return verifiedToken(token, bytes, anchors)
  } catch (error) {
    return error instanceof Unreadable ? error.message : 'its timestamp cannot be read'
  }
}

function verifiedToken(
  token: Buffer,
  bytes: Uint8Array,
  anchors: readonly Link[],
): { readonly at: number; readonly path: readonly Link[] } {
  const [contentType, wrapped] = readDer(token).subs
  const data = wrapped!.subs[0]!
  const [, , content] = data.subs
  if (contentType!.oid() !== OID.signedData || content!.subs[0]!.oid() !== OID.tstInfo) {
    throw new Unreadable('its timestamp is of another type')
  }
  const info = content!.subs[1]!.subs[0]!
  if (info.tag !== TAG.octets) throw new Unreadable('its timestamp is of another type')
  const signers = data.subs.at(-1)!
  if (signers.tag !== TAG.set || signers.subs.length !== 1) {
    throw new Unreadable('its timestamp has not exactly one signer')
  }
  const signer = signers.subs[0]!
  const listed = data.subs.slice(3, -1).find(({ tag }) => tag === TAG.context0)?.subs ?? []
  if (listed.length > chainLengthMax)
    throw new Unreadable('its timestamp has too many certificates')
  const certificates = listed.map((one) => linkOf(one.bytes()))
  const leaf = signerOf(signer, certificates)
  checkSignature(signer, info.value, leaf)
  const at = timeIn(info.value, bytes)
  const chain = ordered(leaf, certificates, chainLengthMax)
  const path = pathTo(anchors, chain)
  if (path === undefined)
    throw new Unreadable('no store of type tsa has the authority of its timestamp')
  const problem = leafProblem(leaf, 'timeStamping') ?? pathProblem(path)
  if (problem !== undefined) throw new Unreadable(`the certificate of its timestamp: ${problem}`)
  if (!isValidAt(path, at)) throw new Unreadable('the certificate of its timestamp had expired')
  return { at, path }
}

/** The certificate with the issuer and the serial number that the signer names. */
function signerOf(signer: Der, certificates: readonly Link[]): Link {
  const [issuer, serial] = signer.subs[1]!.subs
  const found = certificates.find(({ der }) => {
    const [tbs] = readDer(der).subs
    const [, number, , name] = tbs!.subs
    return number!.value.equals(serial!.value) && name!.bytes().equals(issuer!.bytes())
  })
  if (found === undefined) throw new Unreadable('its timestamp lacks the certificate of its signer')
  return found
}

function checkSignature(signer: Der, info: Buffer, leaf: Link): void {
  const [, , digestAlgorithm, attributes, algorithm, signature] = signer.subs
  const hash = HASHES.get(digestAlgorithm!.subs[0]!.oid())
  const signatureOid = algorithm!.subs[0]!.oid()
  if (hash === undefined || !SIGNATURES.has(signatureOid) || attributes!.tag !== TAG.context0) {
    throw new Unreadable('its timestamp has an algorithm that this registry does not take')
  }
  const attribute = (oid: string) => {
    const found = attributes!.subs.filter(({ subs }) => subs[0]!.oid() === oid)
    if (found.length !== 1) throw new Unreadable('its timestamp lacks an attribute')
    return found[0]!.subs[1]!.subs[0]!
  }
  const digest = createHash(hash).update(info).digest()
  const named = attribute(OID.signingCertificate).subs[0]!.subs[0]!
  // The algorithm stands first where it is not SHA-256.
  const [first] = named.subs
  const isSha256 = first!.tag === TAG.octets && first!.value.toString('hex') === leaf.fingerprint
  if (
    attribute(OID.contentType).oid() !== OID.tstInfo ||
    !attribute(OID.messageDigest).value.equals(digest) ||
    !isSha256
  ) {
    throw new Unreadable('its timestamp contradicts itself')
  }
  const covered = attributes!.bytes()
  covered[0] = TAG.set
  const isGood = verify(SIGNATURES.get(signatureOid) ?? hash, covered, leaf.key, signature!.value)
  if (!isGood) throw new Unreadable('the signature of its timestamp is wrong')
}

/** The time in a TSTInfo that is about these bytes. */
function timeIn(info: Buffer, bytes: Uint8Array): number {
  const [, , imprint, , time] = readDer(info).subs
  const hash = HASHES.get(imprint!.subs[0]!.subs[0]!.oid())
  const wanted = hash === undefined ? undefined : createHash(hash).update(bytes).digest()
  if (wanted === undefined || !imprint!.subs[1]!.value.equals(wanted)) {
    throw new Unreadable('its timestamp is about another signature')
  }
  const digits = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(?:\.\d{1,9})?Z$/.exec(
    time!.value.toString(),
  )
  const [, year, month, day, hour, minute, second] = digits ?? []
  const at = Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`)
  if (time!.tag !== TAG.generalizedTime || Number.isNaN(at)) {
    throw new Unreadable('its timestamp has no time')
  }
  return at
}
