/** @module What the registry itself has signed about an image, as a client reads and verifies it. */
import { createPublicKey, verify } from 'node:crypto'
import { expect } from 'vitest'
import { until } from './in-process.ts'
import type { RegistryClient } from './registry-client.ts'

export interface Statement {
  readonly subject: readonly { readonly name: string; readonly digest: Record<string, string> }[]
  readonly predicateType: string
  readonly predicate: Readonly<Record<string, unknown>>
}

interface Listed {
  readonly digest: string
  readonly annotations?: Readonly<Record<string, string>>
}

const mark = 'org.fastregistry.statement'

/** The public keys that everybody may have, the one of now first. */
export async function publishedKeys(client: RegistryClient): Promise<readonly string[]> {
  const { status, text } = await client.get('/.well-known/fastregistry-signing.pem')
  expect(status).toBe(200)
  return text.match(/-----BEGIN PUBLIC KEY-----[^-]+-----END PUBLIC KEY-----\n/g) ?? []
}

/** Manifests of what the registry has said of an image. */
export async function ownReferrers(client: RegistryClient, repository: string, digest: string) {
  const { json } = await client.get(`/v2/${repository}/referrers/${digest}`)
  const { manifests } = json as { manifests: readonly Listed[] }
  return manifests.filter(({ annotations = {} }) => mark in annotations)
}

/** All that the registry has said of an image: each is verified with one of its published keys. */
export async function ownStatements(
  client: RegistryClient,
  repository: string,
  digest: string,
): Promise<readonly Statement[]> {
  const keys = await publishedKeys(client)
  const found: Statement[] = []
  for (const { digest: referrer } of await ownReferrers(client, repository, digest)) {
    const manifest = await client.get(`/v2/${repository}/manifests/${referrer}`)
    const { layers, subject } = manifest.json as {
      layers: readonly [{ digest: string }]
      subject: { digest: string }
    }
    expect(subject.digest).toBe(digest)
    const { json } = await client.get(`/v2/${repository}/blobs/${layers[0].digest}`)
    const { dsseEnvelope: envelope } = json as {
      dsseEnvelope: { payload: string; payloadType: string; signatures: { sig: string }[] }
    }
    const payload = Buffer.from(envelope.payload, 'base64')
    const head = `DSSEv1 ${envelope.payloadType.length} ${envelope.payloadType} ${payload.length} `
    const signed = Buffer.concat([Buffer.from(head), payload])
    const signature = Buffer.from(envelope.signatures[0]!.sig, 'base64')
    const isSigned = keys.some((key) => verify('sha256', signed, createPublicKey(key), signature))
    expect(isSigned).toBe(true)
    found.push(JSON.parse(payload.toString()) as Statement)
  }
  return found
}

/** What is signed comes behind the answers: so many, once they are there. */
export async function waitForStatements(
  client: RegistryClient,
  repository: string,
  digest: string,
  count: number,
): Promise<readonly Statement[]> {
  await until(async () => (await ownReferrers(client, repository, digest)).length >= count)
  return ownStatements(client, repository, digest)
}

/** The counters of what was to be signed, by `kind result`. */
export async function attestations(client: RegistryClient): Promise<Record<string, number>> {
  const { text } = await client.get('/metrics')
  const rows = text.matchAll(
    /^fastregistry_signing_attestations_total\{kind="(\w+)",result="(\w+)"\} (\d+)$/gm,
  )
  return Object.fromEntries(
    [...rows].map(([, kind, result, n]) => [`${kind} ${result}`, Number(n)]),
  )
}

/** Waits until a counter has reached a number. */
export function untilCounted(client: RegistryClient, what: string, count: number): Promise<void> {
  return until(async () => ((await attestations(client))[what] ?? 0) >= count)
}
