import { createHash } from 'node:crypto'
import { beforeAll, describe, expect, test } from 'vitest'
import type { Digest } from '../../../../src/registry/digest.ts'
import { type Candidate, examine } from '../../../../src/signing/verdicts/examine.ts'
import type { Finding } from '../../../../src/signing/verdicts/finding.ts'
import type { WantedSigner } from '../../../../src/signing/verdicts/signers.ts'
import type { Trust } from '../../../../src/signing/worker/messages.ts'
import { verifiersOf } from '../../../../src/signing/worker/verifiers.ts'
import {
  githubIssuer,
  type Json,
  keylessAnnotations,
  keylessBundle,
  keylessMessage,
  type LogKind,
  Sigstore,
  workflow,
} from '../../../support/signed/keyless.ts'
import { bundleType, payloadOf, signPredicate, statementAbout } from '../../../support/signing.ts'

const digestOf = (bytes: Uint8Array) =>
  `sha256:${createHash('sha256').update(bytes).digest('hex')}` as Digest

const image = Buffer.from('{"schemaVersion":2,"layers":[]}')
const subject = { digest: digestOf(image), bytes: image }
const statement = statementAbout(subject.digest, signPredicate)

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
beforeAll(async () => {
  own = await Sigstore.open()
  foreign = await Sigstore.open()
})

let versions = 0
function trustOf(fields: Partial<Trust> & { root?: Json } = {}): Trust {
  const { root = own.root(), ...rest } = fields
  versions += 1
  const renewedAt = own.time.getTime() - 210 * 86_400_000
  return {
    version: versions,
    keys: [],
    roots: [{ name: 'own', json: JSON.stringify(root), renewedAt }],
    stores: [],
    signers: [acme],
    revoked: { keys: [], certificates: [] },
    now: own.time.getTime(),
    ...rest,
  }
}

interface Layer {
  readonly mediaType: string
  readonly annotations: Readonly<Record<string, string>>
  readonly bytes: Buffer
}

async function look(layer: Layer, trust = trustOf()): Promise<Finding> {
  const { mediaType, annotations, bytes } = layer
  const manifest = Buffer.from(
    JSON.stringify({ layers: [{ mediaType, annotations, digest: digestOf(bytes) }] }),
  )
  const candidate: Candidate = {
    manifest: digestOf(manifest),
    via: mediaType === bundleType ? 'referrer' : 'tag',
    bytes: manifest,
    blobs: new Map([[digestOf(bytes) as string, bytes]]),
  }
  const verifiers = await verifiersOf(trust, () => true)
  return examine(subject, [candidate], verifiers).found[0]!.finding
}

const layerOf = (bundle: Json): Layer => ({
  mediaType: bundleType,
  annotations: {},
  bytes: Buffer.from(JSON.stringify(bundle)),
})
const lookAt = (bundle: Json, trust?: Trust) => look(layerOf(bundle), trust)

const bundleOf = async (kind: LogKind = 'dsse', isStamped?: boolean) =>
  keylessBundle(
    { sigstore: own, by: await own.certify(), payload: statement },
    { kind, ...(isStamped !== undefined && { isStamped }) },
  )

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
    const made = { sigstore: own, by: await own.certify(), payload: image }
    expect(await lookAt(await keylessMessage(made))).toMatchObject(proven)
  })

  test.each([false, true])('as simple signing, with a timestamp: %s', async (isStamped) => {
    const payload = payloadOf(subject.digest)
    const annotations = await keylessAnnotations(
      { sigstore: own, by: await own.certify(), payload },
      isStamped,
    )
    const mediaType = 'application/vnd.dev.cosign.simplesigning.v1+json'
    expect(await look({ mediaType, annotations, bytes: payload })).toMatchObject(proven)
  })
})

test('who is proven and not named does not count', async () => {
  const trust = trustOf({ signers: [{ ...acme, subject: 'https://github.com/other/**' }] })
  expect(await lookAt(await bundleOf(), trust)).toMatchObject({
    result: 'wrong subject',
    reason: `wrong subject: ${workflow} (${githubIssuer}) is no signer of the configuration`,
  })
})

test('another authority is unknown', async () => {
  const made = { sigstore: own, by: await own.certify({ ca: foreign.ca }), payload: statement }
  expect(await lookAt(await keylessBundle(made))).toMatchObject({ result: 'unknown authority' })
})

test('another log is unknown, and the age of the root is said', async () => {
  const made = { sigstore: own, by: await own.certify(), payload: statement }
  const bundle = await keylessBundle(made)
  const root = { ...own.root(), tlogs: foreign.root().tlogs }
  expect(await lookAt(bundle, trustOf({ root }))).toMatchObject({
    result: 'log key unknown',
    reason: 'log key unknown (root own is 210 days old)',
  })
})
