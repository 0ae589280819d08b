import { createHash } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import type { Finding } from '../../../../src/signing/verdicts/finding.ts'
import type { WantedSigner } from '../../../../src/signing/verdicts/signers.ts'
import type { NamedStore, Trust } from '../../../../src/signing/worker/messages.ts'
import {
  type CertificateFields,
  certificate,
  type Issued,
  type KeyKind,
} from '../../../support/signed/certificate.ts'
import {
  type AttachedLayer,
  digestOf,
  lookAtLayer,
  trustWith,
} from '../../../support/signed/look.ts'
import {
  cose,
  jws,
  type NotationMade,
  notationManifest,
  targetOf,
  timestampToken,
} from '../../../support/signed/notation.ts'

const day = 86_400_000
const prefix = 'io.cncf.notary.'
const acmeSubject = 'C=US, ST=WA, O=acme, CN=signer'

const root = certificate({ subject: 'C=US, O=acme root', isAuthority: true })
const middle = certificate({
  subject: 'C=US, O=acme middle',
  isAuthority: true,
  pathLength: 0,
  by: root,
})
const leafWith = (fields: Partial<CertificateFields> = {}) =>
  certificate({ subject: acmeSubject, by: middle, ...fields })
const leaf = leafWith()
const chain = [leaf, middle, root]

const timeRoot = certificate({ subject: 'O=times', isAuthority: true, kind: 'rsa2048' })
const stampFields: CertificateFields = {
  subject: 'O=times, CN=stamps',
  by: timeRoot,
  purposes: ['1.3.6.1.5.5.7.3.8'],
  isPurposeCritical: true,
  kind: 'rsa2048',
}
const stamper = certificate(stampFields)

const storeOf = (
  name: string,
  type: NamedStore['type'],
  ...all: readonly Issued[]
): NamedStore => ({
  name,
  type,
  certificates: all.map(({ der }) => der),
})
const acme: WantedSigner = {
  kind: 'store',
  name: 'acme',
  store: 'acme',
  attributes: { C: 'US', O: 'acme' },
}
const trustOf = (fields: Partial<Trust> = {}) =>
  trustWith({ stores: [storeOf('acme', 'ca', root)], signers: [acme], ...fields })

const look = (layer: AttachedLayer, trust = trustOf()): Promise<Finding> =>
  lookAtLayer(layer, trust, { artifactType: notationManifest })

const FORMATS: readonly [string, (made: NotationMade) => AttachedLayer][] = [
  ['JWS', jws],
  ['COSE', cose],
]

describe.each(FORMATS)('a signature of Notation as %s', (_, make) => {
  const refused = async (
    made: Partial<NotationMade>,
    result: Finding['result'],
    reason: string,
    trust?: Trust,
  ) => {
    const finding = await look(make({ chain, ...made }), trust)
    expect(finding.reason).toContain(reason)
    expect(finding.result).toBe(result)
  }

  test.each<KeyKind>(['p256', 'p384', 'p521', 'rsa2048', 'rsa3072', 'rsa4096'])(
    'of a key %s is verified',
    async (kind) => {
      const made = { chain: [leafWith({ kind }), middle, root], kind }
      expect(await look(make(made))).toMatchObject({
        scheme: 'notation',
        isSignature: true,
        result: 'verified',
        reason: 'no list of revoked certificates was asked',
        signer: { name: 'acme', store: { stores: ['acme'], subject: acmeSubject } },
        signedAt: { by: 'claimed' },
      })
    },
    30_000,
  )

  test('ends with the first certificate of its chain, or when its signer wants', async () => {
    const notAfter = Math.floor(Date.now() / 1000) * 1000 + day / 2
    const short = [leafWith({ notAfter }), middle, root]
    expect(await look(make({ chain: short }))).toMatchObject({ validUntil: notAfter })
    const expiry = Math.floor(Date.now() / 1000) * 1000 + 60_000
    const headers = { [`${prefix}expiry`]: new Date(expiry).toISOString() }
    const critical = [`${prefix}signingScheme`, `${prefix}expiry`]
    const made = make({ chain: short, headers, critical })
    expect(await look(made)).toMatchObject({ result: 'verified', validUntil: expiry })
    expect(await look(made, trustOf({ now: expiry }))).toMatchObject({
      result: 'expired',
      reason: `expired ${new Date(expiry).toISOString().slice(0, 10)}, as its signer wanted`,
    })
  })

  test('has to be about digest, type and size of the image', async () => {
    const mismatch = (fields: object) =>
      refused({ payload: targetOf(fields) }, 'digest mismatch', 'about')
    await mismatch({ digest: digestOf(Buffer.from('other')) })
    await mismatch({ mediaType: 'application/vnd.oci.image.index.v1+json' })
    await mismatch({ mediaType: undefined })
    await mismatch({ size: 1 })
    await mismatch({ size: '31' })
  })

  test('has the algorithm of its key', async () => {
    await refused({ algorithm: 'ES384' }, 'invalid', 'is not that of its key')
    const odd = certificate({ subject: acmeSubject, by: middle, kind: 'rsa3072' })
    const made = { chain: [odd, middle, root], algorithm: 'PS256' }
    await refused(made, 'invalid', 'is not that of its key')
  })

  test('has all critical headers that are understood, and no other', async () => {
    const scheme = `${prefix}signingScheme`
    const expiry = `${prefix}expiry`
    const later = { [expiry]: new Date(Date.now() + day).toISOString() }
    await refused({ critical: [] }, 'not checked', 'signingScheme is not critical')
    await refused({ headers: later, critical: [scheme] }, 'not checked', 'expiry is not critical')
    await refused({ critical: [scheme, 'x-other'] }, 'not checked', 'x-other is not understood')
    await refused({ critical: [scheme, expiry] }, 'not checked', 'expiry is not understood')
    const plugin = { [`${prefix}verificationPlugin`]: 'com.example.signer' }
    const critical = [scheme, `${prefix}verificationPlugin`]
    await refused({ headers: plugin, critical }, 'not checked', 'plugin com.example.signer')
    await refused({ headers: plugin }, 'not checked', 'plugin com.example.signer')
    const odd = { [scheme]: 'notary.other' }
    await refused({ headers: odd }, 'unreadable', 'the signing scheme')
  })

  test.each<[string, Partial<CertificateFields>, string]>([
    ['without a key usage', { keyUsage: undefined }, 'key usage is not critical'],
    ['with a key usage that is not critical', { isKeyUsageCritical: false }, 'is not critical'],
    ['for other keys', { keyUsage: '01' }, 'not for digital signatures'],
    ['for certificates too', { keyUsage: '100001' }, 'one of an authority'],
    ['of an authority', { isAuthority: true, keyUsage: '1' }, 'not for signing code'],
    ['for servers', { purposes: ['1.3.6.1.5.5.7.3.1'] }, 'not for signing code'],
    ['without a purpose', { purposes: [] }, 'not for signing code'],
    [
      'for servers too',
      { purposes: ['1.3.6.1.5.5.7.3.3', '1.3.6.1.5.5.7.3.1'] },
      'for other purposes too',
    ],
    ['with a critical extension', { unknown: ['1.2.3.4'] }, 'critical extension 1.2.3.4'],
  ])('is not made by a certificate %s', async (_name, fields, reason) => {
    await refused({ chain: [leafWith(fields), middle, root] }, 'invalid', reason)
  })

  test('leads over authorities to the store', async () => {
    await refused(
      { chain: [leaf, middle, root] },
      'unknown authority',
      'no store',
      trustOf({
        stores: [storeOf('acme', 'ca', timeRoot)],
      }),
    )
    await refused({ chain: [leaf, root, middle] }, 'unknown authority', 'no store')
    await refused({ chain: [leaf] }, 'unknown authority', 'no store')
    // The root may be left out, and a store may have the authority that issued.
    expect(await look(make({ chain: [leaf, middle] }))).toMatchObject({ result: 'verified' })
    const near = trustOf({ stores: [storeOf('acme', 'ca', middle)] })
    expect(await look(make({ chain }), near)).toMatchObject({ result: 'verified' })
    const alone = certificate({ subject: acmeSubject })
    const own = trustOf({ stores: [storeOf('acme', 'ca', alone)] })
    expect(await look(make({ chain: [alone] }), own)).toMatchObject({ result: 'verified' })
    // One below an authority that allows none.
    const low = certificate({ subject: 'O=low', isAuthority: true, by: middle })
    const deep = [certificate({ subject: acmeSubject, by: low }), low, middle, root]
    await refused({ chain: deep }, 'invalid', 'longer than an authority allows')
    const fake = certificate({ subject: 'O=fake', by: root })
    const under = [certificate({ subject: acmeSubject, by: fake }), fake, root]
    expect((await look(make({ chain: under }))).result).not.toBe('verified')
  })

  test('is of the type of its store', async () => {
    const authority = trustOf({ stores: [storeOf('acme', 'signingAuthority', root)] })
    await refused({}, 'not checked', 'no store of type ca', authority)
    const scheme = `${prefix}signingScheme`
    const at = `${prefix}authenticSigningTime`
    const made: NotationMade = {
      chain,
      headers: { [scheme]: 'notary.x509.signingAuthority', [at]: '2026-01-02T03:04:05Z' },
      critical: [scheme, at],
    }
    expect(await look(make(made), authority)).toMatchObject({
      result: 'verified',
      // The word of the signer, which no timestamp proves.
      signedAt: { at: Date.parse('2026-01-02T03:04:05Z'), by: 'claimed' },
    })
    await refused(made, 'not checked', 'no store of type signingAuthority')
    await refused({ headers: { [scheme]: 'notary.x509.signingAuthority' } }, 'unreadable', 'Time')
  })

  test.each<[string, Readonly<Record<string, string>>, Finding['result']]>([
    ['any', {}, 'verified'],
    ['some attributes', { O: 'acme', ST: 'WA' }, 'verified'],
    ['another value', { O: 'acme2' }, 'wrong subject'],
    ['one that is missing', { OU: 'x' }, 'wrong subject'],
    ['one that every object has', { constructor: 'x' }, 'wrong subject'],
  ])('is named by %s of its subject', async (_name, attributes, result) => {
    const trust = trustOf({ signers: [{ ...acme, attributes }] })
    expect((await look(make({ chain }), trust)).result).toBe(result)
    const other = trustOf({ signers: [{ ...acme, store: 'other', attributes }] })
    expect((await look(make({ chain }), other)).result).toBe('wrong subject')
  })

  test('is not named by an attribute that is there twice', async () => {
    const twice = [leafWith({ subject: 'O=acme, O=other, C=US' }), middle, root]
    expect(await look(make({ chain: twice }))).toMatchObject({ result: 'wrong subject' })
  })

  test('is revoked by each certificate of its chain, and by its key', async () => {
    const hash = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')
    const spki = leaf.publicKey.export({ type: 'spki', format: 'der' })
    for (const { der } of chain) {
      const revoked = { keys: [], certificates: [hash(der)] }
      await refused({}, 'revoked', 'is revoked', trustOf({ revoked }))
    }
    const revoked = { keys: [hash(spki)], certificates: [] }
    await refused({}, 'revoked', 'is revoked', trustOf({ revoked }))
  })

  test('outside of the time of its certificates needs a timestamp of a store', async () => {
    const old = { notBefore: Date.now() - 3 * day, notAfter: Date.now() - day }
    const expired = [leafWith(old), middle, root]
    const before = Date.now() - 2 * day
    // The authorities are younger than the signature otherwise.
    const oldRoot = certificate({ subject: 'O=old', isAuthority: true, notBefore: before - day })
    const oldChain = [certificate({ subject: acmeSubject, by: oldRoot, ...old }), oldRoot]
    const oldTimes = certificate({ subject: 'O=t', isAuthority: true, notBefore: before - day })
    const oldStamper = { ...stampFields, by: oldTimes, notBefore: before - day }
    const stores = (...more: readonly NamedStore[]) =>
      trustOf({ stores: [storeOf('acme', 'ca', root, oldRoot), ...more] })
    const tsa = storeOf('times', 'tsa', oldTimes)
    const reason = 'no timestamp proves that it was made before'
    await refused({ chain: expired }, 'expired', reason, stores(tsa))
    for (const kind of ['rsa2048', 'p256'] as const) {
      const stampChain = [certificate({ ...oldStamper, kind }), oldTimes]
      const stamped = (fields: object = {}): NotationMade => ({
        chain: oldChain,
        timestamp: (signature) =>
          timestampToken(signature, { chain: stampChain, at: before, ...fields }),
      })
      const found = await look(make(stamped()), stores(tsa))
      expect(found.reason).toBe('no list of revoked certificates was asked')
      expect(found.result).toBe('verified')
      expect(found.signedAt).toEqual({ at: Math.floor(before / 1000) * 1000, by: 'trusted' })
      expect(found.validUntil).toBeUndefined()
      await refused(stamped(), 'expired', 'no store of type tsa for its timestamp', stores())
      const foreign = storeOf('times', 'tsa', timeRoot)
      await refused(stamped(), 'expired', 'no store of type tsa has the authority', stores(foreign))
      await refused(stamped({ at: Date.now() }), 'expired', 'outside of the time', stores(tsa))
      await refused(stamped({ named: stamper }), 'expired', 'contradicts itself', stores(tsa))
      const other: NotationMade = {
        chain: oldChain,
        timestamp: () => timestampToken(Buffer.from('other'), { chain: stampChain, at: before }),
      }
      await refused(other, 'expired', 'about another signature', stores(tsa))
      const junk = { chain: oldChain, timestamp: () => Buffer.from('junk') }
      await refused(junk, 'expired', 'its timestamp cannot be read', stores(tsa))
    }
    const wrong = [certificate({ ...oldStamper, isPurposeCritical: false }), oldTimes]
    const made: NotationMade = {
      chain: oldChain,
      timestamp: (signature) => timestampToken(signature, { chain: wrong, at: before }),
    }
    await refused(made, 'expired', 'certificate of its timestamp', stores(tsa))
  })

  test('with a timestamp that proves nothing is as one without', async () => {
    const stampChain = [stamper, timeRoot]
    const made: NotationMade = {
      chain,
      timestamp: (signature) => timestampToken(signature, { chain: stampChain }),
    }
    const found = await look(make(made))
    expect(found).toMatchObject({ result: 'verified', signedAt: { by: 'claimed' } })
    expect(found.reason).toContain('no store of type tsa')
    const stores = [storeOf('acme', 'ca', root), storeOf('times', 'tsa', timeRoot)]
    expect(await look(make(made), trustOf({ stores }))).toMatchObject({
      result: 'verified',
      signedAt: { by: 'trusted' },
    })
  })

  test('of which one byte is another is not verified', async () => {
    const made = make({ chain })
    const before = await look(made)
    for (let at = 0; at < made.bytes.byteLength; at += 3) {
      const bytes = Buffer.from(made.bytes)
      bytes[at]! ^= 1 << (at % 7)
      const after = await look({ ...made, bytes })
      if (after.result !== 'verified') continue
      // Names of members that nothing reads, and certificates that the way to the store does not need.
      expect(after.signer, `byte ${at}`).toEqual(before.signer)
    }
  }, 60_000)
})

test('the chain of a signature is short', async () => {
  const links: Issued[] = [root]
  for (let at = 0; at < 9; at += 1) {
    links.unshift(certificate({ subject: `O=ca ${at}`, isAuthority: true, by: links[0]! }))
  }
  const made = jws({ chain: [certificate({ subject: acmeSubject, by: links[0]! }), ...links] })
  expect(await look(made)).toMatchObject({
    result: 'unreadable',
    reason: 'the chain has more than 8 certificates',
  })
})

test('without any store a signature is listed, and not checked', async () => {
  const bare = trustWith({})
  expect(await look(jws({ chain }), bare)).toMatchObject({
    result: 'not checked',
    reason: 'it is signed with a certificate, and signing.stores has no store',
  })
  const other = jws({ chain, payload: targetOf({ digest: digestOf(Buffer.from('other')) }) })
  expect(await look(other, bare)).toMatchObject({ result: 'digest mismatch' })
})
