/**
 * @module Signatures as Notation makes them, JWS and COSE, with `node:crypto` and certificates of the test's own; and
 * timestamps of a public kind of authority (RFC 3161).
 */
import { constants, createHash, type KeyObject, sign } from 'node:crypto'
import type { Json } from '../../../bench/sigstore/keyless.ts'
import {
  type Issued,
  integer,
  type KeyKind,
  octets,
  oid,
  sequence,
  setOf,
  time,
  tlv,
} from './certificate.ts'
import { type AttachedLayer, image, subject } from './look.ts'

export const payloadType = 'application/vnd.cncf.notary.payload.v1+json'
export const notationManifest = 'application/vnd.cncf.notary.signature'

export const targetOf = (fields: object = {}) => ({
  targetArtifact: {
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
    digest: subject.digest,
    size: image.byteLength,
    ...fields,
  },
})

const ALGORITHM: Readonly<Record<KeyKind, string>> = {
  p256: 'ES256',
  p384: 'ES384',
  p521: 'ES512',
  rsa2048: 'PS256',
  rsa3072: 'PS384',
  rsa4096: 'PS512',
}
const COSE: Readonly<Record<string, number>> = {
  ES256: -7,
  ES384: -35,
  ES512: -36,
  PS256: -37,
  PS384: -38,
  PS512: -39,
}

export interface NotationMade {
  readonly chain: readonly Issued[]
  readonly kind?: KeyKind
  readonly algorithm?: string
  readonly payload?: object
  /** Protected headers, which may take others away by `undefined`. */
  readonly headers?: Json
  readonly critical?: readonly string[]
  readonly timestamp?: (signature: Buffer) => Buffer
}

function signed(bytes: Buffer, algorithm: string, key: KeyObject): Buffer {
  const how = algorithm.startsWith('ES')
    ? ({ dsaEncoding: 'ieee-p1363' } as const)
    : {
        padding: constants.RSA_PKCS1_PSS_PADDING,
        saltLength: constants.RSA_PSS_SALTLEN_DIGEST,
      }
  return sign(`sha${algorithm.slice(2)}`, bytes, { key, ...how })
}

const prefix = 'io.cncf.notary.'

export function jws(made: NotationMade): AttachedLayer {
  const { chain, kind = 'p256', payload = targetOf(), headers = {}, timestamp } = made
  const algorithm = made.algorithm ?? ALGORITHM[kind]
  const header = {
    alg: algorithm,
    cty: payloadType,
    crit: made.critical ?? [`${prefix}signingScheme`],
    [`${prefix}signingScheme`]: 'notary.x509',
    [`${prefix}signingTime`]: new Date(Math.floor(Date.now() / 1000) * 1000).toISOString(),
    ...headers,
  }
  const protectedText = Buffer.from(JSON.stringify(header)).toString('base64url')
  const payloadText = Buffer.from(JSON.stringify(payload)).toString('base64url')
  const signature = signed(
    Buffer.from(`${protectedText}.${payloadText}`),
    algorithm,
    chain[0]!.privateKey,
  )
  const envelope = {
    payload: payloadText,
    protected: protectedText,
    header: {
      x5c: chain.map(({ der }) => der.toString('base64')),
      [`${prefix}signingAgent`]: 'test/1',
      ...(timestamp && {
        [`${prefix}timestampSignature`]: timestamp(signature).toString('base64'),
      }),
    },
    signature: signature.toString('base64url'),
  }
  const bytes = Buffer.from(JSON.stringify(envelope))
  return { mediaType: 'application/jose+json', annotations: {}, bytes }
}

/** CBOR of what COSE needs; a `Date` is the time of an epoch. */
export function cbor(value: unknown): Buffer {
  const head = (major: number, argument: number) => {
    if (argument < 24) return Buffer.from([(major << 5) | argument])
    const size = argument < 0x100 ? 1 : argument < 0x10000 ? 2 : 4
    const bytes = Buffer.alloc(1 + size)
    bytes[0] = (major << 5) | (23 + size - (size === 4 ? 1 : 0))
    bytes.writeUIntBE(argument, 1, size)
    return bytes
  }
  if (typeof value === 'number') return value < 0 ? head(1, -1 - value) : head(0, value)
  if (typeof value === 'string') {
    return Buffer.concat([head(3, Buffer.byteLength(value)), Buffer.from(value)])
  }
  if (value instanceof Uint8Array) return Buffer.concat([head(2, value.byteLength), value])
  if (value instanceof Date) {
    return Buffer.concat([head(6, 1), cbor(Math.floor(value.getTime() / 1000))])
  }
  if (Array.isArray(value)) return Buffer.concat([head(4, value.length), ...value.map(cbor)])
  if (value instanceof Map) {
    const parts = [...value].flatMap(([key, one]) => [cbor(key), cbor(one)])
    return Buffer.concat([head(5, value.size), ...parts])
  }
  throw new TypeError('no CBOR of this type here')
}

export function cose(made: NotationMade): AttachedLayer {
  const { chain, kind = 'p256', payload = targetOf(), headers = {}, timestamp } = made
  const algorithm = made.algorithm ?? ALGORITHM[kind]
  const header = new Map<number | string, unknown>([
    [1, COSE[algorithm]],
    [2, made.critical ?? [`${prefix}signingScheme`]],
    [3, payloadType],
    [`${prefix}signingScheme`, 'notary.x509'],
    [`${prefix}signingTime`, new Date()],
  ])
  for (const [name, value] of Object.entries(headers)) {
    const isTime = /Time$|expiry$/.test(name)
    header.set(name, isTime ? new Date(value as string) : value)
  }
  const protectedBytes = cbor(header)
  const body = Buffer.from(JSON.stringify(payload))
  const covered = cbor(['Signature1', protectedBytes, Buffer.alloc(0), body])
  const signature = signed(covered, algorithm, chain[0]!.privateKey)
  const open = new Map<number | string, unknown>([
    [33, chain.length === 1 ? chain[0]!.der : chain.map(({ der }) => der)],
    ...(timestamp === undefined
      ? []
      : [[`${prefix}timestampSignature`, timestamp(signature)] as const]),
  ])
  const parts = cbor([protectedBytes, open, body, signature])
  const bytes = Buffer.concat([Buffer.from([0xd2]), parts])
  return { mediaType: 'application/cose', annotations: {}, bytes }
}

const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest()
const sha256Id = () => sequence(oid('2.16.840.1.101.3.4.2.1'))

/** A TimeStampToken over a signature, of a certificate for timestamps, with its certificates inside. */
export function timestampToken(
  bytes: Buffer,
  {
    chain,
    at = Date.now(),
    named = chain[0]!,
  }: { readonly chain: readonly Issued[]; readonly at?: number; readonly named?: Issued },
): Buffer {
  const [leaf] = chain
  const info = sequence(
    integer(1),
    oid('1.2.3.4'),
    sequence(sha256Id(), octets(sha256(bytes))),
    integer(7),
    time(at),
  )
  const attribute = (id: string, value: Buffer) => sequence(oid(id), setOf(value))
  const attributes = [
    attribute('1.2.840.113549.1.9.3', oid('1.2.840.113549.1.9.16.1.4')),
    attribute('1.2.840.113549.1.9.4', octets(sha256(info))),
    attribute(
      '1.2.840.113549.1.9.16.2.47',
      sequence(sequence(sequence(octets(sha256(named.der))))),
    ),
  ]
  const signature = sign('sha256', setOf(...attributes), leaf!.privateKey)
  const isRsa = leaf!.privateKey.asymmetricKeyType === 'rsa'
  const signer = sequence(
    integer(1),
    sequence(partsOf(leaf!.der)[3]!, partsOf(leaf!.der)[1]!),
    sha256Id(),
    tlv(0xa0, ...attributes),
    sequence(oid(isRsa ? '1.2.840.113549.1.1.1' : '1.2.840.10045.4.3.2')),
    octets(signature),
  )
  const data = sequence(
    integer(3),
    setOf(sha256Id()),
    sequence(oid('1.2.840.113549.1.9.16.1.4'), tlv(0xa0, octets(info))),
    tlv(0xa0, ...chain.map(({ der }) => der)),
    setOf(signer),
  )
  return sequence(oid('1.2.840.113549.1.7.2'), tlv(0xa0, data))
}

/** The parts of a TBSCertificate, one behind the other. */
function partsOf(der: Buffer): Buffer[] {
  const inside = (bytes: Buffer): Buffer[] => {
    const found: Buffer[] = []
    for (let at = 0; at < bytes.byteLength; ) {
      const [size, head] = lengthAt(bytes, at)
      found.push(bytes.subarray(at, at + head + size))
      at += head + size
    }
    return found
  }
  const body = (bytes: Buffer) => bytes.subarray(lengthAt(bytes, 0)[1])
  return inside(body(inside(body(der))[0]!))
}

function lengthAt(bytes: Buffer, at: number): [size: number, head: number] {
  const first = bytes[at + 1]!
  if (first < 0x80) return [first, 2]
  return [bytes.readUIntBE(at + 2, first & 0x7f), 2 + (first & 0x7f)]
}
