/**
 * @module Settings of what signatures are verified with: public keys, trusted roots of sigstore, trust stores of
 * Notation, and what of it counts no more.
 */
import { type Digest, parseDigest } from '../../../registry/digest.ts'
import { unwrap } from '../../../registry/result.ts'
import * as type from '../../values.ts'
import { keysMax, name } from './signers.ts'

/** Roots and stores of one registry: each is tried on each certificate. */
const rootsMax = 16

const instant = type.convert(
  type.textThat(
    (value) =>
      /^\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d(?:\.\d{1,3})?)?(?:Z|[+-]\d\d:\d\d)$/.test(value) &&
      !Number.isNaN(Date.parse(value)),
    'expected a time such as "2026-06-30T00:00:00Z"',
  ),
  (value) => Date.parse(value),
)

const key = type.convert(
  type.refine(
    type.item({
      name,
      path: type.optional(type.path({ lengthMin: 1 })),
      pem: type.optional(type.text({ lengthMin: 1 })),
      until: type.optional(instant),
    }),
    ({ path, pem }) =>
      (path === undefined) === (pem === undefined)
        ? 'expected exactly one of path (a file) and pem (the key itself)'
        : undefined,
  ),
  ({ name: called, path, pem, until }): SigningKeyConfig => ({
    name: called,
    source: path === undefined ? { kind: 'pem', pem: pem! } : { kind: 'file', path },
    untilMs: until,
  }),
)

export const keys = named('key', keysMax, key)

const file = type.path({ lengthMin: 1 })

export const roots = named('root', rootsMax, type.item({ name, path: file }))

export const stores = named(
  'store',
  rootsMax,
  type.item({ name, type: type.oneOf('ca', 'signingAuthority', 'tsa'), path: file }),
)

/** A list of things with names, each name once. */
function named<T extends { readonly name: string }>(
  word: string,
  countMax: number,
  item: type.ValueType<T>,
): type.ValueType<readonly T[]> {
  return type.inspect(type.list(`list of ${word}s`, item), (all) => {
    if (all.length > countMax)
      return [{ path: [], message: `expected at most ${countMax} ${word}s` }]
    return all.flatMap((one, index) => {
      const first = all.findIndex((other) => other.name === one.name)
      if (first === index) return []
      const message = `"${one.name}" is the name of the ${word} [${first}] too`
      return [{ path: [index, 'name'], message }]
    })
  })
}

/** SHA-256 as tools print it: lower or upper case, with or without colons. */
function fingerprintOf(value: string): string | undefined {
  const hex = value.replaceAll(':', '').toLowerCase()
  return /^[0-9a-f]{64}$/.test(hex) ? hex : undefined
}

const fingerprint = type.convert(
  type.textThat((value) => fingerprintOf(value) !== undefined, 'expected a SHA-256 of 64 digits'),
  (value) => fingerprintOf(value)!,
)

const keyOrFingerprint: type.ValueType<string> = {
  name: 'name of a key, or its SHA-256',
  parse: (raw) => {
    const isLong = typeof raw === 'string' && fingerprintOf(raw) !== undefined
    return (isLong ? fingerprint : name).parse(raw)
  },
}

export const digest = type.convert(
  type.textThat(
    (value) => parseDigest(value).ok,
    'expected a digest such as "sha256:" and 64 hexadecimal digits',
  ),
  (value) => unwrap(parseDigest(value)),
)

/** Digests of the configuration that nobody may pull: more belong into the API. */
const revokedMax = 1_000

export const revokedKeys = type.list('list of keys', keyOrFingerprint)
export const revokedCertificates = type.list('list of certificates', fingerprint)
export const revokedDigests = type.inspect(type.list('list of digests', digest), (all) =>
  all.length > revokedMax ? [{ path: [], message: `expected at most ${revokedMax} digests` }] : [],
)

/** A public key: its text, or the file that has it. */
export interface SigningKeyConfig {
  readonly name: string
  readonly source:
    | { readonly kind: 'pem'; readonly pem: string }
    | { readonly kind: 'file'; readonly path: string }
  /** Signatures of later count no more, ms since the epoch; undefined: it has no end. */
  readonly untilMs: number | undefined
}

/** A trusted root of sigstore: the file that has it. */
export interface SigningRootConfig {
  readonly name: string
  readonly path: string
}

/** A trust store of Notation: the folder that has its certificates. */
export interface SigningStoreConfig {
  readonly name: string
  readonly type: 'ca' | 'signingAuthority' | 'tsa'
  readonly path: string
}

export interface SigningRevokedConfig {
  /** Names of keys, or the SHA-256 of their SPKI, lower-case hex. */
  readonly keys: readonly string[]
  /** SHA-256 of certificates, lower-case hex. */
  readonly certificates: readonly string[]
  /** Of images that can be pulled no more. */
  readonly digests: readonly Digest[]
}
