/**
 * @module Warming: fetches images before a client asks for them: manifests and blobs for the wanted
 * platforms, with what is attached to them (signatures, attestations, SBOMs). A few at a time, so that
 * pulls come first.
 */

import { referrersOf } from '../metadata/attached.ts'
import type { MetadataReader } from '../metadata/port.ts'
import { type Digest, parseDigest } from '../registry/digest.ts'
import { fallbackTagOf } from '../registry/named-tag.ts'
import { parseReference, type Reference } from '../registry/reference.ts'
import { parseTag, type Tag } from '../registry/tag.ts'
import { isSignedType } from '../signing/evidence.ts'
import { attestationBytesMax } from '../signing/formats/dsse.ts'
import { UpstreamError } from '../upstream/error.ts'
import type { MirrorBlobs } from './blobs.ts'
import { indexChildren } from './cooldown.ts'
import type { ManifestOutcome } from './manifests.ts'
import type { Mirror } from './mirror.ts'
import { MirroredRepository } from './mirrored-repository.ts'

/** Blobs fetched at a time. */
const blobsAtOnce = 3

/** Deepest nesting of indexes. */
const depthMax = 4

/** What is attached to what is attached: the signature of an SBOM. */
const attachedDepthMax = 2

/** Referrers of one image that are fetched, and theirs: an upstream may list ten thousand. */
const attachedMax = 100

/** Referrers that are looked through for signatures, and signatures that are fetched, of one image. */
const listedMax = 1_000
const signedMax = 32

/** Ends of the tags by which cosign attaches without the referrers API. */
const attachedSuffixes = ['.sig', '.att', '.sbom']

export interface WarmReport {
  readonly warmed: string[]
  readonly failed: { readonly reference: string; readonly message: string }[]
}

/** Fetches a manifest as a GET does, without a client that waits. */
type FetchManifest = (
  repository: MirroredRepository,
  reference: Reference,
) => Promise<ManifestOutcome>

export interface WarmingParts {
  readonly metadata: MetadataReader
  readonly blobs: MirrorBlobs
  readonly fetchManifest: FetchManifest
  /** Asks upstream now what a tag means, however fresh it is here. */
  readonly refreshTag: (repository: MirroredRepository, tag: Tag) => Promise<ManifestOutcome>
  /** Brings upstream's list of referrers of a manifest into the metadata. Throws an `UpstreamError`. */
  readonly listReferrers: (repository: MirroredRepository, subject: Digest) => Promise<unknown>
}

export class Warming {
  readonly #parts: WarmingParts

  constructor(parts: WarmingParts) {
    this.#parts = parts
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
        const fetched = await this.#image(repository, reference, platforms, 0)
        await this.#allAttached(repository, fetched)
        report.warmed.push(text)
      } catch (error) {
        report.failed.push({ reference: text, message: (error as Error).message })
      }
    }
    return report
  }

  /** Signatures and attestations of a manifest, by each of the ways in which signers attach them. Never rejects. */
  async signed(repository: MirroredRepository, subject: Digest): Promise<void> {
    const byReferrers = async () => {
      await this.#parts.listReferrers(repository, subject)
      const rows = this.#parts.metadata.entries(
        'referrers',
        [repository.name, subject],
        undefined,
        listedMax,
      )
      const signed = rows.filter(({ row }) => isSignedType(row.artifactType)).slice(0, signedMax)
      await Promise.allSettled(
        signed.map(({ key }) => this.#signature(repository, { kind: 'digest', digest: key[2] })),
      )
    }
    const byTag = async (suffix: string) => {
      const tag = parseTag(`${fallbackTagOf(subject)}${suffix}`)
      if (tag.ok) await this.#signature(repository, { kind: 'tag', tag: tag.value })
    }
    await Promise.allSettled([byReferrers(), ...['.sig', '.att'].map(byTag)])
  }

  /** A manifest of signatures with its blobs, as long as they are as short as those of signatures are. */
  async #signature(repository: MirroredRepository, reference: Reference): Promise<void> {
    const { metadata, fetchManifest, refreshTag, blobs } = this.#parts
    // Signers add to what is under the tag.
    const outcome = await (reference.kind === 'tag'
      ? refreshTag(repository, reference.tag)
      : fetchManifest(repository, reference))
    if (outcome.kind !== 'local') return
    const digest =
      reference.kind === 'digest'
        ? reference.digest
        : metadata.get('tags', [repository.name, reference.tag])?.digest
    const bytes = digest && metadata.getBytes('manifestBytes', digest)?.slice()
    if (bytes === undefined) return
    const wanted = blobsOf(bytes).slice(0, signedMax)
    const sizes = sizesOf(bytes)
    const short = wanted.filter((it) => (sizes.get(it) ?? 0) <= attestationBytesMax)
    await Promise.allSettled(short.map((it) => blobs.fetch(repository, it)))
  }

  /** Resolves to the digests of the manifests that were fetched: an image, or an index and its own. */
  async #image(
    repository: MirroredRepository,
    reference: Reference,
    platforms: readonly string[],
    depth: number,
  ): Promise<Digest[]> {
    const { metadata, blobs: fills, fetchManifest } = this.#parts
    const outcome = await fetchManifest(repository, reference)
    if (outcome.kind !== 'local') throw new Error('the store does not take it')
    const digest =
      reference.kind === 'digest'
        ? reference.digest
        : metadata.get('tags', [repository.name, reference.tag])?.digest
    const bytes = digest && metadata.getBytes('manifestBytes', digest)?.slice()
    if (digest === undefined || bytes === undefined) throw new Error('the manifest is gone again')
    const children = indexChildren(bytes)
    const fetched = [digest]
    if (children.length > 0 && depth < depthMax) {
      for (const { digest: text, platform } of children) {
        const isWanted = platforms.length === 0 || platforms.some((it) => isPlatform(platform, it))
        const child = parseDigest(text)
        if (!isWanted || !child.ok) continue
        const next = { kind: 'digest', digest: child.value } as const
        fetched.push(...(await this.#image(repository, next, platforms, depth + 1)))
      }
      return fetched
    }
    const blobs = blobsOf(bytes)
    for (let from = 0; from < blobs.length; from += blobsAtOnce) {
      const some = blobs.slice(from, from + blobsAtOnce)
      await Promise.all(some.map((it) => fills.fetch(repository, it)))
    }
    return fetched
  }

  async #allAttached(repository: MirroredRepository, fetched: readonly Digest[]): Promise<void> {
    try {
      const budget = { left: attachedMax }
      for (const digest of fetched) {
        await this.#attached(repository, digest, { depth: 0, budget })
      }
    } catch (error) {
      const { message } = error as Error
      throw new Error(`the image is here, what is attached to it is not: ${message}`, {
        cause: error,
      })
    }
  }

  /** What belongs to a manifest, by either of the two ways in which it hangs on it. */
  async #attached(
    repository: MirroredRepository,
    subject: Digest,
    { depth, budget }: { readonly depth: number; readonly budget: { left: number } },
  ): Promise<void> {
    const { metadata, listReferrers } = this.#parts
    await listReferrers(repository, subject)
    const found = new Set<Digest>()
    const referrers = (await referrersOf(metadata, repository.name, subject)).slice(0, budget.left)
    budget.left -= referrers.length
    for (const digest of referrers) {
      for (const one of await this.#image(repository, { kind: 'digest', digest }, [], 0)) {
        found.add(one)
      }
    }
    for (const suffix of attachedSuffixes) {
      const tag = parseTag(`${fallbackTagOf(subject)}${suffix}`)
      // A tag cannot be as long as a digest of SHA-512.
      if (!tag.ok) break
      try {
        const reference = { kind: 'tag', tag: tag.value } as const
        for (const one of await this.#image(repository, reference, [], 0)) found.add(one)
      } catch (error) {
        if (!isMissing(error)) throw error
      }
    }
    found.delete(subject)
    if (depth + 1 >= attachedDepthMax) return
    for (const digest of found) {
      await this.#attached(repository, digest, { depth: depth + 1, budget })
    }
  }
}

/** Upstream has said that there is none. */
function isMissing(error: unknown): boolean {
  return error instanceof UpstreamError && error.kind === 'missing'
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

/** Sizes by digest, as the manifest says them. */
function sizesOf(bytes: Uint8Array): ReadonlyMap<string, number> {
  const { config, layers } = JSON.parse(Buffer.from(bytes).toString('utf8')) as {
    config?: { digest?: string; size?: number }
    layers?: readonly { digest?: string; size?: number }[]
  }
  const all = [config, ...(layers ?? [])]
  return new Map(all.map((it) => [it?.digest ?? '', Number(it?.size ?? 0)]))
}

/** Throws an Error that says what a reference looks like. */
export function parseWarm(
  mirror: Mirror,
  text: string,
): { repository: MirroredRepository; reference: Reference } {
  const at = text.indexOf('@')
  const colon = text.lastIndexOf(':')
  const split = at !== -1 ? at : colon > text.lastIndexOf('/') ? colon : text.length
  const name = mirror.localName(text.slice(0, split))
  const reference = parseReference(text.slice(split + 1) || 'latest')
  if (name === undefined || !reference.ok) {
    throw new Error(`"${text}" is not a reference such as library/alpine:3`)
  }
  return { repository: new MirroredRepository(mirror, name), reference: reference.value }
}
