/** @module The authority of a cluster, the certificates of its members, and when they are made again. */
import { generateKeyPairSync, X509Certificate } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import {
  Authority,
  fingerprintOf,
  isRenewalDue,
  makeMemberKey,
  memberIn,
  readCertificate,
  requireOwnCertificate,
} from '../../../../src/mesh/identity/authority.ts'
import { systemRandom } from '../../../../src/runtime/random.ts'
import { FakeClock } from '../../../support/fake-clock.ts'

const dayMs = 86_400_000

function parts() {
  return { clock: new FakeClock(), random: systemRandom }
}

const found = (cluster = 'main', given = parts()) => Authority.found(cluster, given)

describe('an authority', () => {
  test('has a certificate of its own, for signing members alone', async () => {
    const given = parts()
    const authority = await found('main', given)
    const x509 = new X509Certificate(authority.certificate)
    expect(x509.ca).toBe(true)
    expect(x509.verify(x509.publicKey)).toBe(true)
    expect(x509.subject).toBe('O=main\nCN=FastRegistry mesh authority')
    expect(x509.issuer).toBe(x509.subject)
    expect(x509.keyUsage).toBeUndefined()
    expect(Date.parse(x509.validFrom)).toBe(given.clock.now() - 3_600_000)
    expect(Date.parse(x509.validTo)).toBeGreaterThan(given.clock.now() + 29 * 365 * dayMs)
    expect(memberIn(x509)).toBeUndefined()
    expect(authority.fingerprint).toEqual(fingerprintOf(x509))
    expect(authority.fingerprint).toHaveLength(32)
  })

  test('is the same after it was kept', async () => {
    const authority = await found()
    const again = Authority.open(authority.certificate, authority.privateKey, parts())
    expect(again.cluster).toBe('main')
    const { publicKey } = makeMemberKey()
    const x509 = new X509Certificate(await again.issue(3, publicKey))
    expect(x509.verify(readCertificate(authority.certificate).publicKey)).toBe(true)
  })

  test('is not opened with the key of another one, with none, or from another certificate', async () => {
    const [one, other] = [await found(), await found()]
    const certificateProblem = expect.objectContaining({ problem: 'certificate' })
    const open = (certificate: string, key: Uint8Array) => () =>
      Authority.open(certificate, key, parts())
    expect(open(one.certificate, other.privateKey)).toThrow(certificateProblem)
    expect(open(one.certificate, Buffer.from('no key'))).toThrow(certificateProblem)
    expect(open('no certificate', one.privateKey)).toThrow(certificateProblem)
    const key = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    const publicKey = key.publicKey.export({ type: 'spki', format: 'der' })
    const own = key.privateKey.export({ type: 'pkcs8', format: 'der' })
    expect(open(await one.issue(1, publicKey), own)).toThrow(certificateProblem)
  })

  test.each(['', 'with space', 'a/b', 'x'.repeat(65)])('is of no cluster "%s"', async (name) => {
    await expect(found(name)).rejects.toThrow(RangeError)
  })
})

describe('the certificate of a member', () => {
  test('says cluster and number, for both ends of TLS', async () => {
    const authority = await found('main_2')
    const { publicKey } = makeMemberKey()
    const x509 = new X509Certificate(await authority.issue(4_294_967_295, publicKey))
    expect(memberIn(x509)).toEqual({ cluster: 'main_2', member: 4_294_967_295 })
    expect(x509.subject).toBe('O=main_2\nCN=member 4294967295')
    expect(x509.keyUsage).toEqual(['1.3.6.1.5.5.7.3.1', '1.3.6.1.5.5.7.3.2'])
    expect(x509.ca).toBe(false)
    expect(x509.publicKey.export({ type: 'spki', format: 'der' })).toEqual(publicKey)
    expect(x509.checkIssued(new X509Certificate(authority.certificate))).toBe(true)
    expect(x509.verify(readCertificate(authority.certificate).publicKey)).toBe(true)
    expect(x509.verify(readCertificate((await found('main_2')).certificate).publicKey)).toBe(false)
  })

  test('has a number of its own each time', async () => {
    const authority = await found()
    const { publicKey } = makeMemberKey()
    const issue = async () => new X509Certificate(await authority.issue(1, publicKey)).serialNumber
    expect(await issue()).not.toBe(await issue())
  })

  test.each([0, -1, 1.5, 2 ** 32])('is not made for number %d', async (number) => {
    const authority = await found()
    const { publicKey } = makeMemberKey()
    await expect(authority.issue(number, publicKey)).rejects.toThrow(RangeError)
  })

  test('is not made for another kind of key, nor for what is none', async () => {
    const authority = await found()
    const pairs = [
      generateKeyPairSync('rsa', { modulusLength: 1024 }),
      generateKeyPairSync('ec', { namedCurve: 'P-384' }),
      generateKeyPairSync('ed25519'),
    ]
    const keys = pairs.map((pair) => pair.publicKey.export({ type: 'spki', format: 'der' }))
    for (const key of [...keys, Buffer.alloc(0), Buffer.alloc(91), Buffer.alloc(5_000)]) {
      await expect(authority.issue(1, key)).rejects.toMatchObject({ problem: 'message' })
    }
  })

  test('begins an hour ago, ends in 90 days, and is due again when a third is left', async () => {
    const given = parts()
    const authority = await found('main', given)
    const now = given.clock.now()
    const certificate = await authority.issue(1, makeMemberKey().publicKey)
    const { validFrom, validTo } = new X509Certificate(certificate)
    expect(Date.parse(validFrom)).toBe(now - 3_600_000)
    expect(Date.parse(validTo)).toBe(now + 90 * dayMs)
    expect(isRenewalDue(certificate, now)).toBe(false)
    expect(isRenewalDue(certificate, now + 60 * dayMs)).toBe(false)
    expect(isRenewalDue(certificate, now + 60 * dayMs + 1)).toBe(true)
  })

  test('does not outlive its authority', async () => {
    const given = parts()
    const authority = await found('main', given)
    given.clock.advance(30 * 365 * dayMs - dayMs)
    const { validTo } = new X509Certificate(await authority.issue(1, makeMemberKey().publicKey))
    expect(validTo).toBe(new X509Certificate(authority.certificate).validTo)
  })

  test('is taken from a peer only for this member, this key and by this authority', async () => {
    const [authority, other] = [await found(), await found()]
    const { publicKey } = makeMemberKey()
    const own = { cluster: 'main', member: 2, publicKey }
    const take =
      (certificate: string, it = own) =>
      () =>
        requireOwnCertificate(certificate, authority.certificate, it)
    const certificate = await authority.issue(2, publicKey)
    expect(take(certificate)).not.toThrow()
    const refused = expect.objectContaining({ problem: 'certificate' })
    expect(take(await authority.issue(3, publicKey))).toThrow(refused)
    expect(take(await authority.issue(2, makeMemberKey().publicKey))).toThrow(refused)
    expect(take(await other.issue(2, publicKey))).toThrow(refused)
    expect(take(certificate, { ...own, cluster: 'other' })).toThrow(refused)
    expect(take('no certificate')).toThrow(refused)
    expect(take(certificate + ' '.repeat(9_000))).toThrow(refused)
  })
})
