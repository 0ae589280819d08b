/**
 * @module Verifies signatures of Notation by trust stores: who signed, whether the certificate leads to a store, and
 * until when. Lists of revoked certificates are not asked for: that needs the network.
 */
import { constants, type KeyObject, verify } from 'node:crypto'
import {
  type NotationAlgorithm,
  type NotationSignature,
  readNotation,
} from '../formats/notation.ts'
import type { SignedAt, Signer, StoreSubject } from '../verdicts/finding.ts'
import type { SignedPart } from '../verdicts/signed.ts'
import { isValidAt, type Link, leafProblem, linkOf, pathProblem, pathTo } from './chain.ts'
import { type SubjectBytes, targetProblem } from './target.ts'
import { timestampedAt } from './timestamp.ts'

/** A trust store of the configuration. */
export interface Store {
  readonly name: string
  readonly type: 'ca' | 'signingAuthority' | 'tsa'
  readonly anchors: readonly Link[]
}

export interface NotationHow {
  readonly stores: readonly Store[]
  /** SHA-256, lower-case hex, of certificates and keys. */
  readonly isRevoked: (der: Buffer) => boolean
  /** ms since the epoch. */
  readonly now: number
}

const TYPE_OF_SCHEME = {
  'notary.x509': 'ca',
  'notary.x509.signingAuthority': 'signingAuthority',
} as const

/** Said of all that is verified. */
const limits = 'no list of revoked certificates was asked'

/** Verifies the envelope in a layer of this type, over this manifest. Throws `Unreadable`. */
export function byStores(
  how: NotationHow,
  layerType: string,
  bytes: Uint8Array,
  subject: SubjectBytes,
): SignedPart {
  const made = readNotation(layerType, bytes)
  const chain = made.chain.map(linkOf)
  const leaf = chain[0]!
  const store = subjectOf(leaf)
  const signer: Signer = { certificate: leaf.fingerprint, subject: store.subject }
  const mismatch = targetProblem(made.target, subject)
  if (mismatch !== undefined) return { signer, result: 'digest mismatch', reason: mismatch }
  const stores = how.stores.filter(({ type }) => type === TYPE_OF_SCHEME[made.scheme])
  if (made.refusal !== undefined) return { signer, result: 'not checked', reason: made.refusal }
  if (stores.length === 0) {
    const reason = `signing.stores has no store of type ${TYPE_OF_SCHEME[made.scheme]}`
    return { signer, result: 'not checked', reason }
  }
  const wrong = problemOf(made, leaf)
  if (wrong !== undefined) return { signer, result: 'invalid', reason: wrong }
  const { tags } = made.target
  const about = { signer, ...(tags.length > 0 && { tags }) }
  return { ...about, ...byChain({ how, made, chain, stores, store, signer }) }
}

interface Look {
  readonly how: NotationHow
  readonly made: NotationSignature
  readonly chain: readonly Link[]
  /** Those of the signature's scheme. */
  readonly stores: readonly Store[]
  readonly store: Omit<StoreSubject, 'stores'>
  readonly signer: Signer
}

function byChain({ how, made, chain, stores, store, signer }: Look): SignedPart {
  const { now, isRevoked } = how
  const ways = stores.flatMap(({ name, anchors }) => {
    const path = pathTo(anchors, chain)
    return path === undefined ? [] : [{ name, path }]
  })
  const [way] = ways
  if (way === undefined) {
    return { result: 'unknown authority', reason: 'its chain leads to no store of that type' }
  }
  const wrong = pathProblem(way.path)
  if (wrong !== undefined) return { result: 'invalid', reason: wrong }
  if (way.path.some(({ der }) => isRevoked(der))) {
    return { result: 'revoked', reason: 'a certificate of its chain is revoked' }
  }
  if (made.expiry !== undefined && made.expiry <= now) {
    return { result: 'expired', reason: `expired ${dateOf(made.expiry)}, as its signer wanted` }
  }
  const { signedAt, doubt } = timeOf(how, made)
  const trusted = signedAt?.by === 'trusted' ? signedAt.at : undefined
  const time = signedAt === undefined ? {} : { signedAt }
  if (!isValidAt(way.path, trusted ?? now)) {
    const end = Math.min(...way.path.map(({ parts }) => parts.notAfter))
    const why = doubt ?? 'no timestamp proves that it was made before'
    const said =
      trusted === undefined ? why : 'it was signed outside of the time of its certificates'
    return { ...time, result: 'expired', reason: `expired ${dateOf(end)}: ${said}` }
  }
  const ends = [
    made.expiry ?? Number.POSITIVE_INFINITY,
    ...(trusted === undefined ? way.path.map(({ parts }) => parts.notAfter) : []),
  ]
  const validUntil = Math.min(...ends)
  return {
    signer: { ...signer, store: { ...store, stores: ways.map(({ name }) => name) } },
    result: 'verified',
    reason: doubt === undefined ? limits : `${limits}; ${doubt}`,
    ...time,
    ...(Number.isFinite(validUntil) && { validUntil }),
  }
}

/** A timestamp is a trusted time where a store vouches for its authority; else there is what the signer claims. */
function timeOf(
  { stores, isRevoked }: NotationHow,
  { timestamp, signature, signingTime }: NotationSignature,
): { readonly signedAt: SignedAt | undefined; readonly doubt: string | undefined } {
  const claimed: SignedAt | undefined =
    signingTime === undefined ? undefined : { at: signingTime, by: 'claimed' }
  if (timestamp === undefined) return { signedAt: claimed, doubt: undefined }
  const anchors = stores.filter(({ type }) => type === 'tsa').flatMap((one) => one.anchors)
  if (anchors.length === 0) {
    return { signedAt: claimed, doubt: 'signing.stores has no store of type tsa for its timestamp' }
  }
  const stamped = timestampedAt(timestamp, signature, anchors)
  if (typeof stamped === 'string') return { signedAt: claimed, doubt: stamped }
  if (stamped.path.some(({ der }) => isRevoked(der))) {
    return { signedAt: claimed, doubt: 'the authority of its timestamp is revoked' }
  }
  return { signedAt: { at: stamped.at, by: 'trusted' }, doubt: undefined }
}

/** What is wrong with the signature or its certificate. */
function problemOf(made: NotationSignature, leaf: Link): string | undefined {
  const problem = leafProblem(leaf, 'codeSigning')
  if (problem !== undefined) return `its certificate may not sign: ${problem}`
  if (algorithmOf(leaf.key) !== made.algorithm) {
    return `its algorithm ${made.algorithm} is not that of its key`
  }
  return verifies(made, leaf.key) ? undefined : 'the signature does not fit what it should cover'
}

const ALGORITHM_OF: ReadonlyMap<unknown, NotationAlgorithm> = new Map<unknown, NotationAlgorithm>([
  ['prime256v1', 'ES256'],
  ['secp384r1', 'ES384'],
  ['secp521r1', 'ES512'],
  [2048, 'PS256'],
  [3072, 'PS384'],
  [4096, 'PS512'],
])

function algorithmOf(key: KeyObject): NotationAlgorithm | undefined {
  const { namedCurve, modulusLength } = key.asymmetricKeyDetails ?? {}
  return ALGORITHM_OF.get(key.asymmetricKeyType === 'ec' ? namedCurve : modulusLength)
}

function verifies({ algorithm, signed, signature }: NotationSignature, key: KeyObject): boolean {
  const hash = `sha${algorithm.slice(2)}`
  const how = algorithm.startsWith('ES')
    ? ({ dsaEncoding: 'ieee-p1363' } as const)
    : {
        padding: constants.RSA_PKCS1_PSS_PADDING,
        saltLength: constants.RSA_PSS_SALTLEN_DIGEST,
      }
  try {
    return verify(hash, signed, { key, ...how }, signature)
  } catch {
    return false
  }
}

/** Short names of what a subject has (RFC 4514 and what Notation shows). */
const SHORT: ReadonlyMap<string, string> = new Map([
  ['2.5.4.3', 'CN'],
  ['2.5.4.5', 'SERIALNUMBER'],
  ['2.5.4.6', 'C'],
  ['2.5.4.7', 'L'],
  ['2.5.4.8', 'ST'],
  ['2.5.4.9', 'STREET'],
  ['2.5.4.10', 'O'],
  ['2.5.4.11', 'OU'],
  ['0.9.2342.19200300.100.1.25', 'DC'],
])

/** Longest subject that is shown, characters. */
const subjectLengthMax = 1024

/** The subject of a certificate. One that has an attribute twice, or not as text, does not have it at all. */
function subjectOf({ parts }: Link): Omit<StoreSubject, 'stores'> {
  const attributes: Record<string, string> = {}
  const twice = new Set<string>()
  const words: string[] = []
  for (const [oid, text] of parts.subject ?? []) {
    const name = SHORT.get(oid) ?? oid
    words.push(`${name}=${text.replaceAll(/[\\,=+]/g, '\\$&')}`)
    if (Object.hasOwn(attributes, name)) twice.add(name)
    attributes[name] = text
  }
  for (const name of twice) delete attributes[name]
  return { subject: words.join(', ').slice(0, subjectLengthMax), attributes }
}

const dateOf = (at: number) => new Date(Math.min(at, 8.64e15)).toISOString().slice(0, 10)
