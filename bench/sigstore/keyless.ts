/**
 * @module A sigstore of the benches' and tests' own, without any network: an authority, its certificate log, logs of both versions
 * and an authority of timestamps (@sigstore/mock), and bundles made with them.
 */
import { createHash, generateKeyPairSync, type KeyObject, sign } from 'node:crypto'
import {
  type CA,
  type CTLog,
  initializeCA,
  initializeCTLog,
  initializeTLog,
  initializeTSA,
  type TLog,
  type TSA,
} from './mock.ts'

type Curve = 'P-256' | 'P-384'

const pairOf = (namedCurve: Curve = 'P-256') => generateKeyPairSync('ec', { namedCurve })

export const workflow = 'https://github.com/acme/app/.github/workflows/release.yml@refs/tags/v1'
export const githubIssuer = 'https://token.actions.githubusercontent.com'

const b64 = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64')

/** JSON that a test may change before it is read. */
// biome-ignore lint/suspicious/noExplicitAny: a test changes any field of it
export type Json = any

export interface Certified {
  readonly der: Buffer
  readonly privateKey: KeyObject
  readonly hash: string
}

/** Its authorities begin now. */
const timeFromNow = (laterMs: number) =>
  new Date(Math.ceil(Date.now() / 1000) * 1000 + 60_000 + laterMs)

export class Sigstore {
  /** The time of all that is signed. */
  readonly time: Date
  readonly ca: CA
  readonly ctlog: CTLog
  readonly tlog: TLog
  readonly tsa: TSA
  readonly #url: string

  private constructor(
    parts: Pick<Sigstore, 'time' | 'ca' | 'ctlog' | 'tlog' | 'tsa'>,
    url: string,
  ) {
    this.time = parts.time
    this.ca = parts.ca
    this.ctlog = parts.ctlog
    this.tlog = parts.tlog
    this.tsa = parts.tsa
    this.#url = url
  }

  /** `time`: of all that it signs; else `laterMs` behind a minute from now. */
  static async open({ laterMs = 0, time = timeFromNow(laterMs) } = {}): Promise<Sigstore> {
    const url = 'https://rekor.example'
    const ctlog = await initializeCTLog(pairOf(), time)
    return new Sigstore(
      {
        time,
        ctlog,
        ca: await initializeCA(pairOf('P-384'), ctlog, time),
        tlog: await initializeTLog(url, pairOf(), time),
        tsa: await initializeTSA(pairOf('P-384'), time),
      },
      url,
    )
  }

  /** The trusted root, as a test may change it. */
  root(): Json {
    const start = new Date(this.time.getTime() - 3_600_000).toISOString()
    const log = (publicKey: Uint8Array, baseUrl: string) => ({
      baseUrl,
      hashAlgorithm: 'SHA2_256',
      publicKey: {
        rawBytes: b64(publicKey),
        keyDetails: 'PKIX_ECDSA_P256_SHA_256',
        validFor: { start },
      },
      logId: { keyId: b64(createHash('sha256').update(publicKey).digest()) },
    })
    const authority = (...certificates: readonly ArrayBufferView[]) => ({
      subject: { organization: 'sigstore.mock', commonName: 'sigstore' },
      uri: 'https://fulcio.example',
      certChain: { certificates: certificates.map((one) => ({ rawBytes: b64(bytesOf(one)) })) },
      validFor: { start },
    })
    return {
      mediaType: 'application/vnd.dev.sigstore.trustedroot+json;version=0.1',
      tlogs: [log(this.tlog.publicKey, this.#url)],
      certificateAuthorities: [authority(this.ca.rootCertificate)],
      ctlogs: [log(this.ctlog.publicKey, 'https://ctfe.example')],
      timestampAuthorities: [authority(this.tsa.intCertificate, this.tsa.rootCertificate)],
    }
  }

  /** A certificate of ten minutes. `claims` by the last number of their OID. */
  async certify({
    subject = workflow,
    issuer = githubIssuer,
    claims = {},
    ca = this.ca,
  }: {
    subject?: string
    issuer?: string
    claims?: Readonly<Record<string, string>>
    ca?: CA
  } = {}): Promise<Certified> {
    const { publicKey, privateKey } = pairOf()
    const arc = '1.3.6.1.4.1.57264.1.'
    const extensions = Object.entries({ 8: issuer, ...claims }).map(([number, value]) => ({
      oid: arc + number,
      value,
    }))
    const spki = publicKey.export({ type: 'spki', format: 'der' })
    const der = await ca.issueCertificate({ publicKey: spki, subjectAltName: subject, extensions })
    return { der: Buffer.from(bytesOf(der)), privateKey, hash: 'sha256' }
  }

  async timestamp(signature: Buffer): Promise<Json> {
    const artifactHash = createHash('sha256').update(signature).digest()
    const made = await this.tsa.timestamp({
      artifactHash,
      hashAlgorithmOID: '2.16.840.1.101.3.4.2.1',
      nonce: 1234,
      policyOID: '1.3.6.1.4.1.57264.2',
      certReq: false,
    })
    return { rfc3161Timestamps: [{ signedTimestamp: b64(bytesOf(made)) }] }
  }

  /** An entry of the first version of the log. */
  async entry(proposed: object): Promise<Json> {
    const [made] = Object.values(await this.tlog.log(proposed)) as Json[]
    const { kind, apiVersion } = proposed as { kind: string; apiVersion: string }
    const { inclusionProof, signedEntryTimestamp } = made.verification
    return {
      logIndex: String(made.logIndex),
      logId: { keyId: Buffer.from(made.logID, 'hex').toString('base64') },
      kindVersion: { kind, version: apiVersion },
      integratedTime: String(made.integratedTime),
      inclusionPromise: { signedEntryTimestamp },
      inclusionProof: {
        logIndex: String(inclusionProof.logIndex),
        rootHash: Buffer.from(inclusionProof.rootHash, 'hex').toString('base64'),
        treeSize: String(inclusionProof.treeSize),
        hashes: [],
        checkpoint: { envelope: inclusionProof.checkpoint },
      },
      canonicalizedBody: made.body,
    }
  }

  /** An entry of the second version, as its tiles prove it: no promise and no time. */
  async tiledEntry(spec: object): Promise<Json> {
    const proposed = { apiVersion: '0.0.2', kind: 'hashedrekord', spec: { hashedRekordV002: spec } }
    const { inclusionPromise: _, ...entry } = await this.entry(proposed)
    return { ...entry, integratedTime: '0', logIndex: '0' }
  }
}

function bytesOf(view: ArrayBufferView): Uint8Array {
  return new Uint8Array(view.buffer, view.byteOffset, view.byteLength)
}

export function pemOf(der: Buffer, label = 'CERTIFICATE'): string {
  const lines = der.toString('base64').match(/.{1,64}/g) ?? []
  return [`-----BEGIN ${label}-----`, ...lines, `-----END ${label}-----`, ''].join('\n')
}

export function paeOf(payload: Buffer, type = 'application/vnd.in-toto+json'): Buffer {
  return Buffer.concat([Buffer.from(`DSSEv1 ${type.length} ${type} ${payload.length} `), payload])
}

export interface MadeBy {
  readonly sigstore: Sigstore
  readonly by: Certified
  readonly payload: Buffer
}

/** How a log remembers an envelope: one of the kinds of entries that were in use. */
export type LogKind = 'dsse' | 'intoto' | 'hashedrekord' | 'tiled'

const sha = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest()

/** The entry of an envelope. `verifier` in PEM. */
export function entryOfEnvelope(kind: Exclude<LogKind, 'tiled'>, envelope: Json, verifier: string) {
  const payload = Buffer.from(envelope.payload, 'base64')
  const [{ sig }] = envelope.signatures
  const pem = Buffer.from(verifier).toString('base64')
  if (kind === 'hashedrekord')
    return entryOfMessage(paeOf(payload), Buffer.from(sig, 'base64'), verifier)
  const payloadHash = { algorithm: 'sha256', value: sha(payload).toString('hex') }
  if (kind === 'dsse') {
    const signatures = [{ signature: sig, verifier: pem }]
    return { apiVersion: '0.0.1', kind, spec: { payloadHash, signatures } }
  }
  const signatures = [{ publicKey: pem, sig: Buffer.from(sig).toString('base64') }]
  const content = { envelope: { payloadType: envelope.payloadType, signatures }, payloadHash }
  return { apiVersion: '0.0.2', kind, spec: { content } }
}

export function entryOfMessage(signed: Uint8Array, signature: Buffer, verifier: string) {
  return {
    apiVersion: '0.0.1',
    kind: 'hashedrekord',
    spec: {
      data: { hash: { algorithm: 'sha256', value: sha(signed).toString('hex') } },
      signature: {
        content: signature.toString('base64'),
        publicKey: { content: Buffer.from(verifier).toString('base64') },
      },
    },
  }
}

/** A bundle with an envelope, as GitHub and cosign 3 attach it. */
export async function keylessBundle(
  { sigstore, by, payload }: MadeBy,
  { kind = 'dsse', isStamped = kind === 'tiled' }: { kind?: LogKind; isStamped?: boolean } = {},
): Promise<Json> {
  const payloadType = 'application/vnd.in-toto+json'
  const signature = sign(by.hash, paeOf(payload), by.privateKey)
  const signatures = [{ sig: signature.toString('base64') }]
  const dsseEnvelope = { payload: payload.toString('base64'), payloadType, signatures }
  const entry =
    kind === 'tiled'
      ? await sigstore.tiledEntry({
          data: { algorithm: 'SHA2_256', digest: sha(paeOf(payload)).toString('base64') },
          signature: {
            content: signature.toString('base64'),
            verifier: {
              keyDetails: 'PKIX_ECDSA_P256_SHA_256',
              x509Certificate: { rawBytes: by.der.toString('base64') },
            },
          },
        })
      : await sigstore.entry(entryOfEnvelope(kind, dsseEnvelope, pemOf(by.der)))
  return {
    mediaType: 'application/vnd.dev.sigstore.bundle.v0.3+json',
    verificationMaterial: {
      certificate: { rawBytes: by.der.toString('base64') },
      tlogEntries: [entry],
      ...(isStamped && { timestampVerificationData: await sigstore.timestamp(signature) }),
    },
    dsseEnvelope,
  }
}

/** A bundle over the bytes of a manifest. */
export async function keylessMessage({ sigstore, by, payload }: MadeBy): Promise<Json> {
  const signature = sign(by.hash, payload, by.privateKey)
  const entry = await sigstore.entry(entryOfMessage(payload, signature, pemOf(by.der)))
  return {
    mediaType: 'application/vnd.dev.sigstore.bundle.v0.3+json',
    verificationMaterial: {
      certificate: { rawBytes: by.der.toString('base64') },
      tlogEntries: [entry],
    },
    messageSignature: {
      messageDigest: { algorithm: 'SHA2_256', digest: sha(payload).toString('base64') },
      signature: signature.toString('base64'),
    },
  }
}

/** Annotations of a layer of simple signing, as cosign 2 writes them; the payload is the blob. */
export async function keylessAnnotations(
  { sigstore, by, payload }: MadeBy,
  isStamped = false,
): Promise<Record<string, string>> {
  const signature = sign(by.hash, payload, by.privateKey)
  const entry = await sigstore.entry(entryOfMessage(payload, signature, pemOf(by.der)))
  const stamps = await sigstore.timestamp(signature)
  return {
    'dev.cosignproject.cosign/signature': signature.toString('base64'),
    'dev.sigstore.cosign/certificate': pemOf(by.der),
    'dev.sigstore.cosign/chain': '',
    'dev.sigstore.cosign/bundle': oldBundleOf(entry),
    ...(isStamped && {
      'dev.sigstore.cosign/rfc3161timestamp': JSON.stringify({
        SignedRFC3161Timestamp: stamps.rfc3161Timestamps[0].signedTimestamp,
      }),
    }),
  }
}

/** The entry of a log as cosign wrote it into an annotation. */
export function oldBundleOf(entry: Json): string {
  return JSON.stringify({
    SignedEntryTimestamp: entry.inclusionPromise.signedEntryTimestamp,
    Payload: {
      body: entry.canonicalizedBody,
      integratedTime: Number(entry.integratedTime),
      logIndex: Number(entry.logIndex),
      logID: Buffer.from(entry.logId.keyId, 'base64').toString('hex'),
    },
  })
}
