/**
 * @module A keyless signature of which one bit of one byte is another proves nothing, or exactly what it proved before
 * where that byte means nothing.
 */
import { beforeAll, expect, test } from 'vitest'
import {
  type Certified,
  type Json,
  keylessAnnotations,
  keylessBundle,
  keylessMessage,
  Sigstore,
} from '../../../../bench/sigstore/keyless.ts'
import type { Finding } from '../../../../src/signing/verdicts/finding.ts'
import type { WantedSigner } from '../../../../src/signing/verdicts/signers.ts'
import type { Trust } from '../../../../src/signing/worker/messages.ts'
import {
  bundleLayer,
  image,
  lookAtLayer,
  subject,
  trustWith,
} from '../../../support/signed/look.ts'
import { payloadOf, signPredicate, statementAbout } from '../../../support/signing.ts'

const anyone: WantedSigner = {
  kind: 'identity',
  name: 'anyone',
  root: 'own',
  issuer: '**',
  subject: '**',
  claims: {},
}

let sigstore: Sigstore
let by: Certified
let trust: Trust
beforeAll(async () => {
  sigstore = await Sigstore.open()
  by = await sigstore.certify({ claims: { 11: 'github-hosted' } })
  const json = JSON.stringify(sigstore.root())
  const now = sigstore.time.getTime()
  trust = trustWith({ roots: [{ name: 'own', json, renewedAt: now }], signers: [anyone], now })
})

/** A part of a bundle: where it is, how its bytes are written, and whether each byte of it has a meaning. */
interface Field {
  readonly name: string
  readonly at: (bundle: Json) => { readonly of: Json; readonly key: string | number }
  readonly isText?: true
  /** Bytes that do not matter may be in it: a list of algorithms, a name that is only shown. */
  readonly isLoose?: true
  /** Every such byte is changed. */
  readonly step?: number
}

const entry = (bundle: Json) => bundle.verificationMaterial.tlogEntries[0]
const stamp = (bundle: Json) =>
  bundle.verificationMaterial.timestampVerificationData.rfc3161Timestamps[0]

const OF_LOG: readonly Field[] = [
  { name: 'body', at: (it) => ({ of: entry(it), key: 'canonicalizedBody' }), step: 11 },
  { name: 'log id', at: (it) => ({ of: entry(it).logId, key: 'keyId' }) },
  { name: 'root hash', at: (it) => ({ of: entry(it).inclusionProof, key: 'rootHash' }) },
  {
    name: 'checkpoint',
    at: (it) => ({ of: entry(it).inclusionProof.checkpoint, key: 'envelope' }),
    isText: true,
    isLoose: true,
  },
  {
    name: 'tree size',
    at: (it) => ({ of: entry(it).inclusionProof, key: 'treeSize' }),
    isText: true,
  },
]
const OF_PROMISE: readonly Field[] = [
  {
    name: 'signed entry timestamp',
    at: (it) => ({ of: entry(it).inclusionPromise, key: 'signedEntryTimestamp' }),
  },
  { name: 'time', at: (it) => ({ of: entry(it), key: 'integratedTime' }), isText: true },
  { name: 'index', at: (it) => ({ of: entry(it), key: 'logIndex' }), isText: true },
]
const OF_SIGNER: readonly Field[] = [
  {
    name: 'certificate',
    at: (it) => ({ of: it.verificationMaterial.certificate, key: 'rawBytes' }),
    step: 3,
  },
]
const OF_ENVELOPE: readonly Field[] = [
  { name: 'payload', at: (it) => ({ of: it.dsseEnvelope, key: 'payload' }), step: 2 },
  { name: 'payload type', at: (it) => ({ of: it.dsseEnvelope, key: 'payloadType' }), isText: true },
  { name: 'signature', at: (it) => ({ of: it.dsseEnvelope.signatures[0], key: 'sig' }) },
]
const OF_STAMP: readonly Field[] = [
  {
    name: 'timestamp',
    at: (it) => ({ of: stamp(it), key: 'signedTimestamp' }),
    isLoose: true,
    step: 2,
  },
]
const OF_MESSAGE: readonly Field[] = [
  {
    name: 'message digest',
    at: (it) => ({ of: it.messageSignature.messageDigest, key: 'digest' }),
  },
  { name: 'message signature', at: (it) => ({ of: it.messageSignature, key: 'signature' }) },
]

async function changed(
  fields: readonly Field[],
  made: Json,
  look: (changed: Json) => Promise<Finding> = (it) => lookAtLayer(bundleLayer(it), trust),
): Promise<void> {
  const before = await look(made)
  expect(before.result).toBe('verified')
  for (const { name, at, isText = false, isLoose = false, step = 1 } of fields) {
    const encoding = isText ? 'latin1' : 'base64'
    const { of, key } = at(made)
    const bytes = Buffer.from(of[key], isText ? 'utf8' : encoding)
    for (let index = 0; index < bytes.length; index += step) {
      const copy = structuredClone(made)
      const other = Buffer.from(bytes)
      other[index]! ^= 1 << (index % 7)
      const place = at(copy)
      place.of[place.key] = other.toString(isText ? 'utf8' : encoding)
      const { manifest: _, ...after } = await look(copy)
      if (after.result !== 'verified') continue
      const { manifest: __, ...same } = before
      if (!isLoose) expect.fail(`byte ${index} of ${name} may be another`)
      expect(after, `byte ${index} of ${name}`).toEqual(same)
    }
  }
}

test('in an envelope with an entry of the first log', async () => {
  const payload = statementAbout(subject.digest, signPredicate)
  const bundle = await keylessBundle({ sigstore, by, payload })
  await changed([...OF_ENVELOPE, ...OF_SIGNER, ...OF_LOG, ...OF_PROMISE], bundle)
}, 60_000)

test('in an envelope with an entry of the second log and a timestamp', async () => {
  const payload = statementAbout(subject.digest, signPredicate)
  const bundle = await keylessBundle({ sigstore, by, payload }, { kind: 'tiled' })
  await changed([...OF_LOG, ...OF_STAMP], bundle)
}, 60_000)

test('in a signature of the manifest', async () => {
  const bundle = await keylessMessage({ sigstore, by, payload: image })
  await changed(OF_MESSAGE, bundle)
}, 60_000)

test('in annotations of simple signing', async () => {
  const payload = payloadOf(subject.digest)
  const annotations = await keylessAnnotations({ sigstore, by, payload }, true)
  const made = { annotations, payload: payload.toString('base64') }
  const mediaType = 'application/vnd.dev.cosign.simplesigning.v1+json'
  const look = (it: Json) => {
    const bytes = Buffer.from(it.payload, 'base64')
    return lookAtLayer({ mediaType, annotations: it.annotations, bytes }, trust)
  }
  const annotation = (key: string, fields: Partial<Field> = {}): Field => ({
    name: key,
    at: (it) => ({ of: it.annotations, key }),
    isText: true,
    ...fields,
  })
  const fields: readonly Field[] = [
    { name: 'payload', at: (it) => ({ of: it, key: 'payload' }) },
    annotation('dev.cosignproject.cosign/signature'),
    // Lines of PEM may end in more than one way.
    annotation('dev.sigstore.cosign/certificate', { isLoose: true, step: 5 }),
    annotation('dev.sigstore.cosign/bundle', { step: 7 }),
    // The name of its one member may be another: then there is no timestamp, and the log says the time.
    annotation('dev.sigstore.cosign/rfc3161timestamp', { isLoose: true, step: 7 }),
  ]
  await changed(fields, made, look)
}, 60_000)
