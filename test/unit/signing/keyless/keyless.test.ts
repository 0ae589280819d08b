import { createHash, X509Certificate } from 'node:crypto'
import { beforeAll, describe, expect, test } from 'vitest'
import {
  type Certified,
  entryOfEnvelope,
  entryOfMessage,
  githubIssuer,
  type Json,
  keylessAnnotations,
  keylessBundle,
  keylessMessage,
  type LogKind,
  oldBundleOf,
  paeOf,
  pemOf,
  Sigstore,
  workflow,
} from '../../../../bench/sigstore/keyless.ts'
import type { Finding } from '../../../../src/signing/verdicts/finding.ts'
import type { WantedSigner } from '../../../../src/signing/verdicts/signers.ts'
import type { Trust } from '../../../../src/signing/worker/messages.ts'
import {
  type AttachedLayer,
  bundleLayer,
  image,
  lookAtLayer,
  subject,
  trustWith,
} from '../../../support/signed/look.ts'
import { makeSigner, payloadOf, signPredicate, statementAbout } from '../../../support/signing.ts'

const statement = statementAbout(subject.digest, signPredicate)
const simpleSigningType = 'application/vnd.dev.cosign.simplesigning.v1+json'

const acme: WantedSigner = {
  kind: 'identity',
  name: 'acme-ci',
  root: 'own',
  issuer: githubIssuer,
  subject: 'https://github.com/acme/*/.github/workflows/release.yml@refs/tags/*',
  claims: {},
}

let own: Sigstore
let foreign: Sigstore
let certified: Certified
beforeAll(async () => {
  own = await Sigstore.open()
  // Of the very same second: its certificates are in time.
  foreign = await Sigstore.open({ time: own.time })
  certified = await own.certify()
})

function trustOf({ root = own.root(), ...rest }: Partial<Trust> & { root?: Json } = {}): Trust {
  const renewedAt = own.time.getTime() - 210 * 86_400_000
  const roots = [{ name: 'own', json: JSON.stringify(root), renewedAt }]
  return trustWith({ roots, signers: [acme], now: own.time.getTime(), ...rest })
}

const look = (layer: AttachedLayer, trust = trustOf()): Promise<Finding> =>
  lookAtLayer(layer, trust)
const lookAt = (bundle: Json, trust?: Trust) => look(bundleLayer(bundle), trust)

const made = (fields: { by?: Certified; payload?: Buffer } = {}) => ({
  sigstore: own,
  by: certified,
  payload: statement,
  ...fields,
})
const bundleOf = (kind: LogKind = 'dsse', isStamped?: boolean) =>
  keylessBundle(made(), { kind, ...(isStamped !== undefined && { isStamped }) })

const proven = {
  result: 'verified',
  isSignature: true,
  isLogged: true,
  signer: {
    name: 'acme-ci',
    identity: { issuer: githubIssuer, subject: workflow, roots: ['own'] },
  },
}

describe('what a certificate of a root has signed is verified', () => {
  test.each<LogKind>(['dsse', 'intoto', 'hashedrekord', 'tiled'])(
    'in a bundle whose entry is of the kind %s',
    async (kind) => {
      expect(await lookAt(await bundleOf(kind))).toMatchObject({
        ...proven,
        signedAt: { at: own.time.getTime(), by: 'trusted' },
      })
    },
  )

  test('with a timestamp beside the log', async () => {
    expect(await lookAt(await bundleOf('dsse', true))).toMatchObject(proven)
  })

  test('over the bytes of the manifest', async () => {
    expect(await lookAt(await keylessMessage(made({ payload: image })))).toMatchObject(proven)
  })

  test.each([false, true])('as simple signing, with a timestamp: %s', async (isStamped) => {
    const payload = payloadOf(subject.digest)
    const annotations = await keylessAnnotations(made({ payload }), isStamped)
    const layer = { mediaType: simpleSigningType, annotations, bytes: payload }
    expect(await look(layer)).toMatchObject(proven)
  })

  test('as an attestation under a tag', async () => {
    const slsa = 'https://slsa.dev/provenance/v1'
    const payload = statementAbout(subject.digest, slsa)
    const { dsseEnvelope, verificationMaterial } = await keylessBundle(made({ payload }))
    const [entry] = verificationMaterial.tlogEntries
    const layer = {
      mediaType: 'application/vnd.dsse.envelope.v1+json',
      annotations: {
        predicateType: slsa,
        'dev.cosignproject.cosign/signature': '',
        'dev.sigstore.cosign/certificate': pemOf(certified.der),
        'dev.sigstore.cosign/bundle': oldBundleOf(entry),
      },
      bytes: Buffer.from(JSON.stringify(dsseEnvelope)),
    }
    const expected = { ...proven, isSignature: false, predicateType: slsa }
    expect(await look(layer)).toMatchObject(expected)
    const { 'dev.sigstore.cosign/bundle': _, ...bare } = layer.annotations
    expect(await look({ ...layer, annotations: bare })).toMatchObject({ result: 'no time' })
  })

  test('in bundles of every version, with a chain where that may be', async () => {
    const bundle = await bundleOf()
    const old = 'application/vnd.dev.sigstore.bundle+json;version='
    const chain = { certificates: [bundle.verificationMaterial.certificate] }
    const { certificate: _, ...material } = bundle.verificationMaterial
    const chained = {
      ...bundle,
      verificationMaterial: { ...material, x509CertificateChain: chain },
    }
    for (const version of ['0.1', '0.2']) {
      expect(await lookAt({ ...chained, mediaType: old + version })).toMatchObject(proven)
    }
    expect(await lookAt({ ...bundle, mediaType: `${old}0.3` })).toMatchObject(proven)
    expect(await lookAt(chained)).toMatchObject({ result: 'unreadable' })
    expect(await lookAt({ ...bundle, mediaType: `${old}0.9` })).toMatchObject({
      result: 'unreadable',
    })
  })

  test('by a trusted root of either type', async () => {
    const mediaType = 'application/vnd.dev.sigstore.trustedroot.v0.2+json'
    const root = { ...own.root(), mediaType }
    expect(await lookAt(await bundleOf(), trustOf({ root }))).toMatchObject(proven)
  })

  test('up to the last moment of the log', async () => {
    const bundle = await bundleOf('tiled')
    const root = own.root()
    root.tlogs[0].publicKey.validFor.end = own.time.toISOString()
    expect(await lookAt(bundle, trustOf({ root }))).toMatchObject(proven)
    root.tlogs[0].publicKey.validFor.end = new Date(own.time.getTime() - 1000).toISOString()
    expect(await lookAt(bundle, trustOf({ root }))).toMatchObject({ result: 'log key unknown' })
  })
})

describe('who signed', () => {
  test('does not count where nothing names it', async () => {
    const trust = trustOf({ signers: [{ ...acme, subject: 'https://github.com/other/**' }] })
    expect(await lookAt(await bundleOf(), trust)).toMatchObject({
      result: 'wrong subject',
      reason: `wrong subject: ${workflow} (${githubIssuer}) is no signer of the configuration`,
    })
  })

  test.each<[string, Partial<WantedSigner>]>([
    ['a part of the subject', { subject: 'https://github.com/acme/app' }],
    ['a subject that goes on', { subject: `${workflow}x` }],
    ['a star over slashes', { subject: 'https://github.com/*@refs/tags/v1' }],
    ['another issuer', { issuer: 'https://gitlab.example' }],
    ['a part of the issuer', { issuer: githubIssuer.slice(0, -1) }],
    ['another root', { root: 'other' }],
    ['no root', { root: undefined }],
    ['a claim that the certificate lacks', { claims: { trigger: '**' } }],
    ['a claim that is another', { claims: { runner_environment: 'self-hosted' } }],
  ])('is not named by %s', async (_, fields) => {
    const by = await own.certify({ claims: { 11: 'github-hosted' } })
    const wanted = { ...acme, ...fields } as WantedSigner
    const finding = await lookAt(await keylessBundle(made({ by })), trustOf({ signers: [wanted] }))
    expect(finding.result).toBe('wrong subject')
  })

  test('is named by claims, exactly or by a glob', async () => {
    const claims = { 11: 'github-hosted', 12: 'https://github.com/acme/app', 14: 'refs/tags/v1' }
    const by = await own.certify({ claims })
    const wanted = {
      ...acme,
      claims: {
        runner_environment: 'github-hosted',
        source_repository: 'https://github.com/acme/*',
      },
    }
    const finding = await lookAt(await keylessBundle(made({ by })), trustOf({ signers: [wanted] }))
    expect(finding).toMatchObject(proven)
    expect(finding.signer?.identity?.claims).toEqual({
      runner_environment: 'github-hosted',
      source_repository: 'https://github.com/acme/app',
      source_ref: 'refs/tags/v1',
    })
  })

  test('is proven by each root that has its authority and its log', async () => {
    const { roots, ...rest } = trustOf()
    const second = { ...roots[0]!, name: 'second' }
    const other = { ...roots[0]!, name: 'other', json: JSON.stringify(foreign.root()) }
    const finding = await lookAt(await bundleOf(), { ...rest, roots: [other, ...roots, second] })
    expect(finding.signer?.identity?.roots).toEqual(['own', 'second'])
  })

  test('is revoked by the certificate, the key or the authority', async () => {
    const bundle = await bundleOf()
    const hash = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')
    const revoked = (certificates: string[], keys: string[] = []) =>
      lookAt(bundle, trustOf({ revoked: { certificates, keys } }))
    expect(await revoked([hash(certified.der)])).toMatchObject({ result: 'revoked' })
    const { publicKey } = new X509Certificate(certified.der)
    const spki = hash(publicKey.export({ type: 'spki', format: 'der' }))
    expect(await revoked([], [spki])).toMatchObject({ result: 'revoked' })
    const authority = Buffer.from(own.ca.rootCertificate as Uint8Array)
    expect(await revoked([hash(authority)])).toMatchObject({ result: 'unknown authority' })
    expect(await revoked(['00'.repeat(32)], ['11'.repeat(32)])).toMatchObject(proven)
  })
})

describe('what is missing or foreign is refused with its reason', () => {
  const refused = async (
    bundle: Json,
    result: Finding['result'],
    reason?: string,
    trust?: Trust,
  ) => {
    const finding = await lookAt(bundle, trust)
    expect(finding.result, finding.reason).toBe(result)
    if (reason !== undefined) expect(finding.reason).toContain(reason)
  }

  test('another authority', async () => {
    const by = await own.certify({ ca: foreign.ca })
    await refused(await keylessBundle(made({ by })), 'unknown authority')
  })

  test('another log, with the age of the root', async () => {
    const root = { ...own.root(), tlogs: foreign.root().tlogs }
    const reason = 'log key unknown (root own is 210 days old)'
    await refused(await bundleOf(), 'log key unknown', reason, trustOf({ root }))
    await refused(await bundleOf('tiled'), 'log key unknown', reason, trustOf({ root }))
  })

  test('a log without a beginning', async () => {
    const root = own.root()
    delete root.tlogs[0].publicKey.validFor.start
    await refused(await bundleOf(), 'log key unknown', undefined, trustOf({ root }))
  })

  test('another log of certificates', async () => {
    const root = { ...own.root(), ctlogs: foreign.root().ctlogs }
    const reason = 'certificate log key unknown'
    await refused(await bundleOf(), 'log key unknown', reason, trustOf({ root }))
  })

  test('another authority of timestamps', async () => {
    const root = { ...own.root(), timestampAuthorities: foreign.root().timestampAuthorities }
    await refused(await bundleOf('tiled'), 'no time', 'its timestamp', trustOf({ root }))
  })

  test('no log entry, no time, no timestamp beside a log without times', async () => {
    const bundle = await bundleOf('dsse', true)
    bundle.verificationMaterial.tlogEntries = []
    await refused(bundle, 'invalid', 'it is in no transparency log')
    const timeless = await bundleOf()
    timeless.verificationMaterial.tlogEntries = []
    await refused(timeless, 'no time')
    await refused(await bundleOf('tiled', false), 'no time')
  })

  test('the time of an entry that its log does not promise', async () => {
    const bundle = await bundleOf()
    delete bundle.verificationMaterial.tlogEntries[0].inclusionPromise
    await refused(bundle, 'no time')
  })

  test('an entry without a proof, but in a bundle of the first version', async () => {
    const bundle = await bundleOf()
    delete bundle.verificationMaterial.tlogEntries[0].inclusionProof
    await refused(bundle, 'unreadable')
  })

  test('the same entry twice', async () => {
    const bundle = await bundleOf()
    const [entry] = bundle.verificationMaterial.tlogEntries
    bundle.verificationMaterial.tlogEntries.push(entry)
    expect((await lookAt(bundle)).result).not.toBe('verified')
    const tiled = await bundleOf('tiled')
    const [first] = tiled.verificationMaterial.tlogEntries
    tiled.verificationMaterial.tlogEntries.push({ ...first, logIndex: '1' })
    await refused(tiled, 'invalid')
  })

  test('the entry of another signature, or of another key', async () => {
    const bundle = await bundleOf()
    const other = await bundleOf()
    bundle.verificationMaterial.tlogEntries = other.verificationMaterial.tlogEntries
    await refused(bundle, 'invalid', 'log entry')
    const by = await own.certify()
    for (const kind of ['dsse', 'intoto', 'hashedrekord'] as const) {
      const mine = await bundleOf(kind)
      const entry = entryOfEnvelope(kind, mine.dsseEnvelope, pemOf(by.der))
      mine.verificationMaterial.tlogEntries = [await own.entry(entry)]
      await refused(mine, 'invalid', 'another key or certificate')
    }
  })

  test('a timestamp over another signature, or outside of the time of the certificate', async () => {
    const bundle = await bundleOf('tiled')
    const other = await bundleOf('tiled')
    bundle.verificationMaterial.timestampVerificationData =
      other.verificationMaterial.timestampVerificationData
    await refused(bundle, 'no time')
    // The same authority, and logs an hour later.
    const late = await Sigstore.open({ laterMs: 3_600_000 })
    const { tlogs, timestampAuthorities } = late.root()
    for (const log of tlogs) log.publicKey.validFor = own.root().tlogs[0].publicKey.validFor
    const root = { ...own.root(), tlogs, timestampAuthorities }
    for (const kind of ['dsse', 'tiled'] as const) {
      const expired = await keylessBundle({ ...made(), sigstore: late }, { kind })
      await refused(expired, 'expired', 'outside of its certificate', trustOf({ root }))
    }
  })

  test('what is about another image, of another type, or no statement', async () => {
    const about = (payload: Buffer) => keylessBundle(made({ payload }))
    const other = `sha256:${'0'.repeat(64)}`
    await refused(await about(statementAbout(other, signPredicate)), 'digest mismatch')
    await refused(await about(Buffer.from('{}')), 'unreadable', 'in-toto')
    await refused(await about(Buffer.from('null')), 'unreadable')
    await refused(await about(Buffer.from('nonsense')), 'unreadable')
    const bundle = await bundleOf()
    bundle.dsseEnvelope.payloadType = 'text/plain'
    await refused(bundle, 'unreadable', 'text/plain')
    const attested = await about(statementAbout(subject.digest, 'https://slsa.dev/provenance/v1'))
    expect(await lookAt(attested)).toMatchObject({ result: 'verified', isSignature: false })
  })

  test('a signature over something else, or by another key', async () => {
    const by = await own.certify()
    const bundle = await keylessBundle(made({ by: { ...certified, privateKey: by.privateKey } }))
    await refused(bundle, 'invalid', 'does not fit')
    const message = await keylessMessage(made({ payload: image }))
    message.messageSignature.messageDigest.digest = Buffer.alloc(32).toString('base64')
    await refused(message, 'digest mismatch')
  })

  test('whatever is no bundle at all', async () => {
    for (const text of ['null', '[]', '{}', '"x"', '{"mediaType":null}', '', '{"a":1']) {
      expect((await lookAt(text)).result).toBe('unreadable')
    }
    const fields = Object.keys((await bundleOf('dsse', true)).verificationMaterial)
    for (const value of [null, 0, '', [], {}, [null], [{}]]) {
      for (const field of fields) {
        const bundle = await bundleOf('dsse', true)
        bundle.verificationMaterial[field] = value
        const isOptional = field === 'timestampVerificationData'
        const { result } = await lookAt(bundle)
        if (!isOptional) expect(result, `${field} ${JSON.stringify(value)}`).not.toBe('verified')
      }
      const [entry] = (await bundleOf()).verificationMaterial.tlogEntries
      for (const field of Object.keys(entry)) {
        const bundle = await bundleOf()
        bundle.verificationMaterial.tlogEntries = [{ ...entry, [field]: value }]
        const { result } = await lookAt(bundle)
        expect(result, `${field} ${JSON.stringify(value)}`).not.toBe('verified')
      }
    }
  })
})

describe('a key', () => {
  const key = makeSigner()
  const keyed = (untilMs?: number) => [{ name: 'release', pem: key.pem, untilMs }]

  async function keyBundle(entries: 'none' | 'own' | 'foreign key', isStamped = false) {
    const signature = key.sign(paeOf(statement))
    const dsseEnvelope = {
      payload: statement.toString('base64'),
      payloadType: 'application/vnd.in-toto+json',
      signatures: [{ sig: signature.toString('base64') }],
    }
    const verifier = entries === 'own' ? key.pem : makeSigner().pem
    const entry = await own.entry(entryOfEnvelope('dsse', dsseEnvelope, verifier))
    return {
      mediaType: 'application/vnd.dev.sigstore.bundle.v0.3+json',
      verificationMaterial: {
        publicKey: { hint: '' },
        tlogEntries: entries === 'none' ? [] : [entry],
        ...(isStamped && { timestampVerificationData: await own.timestamp(signature) }),
      },
      dsseEnvelope,
    }
  }

  test('needs no log, and says whether it is in one', async () => {
    const trust = () => trustOf({ keys: keyed() })
    const bare = await lookAt(await keyBundle('none'), trust())
    expect(bare).toMatchObject({ result: 'verified', signer: { name: 'release' } })
    expect(bare.isLogged).toBeUndefined()
    expect(bare.signedAt).toBeUndefined()
    const logged = await lookAt(await keyBundle('own'), trust())
    expect(logged).toMatchObject({
      result: 'verified',
      isLogged: true,
      signedAt: { at: own.time.getTime(), by: 'trusted' },
    })
    // What proves nothing takes nothing away.
    const foreignEntry = await lookAt(await keyBundle('foreign key'), trust())
    expect(foreignEntry).toMatchObject({ result: 'verified' })
    expect(foreignEntry.isLogged).toBeUndefined()
    const stamped = await lookAt(await keyBundle('none', true), trust())
    expect(stamped).toMatchObject({ signedAt: { at: own.time.getTime(), by: 'trusted' } })
    expect(stamped.isLogged).toBeUndefined()
  })

  test('is no identity', async () => {
    const finding = await lookAt(await keyBundle('own'), trustOf({ keys: [] }))
    expect(finding).toMatchObject({ result: 'unknown key' })
  })

  test('counts until its end, and behind it with a trusted time before', async () => {
    const at = own.time.getTime()
    const later = at + 86_400_000
    const look = async (entries: 'none' | 'own', untilMs: number, now: number) =>
      lookAt(await keyBundle(entries), trustOf({ keys: keyed(untilMs), now }))
    expect(await look('none', later, at)).toMatchObject({ result: 'verified', validUntil: later })
    expect((await look('own', later, at)).validUntil).toBeUndefined()
    expect(await look('none', later, later)).toMatchObject({
      result: 'expired',
      reason: expect.stringContaining(`expired ${new Date(later).toISOString().slice(0, 10)}`),
    })
    expect(await look('own', later, later + 1)).toMatchObject({ result: 'verified' })
    expect(await look('own', at, later)).toMatchObject({ result: 'expired' })
  })

  test('that is revoked, by its name or its fingerprint, does not count', async () => {
    const bundle = await keyBundle('own')
    for (const it of ['release', key.fingerprint]) {
      const trust = trustOf({ keys: keyed(), revoked: { keys: [it], certificates: [] } })
      expect(await lookAt(bundle, trust)).toMatchObject({
        result: 'revoked',
        reason: 'the key release is revoked',
        signer: { key: 'release' },
      })
    }
  })

  test('signs with the hash of its curve', async () => {
    const large = makeSigner('p384')
    const signature = large.sign(image)
    const entry = await own.entry(entryOfMessage(image, signature, large.pem))
    const digest = createHash('sha384').update(image).digest('base64')
    const bundle = {
      mediaType: 'application/vnd.dev.sigstore.bundle.v0.3+json',
      verificationMaterial: { publicKey: { hint: '' }, tlogEntries: [entry] },
      messageSignature: {
        messageDigest: { algorithm: 'SHA2_384', digest },
        signature: signature.toString('base64'),
      },
    }
    const keys = [{ name: 'large', pem: large.pem }]
    expect(await lookAt(bundle, trustOf({ keys }))).toMatchObject({
      result: 'verified',
      isLogged: true,
    })
  })
})

test('without any root a certificate is listed, and not checked', async () => {
  expect(await lookAt(await bundleOf(), trustWith({}))).toMatchObject({
    result: 'not checked',
    reason: 'it is signed with a certificate, and signing.roots has no root',
    signer: { subject: workflow },
  })
})
