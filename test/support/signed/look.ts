/**
 * @module Looks at one layer that is attached to an image, as the thread of signatures does, with what a test trusts.
 */
import { createHash } from 'node:crypto'
import type { Json } from '../../../bench/sigstore/keyless.ts'
import type { Digest } from '../../../src/registry/digest.ts'
import { type Candidate, examine } from '../../../src/signing/verdicts/examine.ts'
import type { Finding } from '../../../src/signing/verdicts/finding.ts'
import type { Evidence } from '../../../src/signing/verdicts/policy.ts'
import type { Trust } from '../../../src/signing/worker/messages.ts'
import { verifiersOf } from '../../../src/signing/worker/verifiers.ts'

export const digestOf = (bytes: Uint8Array) =>
  `sha256:${createHash('sha256').update(bytes).digest('hex')}` as Digest

export const image = Buffer.from('{"schemaVersion":2,"layers":[]}')
export const subject = { digest: digestOf(image), bytes: image }

export interface AttachedLayer {
  readonly mediaType: string
  readonly annotations: Readonly<Record<string, string>>
  readonly bytes: Buffer
}

let versions = 0

/** What is trusted; nothing where the test says nothing. */
export function trustWith(fields: Partial<Trust>): Trust {
  versions += 1
  return {
    version: versions,
    keys: [],
    roots: [],
    stores: [],
    signers: [],
    revoked: { keys: [], certificates: [] },
    now: Date.now(),
    ...fields,
  }
}

export async function evidenceAt(
  layer: AttachedLayer,
  trust: Trust,
  { artifactType, about = subject }: { artifactType?: string; about?: typeof subject } = {},
): Promise<Evidence> {
  const { mediaType, annotations, bytes } = layer
  const layers = [{ mediaType, annotations, digest: digestOf(bytes) }]
  const manifest = Buffer.from(JSON.stringify({ artifactType, layers }))
  const candidate: Candidate = {
    manifest: digestOf(manifest),
    via: mediaType.includes('cosign') ? 'tag' : 'referrer',
    bytes: manifest,
    blobs: new Map([[digestOf(bytes) as string, bytes]]),
  }
  const { found } = examine(about, [candidate], await verifiersOf(trust, () => true))
  return found[0]!
}

export async function lookAtLayer(
  layer: AttachedLayer,
  trust: Trust,
  how: Parameters<typeof evidenceAt>[2] = {},
): Promise<Finding> {
  return (await evidenceAt(layer, trust, how)).finding
}

export const bundleLayer = (bundle: Json): AttachedLayer => ({
  mediaType: 'application/vnd.dev.sigstore.bundle.v0.3+json',
  annotations: {},
  bytes: Buffer.from(typeof bundle === 'string' ? bundle : JSON.stringify(bundle)),
})
