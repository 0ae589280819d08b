/** @module The keys that the registry signs with: which one signs when, what is published, what is left of the others. */
import { createPublicKey, generateKeyPairSync, verify } from 'node:crypto'
import { expect, test } from 'vitest'
import {
  currentOf,
  fingerprintOf,
  formatSigningKeys,
  keptSigningKeys,
  makeSigningKey,
  noSigningKeys,
  parseSigningKeys,
  publicKeysOf,
  rotateSigningKeys,
  SigningKeys,
  withForeignKey,
  withoutKey,
} from '../../../src/signing/attest/keys.ts'

const now = 1_700_000_000_000
const day = 86_400_000

const pkcs8 = (curve: string) =>
  generateKeyPairSync('ec', { namedCurve: curve })
    .privateKey.export({ type: 'pkcs8', format: 'pem' })
    .toString()

test('a new key signs until its successor does, and is published before and after', async () => {
  let time = now
  const first = await keptSigningKeys(noSigningKeys, now, false)
  const keys = new SigningKeys(() => time)
  keys.take(first)
  const old = keys.signer.publicKey
  const rotated = await rotateSigningKeys(first, now, now + day)
  keys.take(rotated)
  expect(keys.signer.publicKey).toBe(old)
  expect(keys.publicPem.startsWith(old)).toBe(true)
  expect(publicKeysOf(rotated, now)).toHaveLength(2)
  time = now + day
  expect(keys.signer.publicKey).not.toBe(old)
  expect(keys.publicPem).toBe(keys.signer.publicKey + old)
  const bytes = Buffer.from('text')
  const signature = await keys.signer.sign(bytes)
  const key = createPublicKey(keys.signer.publicKey)
  expect(verify('sha256', bytes, key, signature)).toBe(true)
})

test('of a key that does not sign any more the private part goes', async () => {
  const first = await keptSigningKeys(noSigningKeys, now, false)
  expect(first.keys[0]?.privateKey).toContain('BEGIN PRIVATE KEY')
  const soon = await rotateSigningKeys(first, now, now + day)
  expect(soon.keys.map(({ privateKey }) => privateKey !== undefined)).toEqual([true, true])
  expect(await keptSigningKeys(soon, now, false)).toBe(soon)
  const later = await keptSigningKeys(soon, now + day, false)
  expect(later.keys.map(({ privateKey }) => privateKey !== undefined)).toEqual([false, true])
  const atOnce = await rotateSigningKeys(first, now, now)
  expect(atOnce.keys.map(({ privateKey }) => privateKey !== undefined)).toEqual([false, true])
})

test('a key that was announced and has signed nothing is replaced', async () => {
  const first = await keptSigningKeys(noSigningKeys, now, false)
  const announced = await rotateSigningKeys(first, now, now + day)
  const again = await rotateSigningKeys(announced, now, now + day)
  expect(again.keys).toHaveLength(2)
  expect(again.keys[1]?.publicKey).not.toBe(announced.keys[1]?.publicKey)
})

test('a key is published no longer when it is to be forgotten, unless it signs', async () => {
  const first = await keptSigningKeys(noSigningKeys, now, false)
  const file = await rotateSigningKeys(first, now, now)
  const [old, current] = file.keys.map(({ publicKey }) => fingerprintOf(publicKey))
  expect(withoutKey(file, old!.slice(0, 12), now).keys).toEqual([file.keys[1]])
  expect(() => withoutKey(file, current!, now)).toThrow(/this key signs/)
  expect(() => withoutKey(file, 'none', now)).toThrow(/no key none/)
  expect(() => withoutKey(file, '', now)).toThrow(/more of the fingerprint/)
})

test('a key of the operator signs, and stays published when another has replaced it', async () => {
  const keys = new SigningKeys(() => now)
  keys.take(noSigningKeys)
  const [one, two] = [pkcs8('P-256'), pkcs8('P-256')]
  keys.takeForeign(one)
  const first = keys.signer.publicKey
  let file = withForeignKey(noSigningKeys, first, now)
  expect(withForeignKey(file, first, now + 1)).toBe(file)
  keys.takeForeign(two)
  file = withForeignKey(file, keys.signer.publicKey, now + 1)
  keys.take(file)
  expect(keys.publicPem).toBe(keys.signer.publicKey + first)
  expect(JSON.stringify(file)).not.toContain('PRIVATE')
  // Without its file the registry makes a key of its own, and forgets none of them.
  const own = await keptSigningKeys(file, now + 2, false)
  expect(own.keys).toHaveLength(3)
  expect(currentOf(own, now + 2)?.privateKey).toBeDefined()
})

test('only EC keys on P-256 sign, and no refusal repeats one', () => {
  const keys = new SigningKeys(() => now)
  expect(() => keys.signer).toThrow(/no key to sign with/)
  expect(() => keys.takeForeign(pkcs8('P-384'))).toThrow(/curve P-256/)
  const broken = pkcs8('P-256').replace('\n', '\nAAAA')
  let message = ''
  try {
    keys.takeForeign(broken)
  } catch (error) {
    message = String(error)
  }
  expect(message).toMatch(/expected a private key as PKCS#8/)
  expect(message).not.toContain('AAAA')
})

test('a file that is damaged is refused without a word of it', async () => {
  const file = { keys: [await makeSigningKey(now), await makeSigningKey(now)] }
  expect(parseSigningKeys(formatSigningKeys(file))).toEqual(file)
  const [one, two] = file.keys
  const mixed = { keys: [{ ...one!, publicKey: two!.publicKey }] }
  expect(() => parseSigningKeys(formatSigningKeys(mixed))).toThrow(/do not belong together/)
  for (const text of ['{"secret', '{"keys":"secret"}']) {
    expect(() => parseSigningKeys(text)).toThrow(/^(?!.*secret).*$/)
  }
})
