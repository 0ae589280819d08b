import { generateKeyPairSync } from 'node:crypto'
import { expect, test } from 'vitest'
import { readPublicKey } from '../../../src/signing/keys/public-key.ts'
import { makeSigner, type SignerKind } from '../../support/signing.ts'

const message = Buffer.from('what is signed')

function keyOf(pem: string) {
  const read = readPublicKey('release', pem)
  if (!read.ok) throw new Error(read.error)
  return read.value
}

const KINDS: readonly (readonly [SignerKind, string])[] = [
  ['p256', 'ECDSA P-256'],
  ['p384', 'ECDSA P-384'],
  ['p521', 'ECDSA P-521'],
  ['rsa', 'RSA 2048'],
  ['ed25519', 'Ed25519'],
]

test.each(KINDS)('a key of type %s verifies what it signed, and nothing else', (kind, words) => {
  const signer = makeSigner(kind)
  const key = keyOf(signer.pem)
  expect(key.kind).toBe(words)
  expect(key.fingerprint).toBe(signer.fingerprint)
  const signature = signer.sign(message)
  expect(key.verifies(message, signature)).toBe(true)
  expect(key.verifies(Buffer.from('what is Signed'), signature)).toBe(false)
  expect(key.verifies(message, makeSigner(kind).sign(message))).toBe(false)
  for (let at = 0; at < signature.length; at += 1) {
    const changed = Buffer.from(signature)
    changed[at]! ^= 1
    expect(key.verifies(message, changed), `byte ${at}`).toBe(false)
  }
  expect(key.verifies(message, Buffer.concat([signature, Buffer.of(0)]))).toBe(false)
  expect(key.verifies(message, Buffer.alloc(0))).toBe(false)
})

test('a larger curve that is signed with SHA-256 is not taken', () => {
  for (const kind of ['p384', 'p521'] as const) {
    const weak = makeSigner(kind, 'sha256')
    expect(keyOf(weak.pem).verifies(message, weak.sign(message)), kind).toBe(false)
  }
})

test('what is no public key of these types is refused with what was expected', () => {
  const pemOf = (type: 'ec' | 'rsa' | 'x25519') => {
    const { publicKey } =
      type === 'ec'
        ? generateKeyPairSync('ec', { namedCurve: 'secp256k1' })
        : type === 'rsa'
          ? generateKeyPairSync('rsa', { modulusLength: 1024 })
          : generateKeyPairSync('x25519')
    return publicKey.export({ type: 'spki', format: 'pem' }).toString()
  }
  const { privateKey } = generateKeyPairSync('ed25519')
  const secret = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
  const good = makeSigner().pem
  const cases: readonly (readonly [string, RegExp])[] = [
    [pemOf('ec'), /expected a key of type/],
    [pemOf('rsa'), /expected a key of type/],
    [pemOf('x25519'), /expected a key of type/],
    [secret, /this is a private key/],
    ['', /expected one public key in PEM/],
    ['-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----', /cannot be read/],
    [`${good}${good}`, /expected one public key in PEM/],
    [good.replace('\n', `\n${'A'.repeat(20_000)}\n`), /too long/],
  ]
  for (const [pem, error] of cases) {
    const read = readPublicKey('x', pem)
    expect(read.ok ? '' : read.error, pem.slice(0, 80)).toMatch(error)
  }
  // The way that editors of other systems end lines.
  expect(readPublicKey('x', good.replaceAll('\n', '\r\n')).ok).toBe(true)
})
