/**
 * @module Warming: fetches images before anybody asks for them, manifests and blobs, for the wanted
 * platforms. A few at a time, so that pulls come first.
 */

import type { MetadataReader } from '../metadata/port.ts'
import { type Digest, parseDigest } from '../registry/digest.ts'
import type { RepositoryName } from '../registry/name.ts'
import { parseReference, type Reference } from '../registry/reference.ts'
import type { MirrorBlobs } from './blobs.ts'
import { indexChildren } from './cooldown.ts'
import type { Mirror } from './mirror.ts'
import type { ManifestOutcome } from './tags.ts'

/** Blobs fetched at a time. */
const blobsAtOnce = 3

/** Deepest nesting of indexes. */
const depthMax = 4

export interface WarmReport {
  readonly warmed: string[]
  readonly failed: { readonly reference: string; readonly message: string }[]
}

/** Fetches a manifest as a GET does, without a client that waits. */
type FetchManifest = (
  mirror: Mirror,
  repository: RepositoryName,
  reference: Reference,
) => Promise<ManifestOutcome>

export class Warming {
  readonly #metadata: MetadataReader
  readonly #blobs: MirrorBlobs
  readonly #fetchManifest: FetchManifest

  constructor(metadata: MetadataReader, blobs: MirrorBlobs, fetchManifest: FetchManifest) {
    this.#metadata = metadata
    this.#blobs = blobs
    this.#fetchManifest = fetchManifest
  }

  /** `references`: `library/alpine:3`, `team/app@sha256:…`. One that fails does not stop the rest. */
  async run(
    mirror: Mirror,
    references: readonly string[],
    platforms: readonly string[],
  ): Promise<WarmReport> {
    const report: WarmReport = { warmed: [], failed: [] }
    for (const text of references) {
      try {
        const { repository, reference } = parseWarm(mirror, text)
        await this.#image(mirror, repository, reference, platforms, 0)
        report.warmed.push(text)
      } catch (error) {
        report.failed.push({ reference: text, message: (error as Error).message })
      }
    }
    return report
  }

  async #image(
    mirror: Mirror,
    repository: RepositoryName,
    reference: Reference,
    platforms: readonly string[],
    depth: number,
  ): Promise<void> {
    const outcome = await this.#fetchManifest(mirror, repository, reference)
    if (outcome.kind !== 'local') throw new Error('the store does not take it')
    const digest =
      reference.kind === 'digest'
        ? reference.digest
        : this.#metadata.get('tags', [repository, reference.tag])?.digest
    const bytes = digest && this.#metadata.getBytes('manifestBytes', digest)?.slice()
    if (bytes === undefined) throw new Error('the manifest is gone again')
    const children = indexChildren(bytes)
    if (children.length > 0 && depth < depthMax) {
      for (const { digest: text, platform } of children) {
        const isWanted = platforms.length === 0 || platforms.some((it) => isPlatform(platform, it))
        const child = parseDigest(text)
        if (!isWanted || !child.ok) continue
        const next = { kind: 'digest', digest: child.value } as const
        await this.#image(mirror, repository, next, platforms, depth + 1)
      }
      return
    }
    const blobs = blobsOf(bytes)
    for (let from = 0; from < blobs.length; from += blobsAtOnce) {
      const some = blobs.slice(from, from + blobsAtOnce)
      await Promise.all(some.map((it) => this.#blobs.fetch(mirror, repository, it)))
    }
  }
}

function isPlatform(platform: string, wanted: string): boolean {
  return platform === wanted || platform.startsWith(`${wanted}/`)
}

function blobsOf(bytes: Uint8Array): Digest[] {
  const { config, layers } = JSON.parse(Buffer.from(bytes).toString('utf8')) as {
    config?: { digest?: string }
    layers?: readonly { digest?: string }[]
  }
  return [config, ...(layers ?? [])].flatMap((it) => {
    const digest = parseDigest(it?.digest ?? '')
    return digest.ok ? [digest.value] : []
  })
}

/** Throws an Error that says what a reference looks like. */
export function parseWarm(
  mirror: Mirror,
  text: string,
): { repository: RepositoryName; reference: Reference } {
  const at = text.indexOf('@')
  const colon = text.lastIndexOf(':')
  const split = at !== -1 ? at : colon > text.lastIndexOf('/') ? colon : text.length
  const repository = mirror.localName(text.slice(0, split))
  const reference = parseReference(text.slice(split + 1) || 'latest')
  if (repository === undefined || !reference.ok) {
    throw new Error(`"${text}" is not a reference such as library/alpine:3`)
  }
  return { repository, reference: reference.value }
}
