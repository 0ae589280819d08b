/**
 * @module The content of one tag, or of what is attached to it: blobs and children first, then what lists
 * them. Depth first, so that few manifests are in memory, and each is in the repository, whole, before
 * anything names it. A plan goes the same way and writes nothing.
 */
import type { ManifestReader } from '../../distribution/manifest-reader.ts'
import type { ManifestPushes } from '../../distribution/push-manifest.ts'
import type { MetadataStore } from '../../metadata/port.ts'
import type { ManifestChild } from '../../registry/descriptor.ts'
import type { Digest } from '../../registry/digest.ts'
import type { Manifest } from '../../registry/manifest.ts'
import { isImageIndex, isImageManifest } from '../../registry/media-type.ts'
import type { RepositoryName } from '../../registry/name.ts'
import type { Tag } from '../../registry/tag.ts'
import { BoundedMap } from '../../runtime/bounded-map.ts'
import { UpstreamError } from '../../upstream/error.ts'
import { SyncError, type SyncReason } from '../port.ts'
import { atOnce } from './at-once.ts'
import type { BlobCopy } from './blobs.ts'
import type { CopyCounts } from './outcome.ts'
import { chosenChildren, isChosen, isPlatform, platformOfConfig } from './platforms.ts'
import type { SourceManifest, SourceRepository } from './source-repository.ts'

/** Entries of one index, manifests of one tag with all that is attached, and how deep indexes nest. */
const entriesMax = 1_000
const manifestsMax = 4_000
const depthMax = 4

/** Of one manifest at a time. */
const childrenAtOnce = 4
const blobsAtOnce = 16

/** Manifests that are kept between a look and their placing, and the largest of them, bytes. */
const seenMax = 64
const seenBytesMax = 256 * 1024

/** Largest image config that is read for its platform, bytes. */
const configBytesMax = 1024 * 1024

const IMAGE_CONFIGS: ReadonlySet<string> = new Set([
  'application/vnd.oci.image.config.v1+json',
  'application/vnd.docker.container.image.v1+json',
])

export interface TreeParts {
  readonly metadata: MetadataStore
  /** With a policy that accepts an index before all of its children. */
  readonly pushes: ManifestPushes
  readonly readManifest: ManifestReader['read']
  readonly readBlob: (digest: Digest, bytesMax: number) => Promise<Uint8Array | undefined>
  readonly by: string
}

export interface TreeOptions {
  readonly source: SourceRepository
  readonly blobs: BlobCopy
  readonly local: RepositoryName
  readonly platforms: readonly string[]
  /** Upstream says itself that it lacks children. */
  readonly isSparse: boolean
  readonly counts: CopyCounts
  readonly signal: AbortSignal
  readonly isPlan: boolean
  /** Bytes of the blobs of a manifest that are not here, before the first of them comes. */
  readonly onPlanned?: (bytes: number) => void
}

/** A manifest that is here, with all that it needs. */
export interface Placed {
  readonly digest: Digest
  readonly manifest: Manifest
  /** It was not in the repository before. */
  readonly isNew: boolean
}

/** How an image is walked. */
interface Walk {
  /** All of it, whatever platforms are wanted: it is attached to something. */
  readonly isAttached: boolean
  /** What an index may lack. */
  readonly isSparse: boolean
  readonly depth: number
  /** Entries of this index that are wanted; undefined: all. */
  readonly only?: ReadonlySet<string> | undefined
}

export class CopyTree {
  readonly #parts: TreeParts
  readonly #options: TreeOptions
  readonly #placed = new Map<Digest, Promise<Placed>>()
  #lacking = 0
  /** Read, and to be placed perhaps. */
  readonly #seen = new BoundedMap<Digest, SourceManifest>(seenMax)

  constructor(parts: TreeParts, options: TreeOptions) {
    this.#parts = parts
    this.#options = options
  }

  /** Every manifest that is in place: what has to be there still when the tag moves. */
  async placed(): Promise<readonly Placed[]> {
    const all = await Promise.allSettled(this.#placed.values())
    return all.flatMap((it) => (it.status === 'fulfilled' ? [it.value] : []))
  }

  /** Manifests of the image that upstream lacks, and said so. */
  get lacking(): number {
    return this.#lacking
  }

  /** The image or index of the tag. Throws `OtherPlatform` for an image that is of none that is wanted. */
  image(digest: Digest): Promise<Placed> {
    const { isSparse } = this.#options
    return this.#place(digest, { isAttached: false, isSparse, depth: 0 })
  }

  /**
   * What is attached to something, whole. `isList`: an index of which anything may be missing; `only`: what is
   * wanted of it.
   */
  attached(digest: Digest, isList = false, only?: ReadonlySet<Digest>): Promise<Placed> {
    return this.#place(digest, { isAttached: true, isSparse: isList, depth: 0, only })
  }

  /** Reads a manifest, from here or from upstream, without placing it: that may follow. */
  async read(digest: Digest): Promise<SourceManifest> {
    const known = this.#seen.get(digest) ?? (await this.#held(digest))
    if (known !== undefined) return known
    return this.#see(await this.#options.source.manifest({ kind: 'digest', digest }))
  }

  /** What a tag means upstream now. */
  async resolve(tag: Tag): Promise<SourceManifest> {
    return this.#see(await this.#options.source.manifest({ kind: 'tag', tag }))
  }

  #see(it: SourceManifest): SourceManifest {
    if (it.bytes.byteLength <= seenBytesMax) this.#seen.set(it.digest, it)
    return it
  }

  #place(digest: Digest, walk: Walk): Promise<Placed> {
    const known = this.#placed.get(digest)
    if (known !== undefined) return known
    if (this.#placed.size >= manifestsMax) throw tooLarge(`more than ${manifestsMax} manifests`)
    const placing = this.#placeNew(digest, walk)
    placing.catch(() => undefined)
    this.#placed.set(digest, placing)
    return placing
  }

  async #placeNew(digest: Digest, walk: Walk): Promise<Placed> {
    const { signal, local, isPlan, counts } = this.#options
    signal.throwIfAborted()
    if (walk.depth > depthMax) throw tooLarge(`indexes nest deeper than ${depthMax}`)
    const found = await this.read(digest)
    this.#seen.delete(digest)
    const { manifest, bytes } = found
    const { children } = manifest
    if (isIndexLike(manifest) && children.length > entriesMax) {
      throw tooLarge(`an index of more than ${entriesMax} entries`)
    }
    if (walk.depth === 0 && !walk.isAttached) await this.#requirePlatform(manifest)
    await this.#children(manifest, bytes, walk)
    const isNew = this.#parts.metadata.get('manifests', [local, digest]) === undefined
    if (isNew) counts.manifests += 1
    if (isNew && !isPlan) await this.#store(found)
    return { digest, manifest, isNew }
  }

  /** What this repository has of it. */
  async #held(digest: Digest): Promise<SourceManifest | undefined> {
    const { metadata, readManifest } = this.#parts
    const row = metadata.get('manifests', [this.#options.local, digest])
    if (row === undefined) return undefined
    await metadata.pageIn('manifestBytes', digest)
    const bytes = metadata.getBytes('manifestBytes', digest)?.slice()
    if (bytes === undefined) return undefined
    const text = { bytes, contentType: row.mediaType, claimed: digest }
    return { bytes, ...(await readManifest(text)) }
  }

  async #children(manifest: Manifest, bytes: Uint8Array, walk: Walk): Promise<void> {
    const { platforms, signal } = this.#options
    const isSubset = !walk.isAttached && platforms.length > 0 && isImageIndex(manifest.mediaType)
    const chosen = isSubset ? await chosenChildren(bytes, platforms) : walk.only
    const needed = manifest.children.filter(({ isRequired }) => isRequired)
    const blobs = needed.filter(({ kind }) => kind !== 'manifest')
    const manifests = needed.filter(({ kind }) => kind === 'manifest')
    const wanted = manifests.filter(({ digest }) => isChosen(chosen, digest.digest))
    if (isSubset && wanted.length === 0) throw new OtherPlatform()
    this.#planned(blobs)
    await atOnce(blobs, blobsAtOnce, signal, (child) => this.#blob(child))
    let missing = 0
    await atOnce(wanted, childrenAtOnce, signal, async (child) => {
      if (!(await this.#child(child, walk))) missing += 1
    })
    if (!walk.isAttached) this.#lacking += missing
    if (missing > 0 && missing === wanted.length) throw childMissing('every manifest of the index')
  }

  /** A digest that a manifest names twice comes once. */
  #planned(blobs: readonly ManifestChild[]): void {
    const { onPlanned, blobs: copies } = this.#options
    if (onPlanned === undefined) return
    const sizes = new Map<string, number>()
    for (const { digest, sizeBytes = 0 } of blobs) {
      const isWanted = digest.kind === 'computed' && !copies.isHere(digest.digest)
      if (isWanted) sizes.set(digest.digest, sizeBytes)
    }
    let bytes = 0
    for (const size of sizes.values()) bytes += size
    onPlanned(bytes)
  }

  /** False: upstream lacks it, and may. */
  async #child(child: ManifestChild, walk: Walk): Promise<boolean> {
    if (child.digest.kind !== 'computed' && walk.isSparse) return false
    const digest = ownDigest(child, 'child-missing')
    const { isAttached, isSparse, depth } = walk
    const place = () => this.#place(digest, { isAttached, isSparse, depth: depth + 1 })
    const copy = () => this.#blob(child)
    // Caches list layers in an index: what the type leaves open is asked for in the likelier order.
    const isManifest = isImageManifest(child.mediaType) || isImageIndex(child.mediaType)
    const isLikely = isManifest || /manifest|index/.test(child.mediaType)
    const ways = isManifest ? [place] : isLikely ? [place, copy] : [copy, place]
    for (const way of ways) {
      try {
        await way()
        return true
      } catch (error) {
        if (!isMissing(error)) throw error
      }
    }
    if (walk.isSparse) return false
    throw childMissing(digest)
  }

  async #blob(child: ManifestChild): Promise<void> {
    const digest = ownDigest(child)
    try {
      await this.#options.blobs.copy(digest, child.sizeBytes ?? 0)
    } catch (error) {
      if (child.kind !== 'manifest' && isMissing(error)) throw childMissing(digest)
      throw error
    }
  }

  async #store({ digest, bytes, manifest }: SourceManifest): Promise<void> {
    const { pushes, by } = this.#parts
    this.#options.signal.throwIfAborted()
    await pushes.push({
      repository: this.#options.local,
      reference: { kind: 'digest', digest },
      tags: [],
      expected: undefined,
      contentType: manifest.mediaType,
      bytes,
      condition: { ifMatch: undefined, ifNoneMatch: undefined },
      by,
    })
  }

  /** A single image says in its config what it is for; what says nothing is for all. */
  async #requirePlatform({ children }: Manifest): Promise<void> {
    const { platforms, source } = this.#options
    const config = children.find(({ kind }) => kind === 'config')
    if (platforms.length === 0 || config === undefined) return
    if (!IMAGE_CONFIGS.has(config.mediaType) || (config.sizeBytes ?? 0) > configBytesMax) return
    const digest = ownDigest(config)
    const held = this.#options.blobs.isHere(digest)
      ? await this.#parts.readBlob(digest, configBytesMax)
      : undefined
    const platform = platformOfConfig(held ?? (await source.smallBlob(digest, configBytesMax)))
    if (platform === undefined || platforms.some((it) => isPlatform(platform, it))) return
    throw new OtherPlatform()
  }
}

/** Nothing of the tag is for a platform that is wanted. */
export class OtherPlatform extends Error {
  override readonly message = 'it is for other platforms'
}

function isIndexLike({ children }: Manifest): boolean {
  return children.some(({ kind }) => kind === 'manifest')
}

function ownDigest({ digest }: ManifestChild, reason: SyncReason = 'bad-manifest'): Digest {
  if (digest.kind === 'computed') return digest.digest
  throw new SyncError(reason, `${digest.digest} has an algorithm that is not known here`)
}

export function isMissing(error: unknown): boolean {
  if (error instanceof SyncError) return error.reason === 'child-missing'
  return error instanceof UpstreamError && error.kind === 'missing'
}

function childMissing(what: string): SyncError {
  return new SyncError('child-missing', `upstream does not have ${what}`, true)
}

function tooLarge(message: string): SyncError {
  return new SyncError('too-large', message)
}
