/**
 * @module A tiny builder of DER and of certificates that tests may get wrong on purpose. Signs with `node:crypto`.
 */
import { createPublicKey, generateKeyPairSync, type KeyObject, sign } from 'node:crypto'

export function tlv(tag: number, ...parts: readonly Uint8Array[]): Buffer {
  const value = Buffer.concat(parts)
  const length = value.byteLength
  if (length < 0x80) return Buffer.concat([Buffer.from([tag, length]), value])
  const size = Math.ceil(length.toString(16).length / 2)
  const head = Buffer.alloc(2 + size)
  head.writeUInt8(tag, 0)
  head.writeUInt8(0x80 | size, 1)
  head.writeUIntBE(length, 2, size)
  return Buffer.concat([head, value])
}

export const sequence = (...parts: readonly Uint8Array[]) => tlv(0x30, ...parts)
export const setOf = (...parts: readonly Uint8Array[]) => tlv(0x31, ...parts)
export const octets = (value: Uint8Array) => tlv(0x04, value)
export const integer = (value: number) => tlv(0x02, Buffer.from(value < 128 ? [value] : [0, value]))
export const text = (value: string) => tlv(0x0c, Buffer.from(value))
const isTrue = tlv(0x01, Buffer.from([0xff]))

export function oid(dotted: string): Buffer {
  const [first = 0, second = 0, ...rest] = dotted.split('.').map(Number)
  const bytes = [first * 40 + second]
  for (const arc of rest) {
    const digits = [arc % 128]
    for (let left = Math.floor(arc / 128); left > 0; left = Math.floor(left / 128)) {
      digits.unshift(128 + (left % 128))
    }
    bytes.push(...digits)
  }
  return tlv(0x06, Buffer.from(bytes))
}

/** GeneralizedTime, for the sake of years behind 2049. */
export function time(at: number): Buffer {
  const digits = new Date(at).toISOString().slice(0, 19).replaceAll(/[-:T]/g, '')
  return tlv(0x18, Buffer.from(`${digits}Z`))
}

export type KeyKind = 'p256' | 'p384' | 'p521' | 'rsa2048' | 'rsa3072' | 'rsa4096'

const CURVES = { p256: 'P-256', p384: 'P-384', p521: 'P-521' } as const

type KeyPair = { readonly publicKey: KeyObject; readonly privateKey: KeyObject }

/** Keys of RSA take long to make: there is one of each length. */
const made = new Map<KeyKind, KeyPair>()

export function keyPairOf(kind: KeyKind): KeyPair {
  if (kind === 'p256' || kind === 'p384' || kind === 'p521') {
    return generateKeyPairSync('ec', { namedCurve: CURVES[kind] })
  }
  const pair =
    made.get(kind) ?? generateKeyPairSync('rsa', { modulusLength: Number(kind.slice(3)) })
  made.set(kind, pair)
  return pair
}

/** What signs a certificate: SHA-256 with the key, whatever its size. */
function algorithmOf(key: KeyObject): Buffer {
  return key.asymmetricKeyType === 'rsa'
    ? sequence(oid('1.2.840.113549.1.1.11'), tlv(0x05))
    : sequence(oid('1.2.840.10045.4.3.2'))
}

const ATTRIBUTES: Readonly<Record<string, string>> = {
  CN: '2.5.4.3',
  C: '2.5.4.6',
  L: '2.5.4.7',
  ST: '2.5.4.8',
  O: '2.5.4.10',
  OU: '2.5.4.11',
}

/** `C=US, O=acme`. */
export function nameOf(subject: string): Buffer {
  const parts = subject.split(', ').map((part) => {
    const [name = '', value = ''] = part.split('=')
    return setOf(sequence(oid(ATTRIBUTES[name]!), text(value)))
  })
  return sequence(...parts)
}

export interface CertificateFields {
  readonly subject: string
  readonly kind?: KeyKind
  readonly by?: Issued
  readonly notBefore?: number
  readonly notAfter?: number
  readonly isAuthority?: boolean
  readonly pathLength?: number
  /** Bits of the key usage, the first at the left; `undefined`: there is no key usage. */
  readonly keyUsage?: string | undefined
  readonly isKeyUsageCritical?: boolean
  readonly purposes?: readonly string[]
  readonly isPurposeCritical?: boolean
  /** Critical extensions that nothing understands. */
  readonly unknown?: readonly string[]
}

export interface Issued {
  readonly der: Buffer
  readonly name: Buffer
  readonly publicKey: KeyObject
  readonly privateKey: KeyObject
}

const day = 86_400_000
let serial = 1

/** A certificate; without `by` one that signs itself. */
export function certificate(fields: CertificateFields): Issued {
  const { subject, kind = 'p256', isAuthority = false, pathLength, by } = fields
  const { publicKey, privateKey } = keyPairOf(kind)
  const issuer = by ?? { name: nameOf(subject), privateKey, publicKey }
  const now = Date.now()
  const keyUsage = 'keyUsage' in fields ? fields.keyUsage : isAuthority ? '0000011' : '1'
  const purposes = fields.purposes ?? (isAuthority ? [] : ['1.3.6.1.5.5.7.3.3'])
  const extension = (id: string, isCritical: boolean, value: Buffer) =>
    sequence(oid(id), ...(isCritical ? [isTrue] : []), octets(value))
  const constraints = [isTrue, ...(pathLength === undefined ? [] : [integer(pathLength)])]
  const extensions = [
    ...(isAuthority ? [extension('2.5.29.19', true, sequence(...constraints))] : []),
    ...(keyUsage === undefined
      ? []
      : [extension('2.5.29.15', fields.isKeyUsageCritical ?? true, bitString(keyUsage))]),
    ...(purposes.length === 0
      ? []
      : [
          extension('2.5.29.37', fields.isPurposeCritical ?? false, sequence(...purposes.map(oid))),
        ]),
    ...(fields.unknown ?? []).map((id) => extension(id, true, tlv(0x05))),
  ]
  serial += 1
  const algorithm = algorithmOf(issuer.privateKey)
  const tbs = sequence(
    tlv(0xa0, integer(2)),
    tlv(0x02, Buffer.from([1, serial >> 8, serial & 255])),
    algorithm,
    issuer.name,
    sequence(time(fields.notBefore ?? now - day), time(fields.notAfter ?? now + day)),
    nameOf(subject),
    createPublicKey(publicKey.export({ type: 'spki', format: 'pem' })).export({
      type: 'spki',
      format: 'der',
    }),
    tlv(0xa3, sequence(...extensions)),
  )
  const signature = sign('sha256', tbs, issuer.privateKey)
  const der = sequence(tbs, algorithm, tlv(0x03, Buffer.from([0]), signature))
  return { der, name: nameOf(subject), publicKey, privateKey }
}

function bitString(bits: string): Buffer {
  const unused = 8 - bits.length
  return tlv(0x03, Buffer.from([unused, Number.parseInt(bits.padEnd(8, '0'), 2)]))
}
