import { createHash } from 'node:crypto'
import { expect, test } from 'vitest'
import type { Digest } from '../../../src/registry/digest.ts'
import { envelopeType } from '../../../src/signing/formats/dsse.ts'
import { type PublicKey, readPublicKey } from '../../../src/signing/keys/public-key.ts'
import { type Candidate, examine } from '../../../src/signing/verdicts/examine.ts'
import type { Rule } from '../../../src/signing/verdicts/policy.ts'
import {
  attestation,
  bundle,
  bundleType,
  envelope,
  type Layer,
  makeSigner,
  messageBundle,
  payloadOf,
  type Signer,
  type SignerKind,
  signedBundle,
  signPredicate,
  simpleSigning,
  statementAbout,
  verifiers,
} from '../../support/signing.ts'

const digestOf = (bytes: Uint8Array) =>
  `sha256:${createHash('sha256').update(bytes).digest('hex')}` as Digest

const image = Buffer.from('{"schemaVersion":2,"layers":[]}')
const subject = { digest: digestOf(image), bytes: image }
const other = digestOf(Buffer.from('another image'))
const slsa = 'https://slsa.dev/provenance/v1'

function keyOf(name: string, { pem }: Signer): PublicKey {
  const read = readPublicKey(name, pem)
  if (!read.ok) throw new Error(read.error)
  return read.value
}

function candidate(
  via: Candidate['via'],
  layers: readonly Layer[],
  fields: Readonly<Record<string, unknown>> = {},
): Candidate {
  const bytes = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      config: { mediaType: 'application/vnd.oci.image.config.v1+json' },
      layers: layers.map((layer) => ({
        mediaType: layer.mediaType,
        digest: digestOf(layer.bytes),
        annotations: layer.annotations,
      })),
      ...fields,
    }),
  )
  const blobs = new Map(layers.map((layer) => [digestOf(layer.bytes) as string, layer.bytes]))
  return { manifest: digestOf(bytes), via, bytes, blobs }
}

const release = makeSigner()
const keys = [keyOf('other', makeSigner('ed25519')), keyOf('release', release)]

const look = (one: Candidate, known: readonly PublicKey[] = keys) =>
  examine(subject, [one], verifiers({ keys: known })).found.map(({ finding }) => finding)

const KINDS: readonly SignerKind[] = ['p256', 'p384', 'p521', 'rsa', 'ed25519']

test.each(KINDS)('a key of type %s verifies a signature of each scheme', (kind) => {
  const signer = makeSigner(kind)
  const known = [...keys, keyOf('team', signer)]
  const schemes: readonly (readonly [string, Candidate])[] = [
    ['cosign-tag', candidate('tag', [simpleSigning(signer, subject.digest)])],
    ['cosign-referrer', candidate('referrer', [simpleSigning(signer, subject.digest)])],
    ['bundle', candidate('referrer', [signedBundle(signer, subject.digest)])],
    ['bundle', candidate('referrer', [messageBundle(signer, image)])],
  ]
  for (const [scheme, one] of schemes) {
    const [finding] = look(one, known)
    expect(finding).toMatchObject({
      scheme,
      manifest: one.manifest,
      isSignature: true,
      result: 'verified',
      signer: { key: 'team', fingerprint: signer.fingerprint },
    })
    expect(look(one)[0]).toMatchObject({ isSignature: true, result: 'unknown key' })
    expect(look(one, [])[0]?.reason).toBe('no key is configured in signing.keys')
  }
})

test('an attestation is none of a signature, whoever signed it', () => {
  const made = [
    candidate('tag', [attestation(release, subject.digest, slsa)]),
    candidate('referrer', [signedBundle(release, subject.digest, slsa)]),
  ]
  for (const one of made) {
    expect(look(one)).toEqual([
      expect.objectContaining({ isSignature: false, predicateType: slsa, result: 'verified' }),
    ])
  }
  const [signed] = look(candidate('tag', [attestation(release, subject.digest, signPredicate)]))
  expect(signed).toMatchObject({ isSignature: true, result: 'verified' })
})

test('a signature of another image is reported with what it is about', () => {
  const made = [
    candidate('tag', [simpleSigning(release, other)]),
    candidate('tag', [attestation(release, other, slsa)]),
    candidate('referrer', [signedBundle(release, other)]),
    candidate('referrer', [messageBundle(release, Buffer.from('another image'))]),
  ]
  for (const one of made) {
    expect(look(one)[0]).toMatchObject({
      result: 'digest mismatch',
      reason: `it is about ${other}`,
    })
  }
})

test('all layers of one manifest are judged, each for itself', () => {
  const stranger = makeSigner()
  const layers = [
    simpleSigning(stranger, subject.digest),
    simpleSigning(release, subject.digest),
    simpleSigning(release, other),
  ]
  expect(look(candidate('tag', layers)).map(({ result }) => result)).toEqual([
    'unknown key',
    'verified',
    'digest mismatch',
  ])
})

test('a key counts whatever certificate lies beside its signature', () => {
  const { mediaType, annotations, bytes } = simpleSigning(release, subject.digest)
  const beside = { ...annotations, 'dev.sigstore.cosign/certificate': 'nonsense' }
  const one = candidate('tag', [{ mediaType, annotations: beside, bytes }])
  expect(look(one)[0]).toMatchObject({ result: 'verified' })
  expect(look(one, [])[0]).toMatchObject({ result: 'unreadable' })
})

test('a hint that means another key changes nothing', () => {
  const dsseEnvelope = envelope(release, statementAbout(subject.digest, signPredicate))
  const misleading = bundle({ ...release, fingerprint: makeSigner().fingerprint }, { dsseEnvelope })
  expect(look(candidate('referrer', [misleading]))[0]).toMatchObject({ result: 'verified' })
})

test('bundles of all versions are read, and no other', () => {
  const dsseEnvelope = envelope(release, statementAbout(subject.digest, signPredicate))
  const resultOf = (mediaType: string) =>
    look(candidate('referrer', [bundle(release, { dsseEnvelope }, mediaType)]))[0]?.result
  for (const version of ['0.1', '0.2', '0.3']) {
    const type = `application/vnd.dev.sigstore.bundle+json;version=${version}`
    expect(resultOf(type), type).toBe('verified')
  }
  expect(resultOf(bundleType)).toBe('verified')
  expect(resultOf('application/vnd.dev.sigstore.bundle+json;version=0.9')).toBe('unreadable')
})

test('what is not signed, or not understood, is listed with why', () => {
  const statement = statementAbout(subject.digest, 'https://spdx.dev/Document')
  const layer = (mediaType: string, bytes: Uint8Array = Buffer.from('{}')): Layer => ({
    mediaType,
    annotations: {},
    bytes: Buffer.from(bytes),
  })
  const cases: readonly (readonly [Candidate, object])[] = [
    [
      candidate('tag', [layer('text/spdx+json')]),
      { scheme: 'cosign-tag', isSignature: false, result: 'unsigned' },
    ],
    [
      candidate('member', [layer('application/vnd.in-toto+json', statement)]),
      { scheme: 'buildkit', result: 'unsigned', predicateType: 'https://spdx.dev/Document' },
    ],
    [
      candidate('referrer', [layer('application/vnd.cncf.helm.chart.provenance.v1.prov')]),
      { scheme: 'openpgp', result: 'not checked' },
    ],
    [
      candidate('referrer', [layer('application/octet-stream')], { artifactType: 'a/b' }),
      { scheme: 'unknown', result: 'not checked', reason: expect.stringContaining('a/b') },
    ],
    [
      candidate('referrer', [layer('application/jose+json')], {
        artifactType: 'application/vnd.cncf.notary.signature',
      }),
      { scheme: 'notation', isSignature: true, result: 'unreadable' },
    ],
    [
      { ...candidate('tag', [simpleSigning(release, subject.digest)]), blobs: new Map() },
      { result: 'unreadable', reason: expect.stringContaining('not in this registry') },
    ],
    [
      { ...candidate('referrer', []), bytes: undefined },
      { scheme: 'unknown', result: 'unreadable' },
    ],
  ]
  for (const [one, expected] of cases)
    expect(look(one)).toEqual([expect.objectContaining(expected)])
})

test('envelopes that say less than they must are refused', () => {
  const good = envelope(release, statementAbout(subject.digest, signPredicate))
  const text = envelope(release, statementAbout(subject.digest, signPredicate), 'text/plain')
  const two = { ...good, signatures: [...good.signatures, ...good.signatures] }
  const none = { ...good, signatures: [] }
  const empty = { ...good, signatures: [{ sig: '' }] }
  const loose = { ...good, payload: `${good.payload} ` }
  const noStatement = envelope(release, Buffer.from('{"_type":"other"}'))
  const noPredicate = envelope(
    release,
    Buffer.from('{"_type":"https://in-toto.io/Statement/v1","subject":[]}'),
  )
  for (const dsseEnvelope of [text, two, none, empty, loose, noStatement, noPredicate]) {
    const [finding] = look(candidate('referrer', [bundle(release, { dsseEnvelope })]))
    expect(finding?.result, JSON.stringify(dsseEnvelope).slice(0, 80)).toBe('unreadable')
  }
  const both = bundle(release, { dsseEnvelope: good, messageSignature: {} })
  expect(look(candidate('referrer', [both]))[0]?.result).toBe('unreadable')
})

test('no single byte of a signature can be changed', () => {
  const layers = [
    simpleSigning(release, subject.digest),
    signedBundle(release, subject.digest),
    messageBundle(release, image),
    attestation(release, subject.digest, slsa),
  ]
  for (const layer of layers) {
    // A hint of the key is covered by no signature: without it all keys are tried.
    const text = layer.bytes.toString()
    const hint = /"publicKey":\{"hint":"[^"]*"\}/.exec(text)
    const from = hint?.index ?? text.length
    const to = from + (hint?.[0].length ?? 0)
    for (let at = 0; at < layer.bytes.length; at += 1) {
      if (at >= from && at < to) continue
      const bytes = Buffer.from(layer.bytes)
      bytes[at]! ^= 1
      const [finding] = look(candidate('referrer', [{ ...layer, bytes }]))
      expect(finding?.result, `byte ${at} of ${layer.mediaType}`).not.toBe('verified')
    }
  }
  const signed = simpleSigning(release, subject.digest)
  const name = 'dev.cosignproject.cosign/signature'
  const signature = Buffer.from(signed.annotations[name]!)
  for (let at = 0; at < signature.length; at += 1) {
    const changed = Buffer.from(signature)
    changed[at]! ^= 1
    const one = candidate('tag', [
      { ...signed, annotations: { [name]: changed.toString('latin1') } },
    ])
    expect(look(one)[0]?.result, `byte ${at}`).not.toBe('verified')
  }
})

test('a payload of another type is no signature of an image', () => {
  const payload = Buffer.from(
    payloadOf(subject.digest).toString().replace('cosign container image', 'something'),
  )
  const one = candidate('tag', [simpleSigning(release, subject.digest, payload)])
  expect(look(one)[0]).toMatchObject({ result: 'unreadable' })
})

test('too many findings, or too little time, end the examination and say so', () => {
  const many = candidate(
    'tag',
    Array.from({ length: 300 }, () => simpleSigning(release, subject.digest)),
  )
  const all = examine(subject, [many], verifiers({ keys }))
  expect(all).toMatchObject({ isTruncated: true })
  expect(all.found).toHaveLength(256)
  // Asked before each try of a key, and before a finding counts.
  let turns = 0
  const some = examine(subject, [many], verifiers({ keys, hasTime: () => ++turns <= 6 }))
  expect(some.found.map(({ finding }) => finding.result)).toEqual(['verified', 'verified'])
  expect(some.isTruncated).toBe(true)
})

/** A statement with lists in it that hold nothing: two values each. */
const statementWith = (lists: number, about: string = subject.digest): Layer => {
  const empty = Array.from({ length: lists }, () => [])
  const text = statementAbout(about, slsa).toString()
  const bytes = JSON.stringify({ ...JSON.parse(text), predicate: empty })
  return { mediaType: 'application/vnd.in-toto+json', annotations: {}, bytes: Buffer.from(bytes) }
}

const ruleOf = (isSigned: boolean): Rule => ({
  kind: 'attestation',
  types: [slsa],
  by: [{ name: 'release', kind: 'key', key: 'release' }] as never,
  isSigned,
  where: [{ path: ['predicate'], test: { kind: 'exists', value: true } }],
  maxAgeMs: undefined,
})

test('what is attached to one image has a bounded number of values, and what is short still counts', () => {
  const long = [400_000, 300_000, 200_000].map((lists) =>
    candidate('referrer', [statementWith(lists)]),
  )
  const signature = candidate('tag', [simpleSigning(release, subject.digest)])
  const { found, isTruncated } = examine(subject, [...long, signature], verifiers({ keys }))
  expect(found.map(({ finding }) => finding.result)).toEqual([
    'unsigned',
    'unsigned',
    'unreadable',
    'verified',
  ])
  expect(found[2]?.finding.reason).toMatch(/more values than are looked at for one image/)
  expect(isTruncated).toBe(true)
  expect(examine(subject, [...long.slice(1), signature], verifiers({ keys }))).toMatchObject({
    isTruncated: false,
  })
})

test('envelopes and bundles take from the same values', () => {
  const payload = statementWith(400_000).bytes
  const layers = [
    { mediaType: envelopeType, bytes: Buffer.from(JSON.stringify(envelope(release, payload))) },
    bundle(release, { dsseEnvelope: envelope(release, payload) }),
  ]
  const all = layers.map((layer) => candidate('referrer', [{ annotations: {}, ...layer }]))
  for (const order of [all, all.toReversed()]) {
    const { found, isTruncated } = examine(subject, order, verifiers({ keys }))
    expect(found.map(({ finding }) => finding.result)).toEqual(['verified', 'unreadable'])
    expect(isTruncated).toBe(true)
  }
})

test('a statement is kept only where a rule looks into it', () => {
  const [stranger, signed] = [makeSigner(), release].map((signer) =>
    candidate('tag', [attestation(signer, subject.digest, slsa)]),
  )
  const strange = candidate('referrer', [signedBundle(release, other, slsa)])
  const bare = candidate('referrer', [statementWith(1)])
  const all = [stranger!, signed!, strange, bare]
  const kept = (rules: readonly Rule[]) =>
    examine(subject, all, verifiers({ keys }), rules).found.map(
      ({ statement }) => statement !== undefined,
    )
  expect(kept([])).toEqual([false, false, false, false])
  expect(kept([ruleOf(true)])).toEqual([false, true, false, false])
  expect(kept([ruleOf(false)])).toEqual([true, true, false, true])
  expect(kept([{ ...ruleOf(true), where: [] } as Rule])).toEqual([false, false, false, false])
  expect(kept([{ ...ruleOf(false), types: ['https://other'] } as Rule])).toEqual([
    false,
    false,
    false,
    false,
  ])
})
