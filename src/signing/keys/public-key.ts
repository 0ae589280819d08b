/**
 * @module Public keys that signatures are verified with: ECDSA on P-256, P-384 and P-521, RSA, Ed25519.
 */
import { createHash, createPublicKey, type KeyObject, verify } from 'node:crypto'
import { fail, ok, type Result } from '../../registry/result.ts'

/** Longest PEM, characters: RSA of 8,192 bits has about 1,500. */
const pemLengthMax = 16 * 1024

/** Length of an RSA key, bits. */
const rsaBitsMin = 2048
const rsaBitsMax = 8192

/**
 * The hash that a curve is signed with. Some tools sign any curve with SHA-256, which makes a larger curve as
 * weak as the smallest: that is not taken.
 */
const HASH_OF_CURVE: Readonly<Record<string, string>> = {
  prime256v1: 'sha256',
  secp384r1: 'sha384',
  secp521r1: 'sha512',
}

export interface PublicKey {
  readonly name: string
  /** SHA-256 of the key as SPKI in DER, lower-case hex. */
  readonly fingerprint: string
  /** `ECDSA P-256`, `RSA 3072`, `Ed25519`. */
  readonly kind: string
  readonly key: KeyObject
  /** Signatures of later do not count, ms since the epoch; undefined: it has no end. */
  readonly untilMs: number | undefined
  /** Whether this key made `signature` over `signed`. Never throws. */
  verifies(signed: Uint8Array, signature: Uint8Array): boolean
}

/** Reads one public key in PEM. The error says what was expected. */
export function readPublicKey(
  name: string,
  pem: string,
  untilMs?: number,
): Result<PublicKey, string> {
  const lines = pem.trim()
  if (lines.length > pemLengthMax) return fail('the file is too long for a public key')
  if (!/^-----BEGIN PUBLIC KEY-----\s[^-]+-----END PUBLIC KEY-----$/.test(lines)) {
    const isPrivate = lines.includes('PRIVATE KEY')
    const message = 'expected one public key in PEM ("-----BEGIN PUBLIC KEY-----")'
    return fail(
      isPrivate ? `${message}; this is a private key, which belongs to the signer` : message,
    )
  }
  let key: KeyObject
  try {
    key = createPublicKey(lines)
  } catch {
    return fail('the public key cannot be read')
  }
  return publicKeyOf(name, key, untilMs)
}

/** A key of one of the types that are taken, with the hash that belongs to it. */
export function publicKeyOf(
  name: string,
  key: KeyObject,
  untilMs?: number,
): Result<PublicKey, string> {
  const kind = kindOf(key)
  if (kind === undefined) {
    return fail(
      'expected a key of type ECDSA (P-256, P-384, P-521), RSA (2,048 to 8,192 bits) or Ed25519',
    )
  }
  const spki = key.export({ type: 'spki', format: 'der' })
  const fingerprint = createHash('sha256').update(spki).digest('hex')
  const { hash, words } = kind
  const verifies = (signed: Uint8Array, signature: Uint8Array) => {
    try {
      return verify(hash, signed, key, signature)
    } catch {
      return false
    }
  }
  return ok({ name, fingerprint, kind: words, key, untilMs, verifies })
}

function kindOf(
  key: KeyObject,
): { readonly hash: string | undefined; readonly words: string } | undefined {
  const { namedCurve = '', modulusLength = 0 } = key.asymmetricKeyDetails ?? {}
  switch (key.asymmetricKeyType) {
    case 'ed25519':
      return { hash: undefined, words: 'Ed25519' }
    case 'ec': {
      const hash = Object.hasOwn(HASH_OF_CURVE, namedCurve) ? HASH_OF_CURVE[namedCurve] : undefined
      return hash === undefined ? undefined : { hash, words: `ECDSA P-${bitsOf(namedCurve)}` }
    }
    case 'rsa':
      return modulusLength >= rsaBitsMin && modulusLength <= rsaBitsMax
        ? { hash: 'sha256', words: `RSA ${modulusLength}` }
        : undefined
    default:
      return undefined
  }
}

const bitsOf = (curve: string) => /\d{3}/.exec(curve)?.[0]
