/**
 * @module Signatures of Notation (notaryproject/specifications, signature specification): a JWS or a COSE
 * envelope as the one layer of a referrer. Here is what they say; they are verified against trust stores.
 */
import { type Cbor, type CborKey, fromCbor, Tagged } from './cbor.ts'
import {
  fromBase64,
  fromBase64Url,
  fromJson,
  type Loose,
  listOf,
  objectOf,
  textOf,
  Unreadable,
} from './encoding.ts'
import { tagsOfTarget } from './named-tags.ts'

export const notationType = 'application/vnd.cncf.notary.signature'

/** Largest envelope, bytes. */
const envelopeBytesMax = 1024 * 1024

const payloadBytesMax = 64 * 1024
const headerBytesMax = 64 * 1024

/** Certificates from the signer to its root. */
export const chainLengthMax = 8

/** What the payload has to be. */
const contentType = 'application/vnd.cncf.notary.payload.v1+json'

/** Names of headers. */
const HEADER = {
  scheme: 'io.cncf.notary.signingScheme',
  signingTime: 'io.cncf.notary.signingTime',
  authenticSigningTime: 'io.cncf.notary.authenticSigningTime',
  expiry: 'io.cncf.notary.expiry',
  plugin: 'io.cncf.notary.verificationPlugin',
  timestamp: 'io.cncf.notary.timestampSignature',
} as const

/** COSE_Sign1 (RFC 9052, section 4.2), its labels, and its label of a chain of certificates (RFC 9360). */
const coseSign1Tag = 18
const LABEL = { algorithm: 1, critical: 2, contentType: 3, chain: 33 } as const
const epochTag = 1

export type NotationAlgorithm = 'ES256' | 'ES384' | 'ES512' | 'PS256' | 'PS384' | 'PS512'

const COSE_ALGORITHMS: ReadonlyMap<unknown, NotationAlgorithm> = new Map([
  [-7, 'ES256'],
  [-35, 'ES384'],
  [-36, 'ES512'],
  [-37, 'PS256'],
  [-38, 'PS384'],
  [-39, 'PS512'],
])
const ALGORITHMS: ReadonlySet<unknown> = new Set(COSE_ALGORITHMS.values())

export interface NotationSignature {
  /** The manifest that is signed. */
  readonly target: {
    readonly digest: string
    readonly mediaType: string | undefined
    readonly size: unknown
    /** That it names. */
    readonly tags: readonly string[]
  }
  readonly algorithm: NotationAlgorithm
  /** What the signature covers. */
  readonly signed: Buffer
  /** Of ECDSA both numbers, one behind the other. */
  readonly signature: Buffer
  /** DER, the signer first. */
  readonly chain: readonly Buffer[]
  readonly scheme: 'notary.x509' | 'notary.x509.signingAuthority'
  /** ms since the epoch, as the signer says. */
  readonly signingTime: number | undefined
  readonly expiry: number | undefined
  /** A TimeStampToken in DER over the signature. */
  readonly timestamp: Buffer | undefined
  /** Why this registry must not accept it, whatever else is right: a header that it does not understand. */
  readonly refusal: string | undefined
}

/** Headers of either kind of envelope. */
interface Headers {
  readonly algorithm: unknown
  readonly contentType: unknown
  readonly critical: readonly unknown[]
  /** A protected header by its name. */
  get(name: string): unknown
  /** As ms since the epoch; undefined where it is none. */
  time(value: unknown): number | undefined
}

/** Reads the envelope in a layer of this type. Throws `Unreadable`. */
export function readNotation(layerType: string, bytes: Uint8Array): NotationSignature {
  if (bytes.byteLength > envelopeBytesMax) {
    throw new Unreadable(`the signature has more than ${envelopeBytesMax} bytes`)
  }
  if (layerType === 'application/jose+json') return readJws(bytes)
  if (layerType === 'application/cose') return readCose(bytes)
  throw new Unreadable(`${layerType.slice(0, 128)} is neither a JWS nor a COSE envelope`)
}

function readJws(bytes: Uint8Array): NotationSignature {
  const json = fromJson(bytes, envelopeBytesMax, 'the JWS envelope')
  const payload = fromBase64Url(json['payload'], 'the payload')
  const protectedText = textOf(json['protected']) ?? ''
  const header = fromJson(
    fromBase64Url(protectedText, 'the protected header'),
    headerBytesMax,
    'the protected header',
  )
  const open = objectOf(json['header']) ?? {}
  const chain = listOf(open['x5c']).map((it) => fromBase64(it, 'the certificate'))
  const stamp = open[HEADER.timestamp]
  return {
    ...saidBy(payload, chain, {
      algorithm: header['alg'],
      contentType: header['cty'],
      critical: listOf(header['crit']),
      get: (name) => (Object.hasOwn(header, name) ? header[name] : undefined),
      time: (value) => (typeof value === 'string' ? Date.parse(value) : Number.NaN),
    }),
    signed: Buffer.from(`${protectedText}.${String(json['payload'])}`, 'latin1'),
    signature: fromBase64Url(json['signature'], 'the signature'),
    timestamp: stamp === undefined ? undefined : fromBase64(stamp, 'the timestamp'),
  }
}

function readCose(bytes: Uint8Array): NotationSignature {
  const item = fromCbor(bytes)
  const parts = item instanceof Tagged && item.tag === coseSign1Tag ? item.value : undefined
  if (!Array.isArray(parts) || parts.length !== 4) throw new Unreadable('it is not a COSE_Sign1')
  const [protectedBytes, open, payload, signature] = parts as readonly Cbor[]
  if (!(payload instanceof Uint8Array)) throw new Unreadable('the COSE envelope has no payload')
  if (!(protectedBytes instanceof Uint8Array) || !(signature instanceof Uint8Array)) {
    throw new Unreadable('the COSE envelope has no protected header or no signature')
  }
  const header = mapOf(fromCbor(protectedBytes))
  const listed = mapOf(open).get(LABEL.chain)
  const chain = (Array.isArray(listed) ? (listed as readonly Cbor[]) : [listed]).map((it) => {
    if (!(it instanceof Uint8Array)) throw new Unreadable('the COSE envelope has no certificate')
    return Buffer.from(it)
  })
  const stamp = mapOf(open).get(HEADER.timestamp)
  const critical = header.get(LABEL.critical)
  return {
    ...saidBy(payload, chain, {
      algorithm: COSE_ALGORITHMS.get(header.get(LABEL.algorithm)),
      contentType: header.get(LABEL.contentType),
      critical: Array.isArray(critical) ? (critical as readonly Cbor[]) : [],
      get: (name) => header.get(name),
      time: (value) =>
        value instanceof Tagged && value.tag === epochTag && typeof value.value === 'number'
          ? value.value * 1000
          : Number.NaN,
    }),
    signed: sigStructure(protectedBytes, payload),
    signature: Buffer.from(signature),
    timestamp: stamp instanceof Uint8Array ? Buffer.from(stamp) : undefined,
  }
}

function mapOf(item: Cbor | undefined): ReadonlyMap<CborKey, Cbor> {
  if (item instanceof Map) return item as ReadonlyMap<CborKey, Cbor>
  throw new Unreadable('a header of the COSE envelope is no map')
}

/** What a signature of COSE covers (RFC 9052, section 4.4), without other data. */
function sigStructure(protectedBytes: Uint8Array, payload: Uint8Array): Buffer {
  const head = Buffer.from([0x84, 0x6a, ...Buffer.from('Signature1')])
  const parts = [protectedBytes, new Uint8Array(0), payload]
  return Buffer.concat([head, ...parts.flatMap((part) => [byteStringHead(part.byteLength), part])])
}

function byteStringHead(length: number): Buffer {
  if (length < 24) return Buffer.from([0x40 | length])
  if (length < 0x100) return Buffer.from([0x58, length])
  const head = Buffer.alloc(length < 0x10000 ? 3 : 5)
  head[0] = length < 0x10000 ? 0x59 : 0x5a
  head.writeUIntBE(length, 1, head.byteLength - 1)
  return head
}

type Said = Omit<NotationSignature, 'signed' | 'signature' | 'timestamp'>

/** What headers and payload of either kind say. */
function saidBy(payload: Uint8Array, chain: readonly Buffer[], headers: Headers): Said {
  if (chain.length === 0) throw new Unreadable('the envelope has no certificate')
  if (chain.length > chainLengthMax) {
    throw new Unreadable(`the chain has more than ${chainLengthMax} certificates`)
  }
  const { algorithm } = headers
  if (!ALGORITHMS.has(algorithm)) throw new Unreadable('the algorithm is none of Notation')
  if (headers.contentType !== contentType) {
    throw new Unreadable(`the content type is not ${contentType}`)
  }
  const scheme = headers.get(HEADER.scheme)
  if (scheme !== 'notary.x509' && scheme !== 'notary.x509.signingAuthority') {
    throw new Unreadable('the signing scheme is none of Notation')
  }
  const timeOf = (name: string): number | undefined => {
    const value = headers.get(name)
    if (value === undefined) return undefined
    const at = headers.time(value)
    if (at === undefined || !Number.isSafeInteger(at)) throw new Unreadable(`${name} is no time`)
    return at
  }
  const isAuthority = scheme === 'notary.x509.signingAuthority'
  const expiry = timeOf(HEADER.expiry)
  const authentic = timeOf(HEADER.authenticSigningTime)
  if (isAuthority !== (authentic !== undefined)) {
    throw new Unreadable('authenticSigningTime belongs to the scheme notary.x509.signingAuthority')
  }
  return {
    target: targetOf(fromJson(payload, payloadBytesMax, 'the payload')),
    algorithm: algorithm as NotationAlgorithm,
    chain,
    scheme,
    signingTime: isAuthority ? authentic : timeOf(HEADER.signingTime),
    expiry,
    refusal: refusalOf(headers, { expiry, authentic }),
  }
}

/** The critical headers have to be the ones that are there and understood, no more and no fewer. */
function refusalOf(
  { critical, get }: Headers,
  there: { readonly expiry: number | undefined; readonly authentic: number | undefined },
): string | undefined {
  const plugin = get(HEADER.plugin)
  if (plugin !== undefined || critical.includes(HEADER.plugin)) {
    return `it needs the plugin ${String(plugin).slice(0, 128)}, which this registry does not run`
  }
  const needed = new Set<unknown>([
    HEADER.scheme,
    ...(there.expiry === undefined ? [] : [HEADER.expiry]),
    ...(there.authentic === undefined ? [] : [HEADER.authenticSigningTime]),
  ])
  const unknown = critical.find((name) => !needed.has(name))
  if (unknown !== undefined) {
    return `its critical header ${String(unknown).slice(0, 128)} is not understood`
  }
  const missing = [...needed].find((name) => !critical.includes(name))
  return missing === undefined ? undefined : `its header ${String(missing)} is not critical`
}

function targetOf(payload: Loose): NotationSignature['target'] {
  const target = objectOf(payload['targetArtifact'])
  const digest = textOf(target?.['digest'])
  if (digest === undefined) throw new Unreadable('the payload names no digest')
  const tags = tagsOfTarget(target ?? {})
  return { digest, mediaType: textOf(target?.['mediaType']), size: target?.['size'], tags }
}
