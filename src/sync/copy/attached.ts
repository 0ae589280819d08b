/**
 * @module What is attached to manifests upstream: by the referrers API, by the tag that stands for it, by
 * tags that are named after the manifest. What the lists say is a hint: a manifest counts as a referrer when
 * its own `subject` says so.
 */
import type { MetadataReader } from '../../metadata/port.ts'
import { type Digest, parseDigest } from '../../registry/digest.ts'
import { isImageIndex } from '../../registry/media-type.ts'
import type { RepositoryName } from '../../registry/name.ts'
import { fallbackTagOf, namesakeOf } from '../../registry/named-tag.ts'
import { parseTag, type Tag } from '../../registry/tag.ts'
import { UpstreamError } from '../../upstream/error.ts'
import { meansNoApi, referrersByApi } from '../../upstream/referrer-lists.ts'
import { SyncError } from '../port.ts'
import { atOnce } from './at-once.ts'
import type { AttachedWanted, CopyCounts } from './outcome.ts'
import type { SourceManifest, SourceRepository } from './source-repository.ts'
import { type CopyTree, isMissing } from './tree.ts'

/** Signatures of signatures: how far from the image. And how many are attached to one manifest. */
const depthMax = 3
const referrersMax = 1_000

const subjectsAtOnce = 4
const referrersAtOnce = 4

/** Ends of the tags by which cosign attaches, asked for where the tags are not known. */
const SUFFIXES = ['', '.sig', '.att', '.sbom']

export interface AttachedOptions {
  readonly tree: CopyTree
  readonly source: SourceRepository
  readonly metadata: MetadataReader
  readonly local: RepositoryName
  readonly wanted: AttachedWanted
  readonly listing: ReadonlyMap<Tag, Digest | undefined> | undefined
  readonly counts: CopyCounts
  readonly signal: AbortSignal
}

/** A tag that follows its subject. */
export interface AttachedTag {
  readonly tag: Tag
  readonly digest: Digest
}

export class Attached {
  readonly #options: AttachedOptions
  readonly #tags: AttachedTag[] = []
  readonly #seen = new Set<Digest>()
  readonly #named: ReadonlyMap<Digest, readonly Tag[]>
  #hasNoApi = false
  #failure: unknown

  constructor(options: AttachedOptions) {
    this.#options = options
    this.#named = byNamesake(options.listing)
  }

  /** Tags to be moved with their subject. */
  get tags(): readonly AttachedTag[] {
    return this.#tags
  }

  /** The first failure: the rest was looked for all the same. */
  get failure(): unknown {
    return this.#failure
  }

  /** Brings what is attached to these, and what is attached to that. Throws for what ends the whole copy. */
  async of(subjects: readonly Digest[]): Promise<void> {
    if (this.#options.wanted === 'none') return
    let next = subjects
    for (let depth = 0; depth < depthMax && next.length > 0; depth += 1) {
      const found = new Set<Digest>()
      const fresh = next.filter((digest) => !this.#seen.has(digest))
      for (const digest of fresh) this.#seen.add(digest)
      await atOnce(fresh, subjectsAtOnce, this.#options.signal, (subject) =>
        this.#orNote(() => this.#subject(subject, found)),
      )
      next = [...found]
    }
  }

  async #subject(subject: Digest, found: Set<Digest>): Promise<void> {
    const listed = new Set<Digest>(await this.#byApi(subject))
    for (const tag of this.#tagsOf(subject)) {
      await this.#orNote(() => this.#byTag(subject, tag, listed, found))
    }
    listed.delete(subject)
    const some = [...listed].slice(0, referrersMax)
    await atOnce(some, referrersAtOnce, this.#options.signal, (digest) =>
      this.#orNote(() => this.#referrer(subject, digest, found)),
    )
  }

  async #byApi(subject: Digest): Promise<readonly Digest[]> {
    const { source, wanted } = this.#options
    if (wanted !== 'all' || this.#hasNoApi) return []
    try {
      const rows = await referrersByApi(source, subject, source.deadline)
      return rows.slice(0, referrersMax).flatMap((row) => digestsOf(row.digest))
    } catch (error) {
      if (!meansNoApi(error)) throw error
      // 400 may be of this subject alone, 401 and 403 too.
      if (error.status === 404 || error.status === 405 || error.status === 501)
        this.#hasNoApi = true
      return []
    }
  }

  /** Tags upstream that are named after it, or may be. */
  #tagsOf(subject: Digest): readonly Tag[] {
    const { listing, wanted } = this.#options
    if (listing !== undefined) return this.#named.get(subject) ?? []
    if (wanted !== 'all') return []
    return SUFFIXES.flatMap((suffix) => {
      const tag = parseTag(`${fallbackTagOf(subject)}${suffix}`)
      return tag.ok ? [tag.value] : []
    })
  }

  async #byTag(subject: Digest, tag: Tag, listed: Set<Digest>, found: Set<Digest>): Promise<void> {
    const { tree, listing, metadata, local, wanted } = this.#options
    const here = metadata.get('tags', [local, tag])?.digest
    const known = listing?.get(tag)
    // Where upstream does not say what it points at, only a whole look asks.
    if (known === undefined && here !== undefined && wanted !== 'all') return
    const it = known === undefined ? await tree.resolve(tag) : await tree.read(known)
    if (it.digest === subject) {
      // Registries that take `sha256-<hex>` for the digest itself answer so; a listed tag is one.
      if (known !== undefined) this.#tags.push({ tag, digest: subject })
      return
    }
    const isList = tag === fallbackTagOf(subject) && isImageIndex(it.manifest.mediaType)
    if (isList) {
      const entries = entriesOf(it)
      const ours = await this.#oursOf(subject, entries)
      if (ours.length === 0) return
      for (const digest of ours) listed.add(digest)
    }
    const placed = await tree.attached(it.digest, isList)
    if (placed.isNew) this.#options.counts.attached += 1
    this.#tags.push({ tag, digest: it.digest })
    if (!isList) found.add(it.digest)
  }

  /** Entries of a fallback tag whose own subject is this one. */
  async #oursOf(subject: Digest, entries: readonly Digest[]): Promise<readonly Digest[]> {
    const ours: Digest[] = []
    await atOnce(
      entries.slice(0, referrersMax),
      referrersAtOnce,
      this.#options.signal,
      async (it) => {
        if (await this.#isOf(subject, it)) ours.push(it)
      },
    )
    return ours
  }

  async #referrer(subject: Digest, digest: Digest, found: Set<Digest>): Promise<void> {
    if (!(await this.#isOf(subject, digest))) return
    const placed = await this.#options.tree.attached(digest)
    if (placed.isNew) this.#options.counts.attached += 1
    found.add(digest)
  }

  /** What is listed and gone is attached to nothing. */
  async #isOf(subject: Digest, digest: Digest): Promise<boolean> {
    const { metadata, local, tree } = this.#options
    const row = metadata.get('manifests', [local, digest])
    if (row !== undefined) return row.subject === subject
    try {
      const { manifest } = await tree.read(digest)
      return manifest.subject?.digest.digest === subject
    } catch (error) {
      if (isMissing(error)) return false
      throw error
    }
  }

  /** One that fails does not keep the rest away; what concerns the whole source does. */
  async #orNote(work: () => Promise<void>): Promise<void> {
    try {
      await work()
    } catch (error) {
      const { signal } = this.#options
      if (signal.aborted || endsAll(error)) throw error
      if (!isGone(error)) this.#failure ??= error
    }
  }
}

/** What another request would meet as well: the copy waits, instead of moving a tag without its signatures. */
function endsAll(error: unknown): boolean {
  if (error instanceof UpstreamError) return error.kind === 'limited'
  return error instanceof SyncError && error.reason === 'no-space'
}

/** The tag, or what it points at, is not there any more: nothing is attached by it. */
function isGone(error: unknown): boolean {
  return error instanceof UpstreamError && error.kind === 'missing'
}

function entriesOf({ manifest }: SourceManifest): Digest[] {
  return manifest.children.flatMap(({ digest }) =>
    digest.kind === 'computed' ? [digest.digest] : [],
  )
}

function digestsOf(text: string): Digest[] {
  const digest = parseDigest(text)
  return digest.ok ? [digest.value] : []
}

/** One listing is of all tags of a repository, and each of them asks. */
const NAMED = new WeakMap<object, ReadonlyMap<Digest, readonly Tag[]>>()

function byNamesake(
  listing: ReadonlyMap<Tag, Digest | undefined> | undefined,
): ReadonlyMap<Digest, readonly Tag[]> {
  const known = listing && NAMED.get(listing)
  if (known !== undefined) return known
  const named = new Map<Digest, Tag[]>()
  for (const tag of listing?.keys() ?? []) {
    const subject = namesakeOf(tag)
    if (subject === undefined) continue
    const tags = named.get(subject)
    if (tags === undefined) named.set(subject, [tag])
    else tags.push(tag)
  }
  if (listing !== undefined) NAMED.set(listing, named)
  return named
}
