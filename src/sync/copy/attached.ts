/**
 * @module What is attached to manifests upstream: by the referrers API, by the tag that stands for it, by
 * tags that are named after the manifest. What the lists say is a hint: a manifest counts as a referrer when
 * its own `subject` says so.
 */
import type { SyncReferrers } from '../../config/config.ts'
import type { MetadataReader } from '../../metadata/port.ts'
import { type Digest, parseDigest } from '../../registry/digest.ts'
import { isImageIndex } from '../../registry/media-type.ts'
import type { RepositoryName } from '../../registry/name.ts'
import { fallbackTagOf, namesakeOf } from '../../registry/named-tag.ts'
import { parseTag, type Tag } from '../../registry/tag.ts'
import { UpstreamError } from '../../upstream/error.ts'
import { referrersByApi, saysNoApi } from '../../upstream/referrer-lists.ts'
import { SyncError } from '../port.ts'
import { atOnce } from './at-once.ts'
import { isWantedTag, kindOfListed, kindOfManifest, wantsAll } from './kinds.ts'
import type { AttachedWanted, CopyCounts } from './outcome.ts'
import type { SourceManifest, SourceRepository } from './source-repository.ts'
import { type CopyTree, isMissing } from './tree.ts'

/** Signatures of signatures: how far from the image. And how many are attached to one manifest. */
const depthMax = 3
const referrersMax = 1_000

/** Tags that are named after one manifest. */
const namedMax = 1_000

const subjectsAtOnce = 4
const referrersAtOnce = 4

/** Ends of the tags by which cosign attaches: asked for where the tags are not known, and the first of too many. */
const SUFFIXES = ['', '.sig', '.att', '.sbom']

export interface AttachedOptions {
  readonly tree: CopyTree
  readonly source: SourceRepository
  readonly metadata: MetadataReader
  readonly local: RepositoryName
  readonly wanted: AttachedWanted
  readonly kinds: SyncReferrers
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
  readonly #empty: AttachedTag[] = []
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

  /** Lists of which nothing is attached here: they do not come, and need no other look. */
  get empty(): readonly AttachedTag[] {
    return this.#empty
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
    const listed = new Set<Digest>()
    const tags = new Set(this.#tagsOf(subject))
    await this.#orNote(async () => {
      for (const digest of await this.#byApi(subject, tags)) listed.add(digest)
    })
    for (const tag of tags) {
      await this.#orNote(() => this.#byTag(subject, tag, listed, found))
    }
    listed.delete(subject)
    const some = this.#first([...listed], referrersMax, `referrers of ${subject}`)
    await atOnce(some, referrersAtOnce, this.#options.signal, (digest) =>
      this.#orNote(() => this.#referrer(subject, digest, found)),
    )
  }

  /** What could not be asked is a failure: none is there only where upstream says so. */
  async #byApi(subject: Digest, tags: Set<Tag>): Promise<readonly Digest[]> {
    const { source, wanted, kinds } = this.#options
    if (wanted !== 'all' || this.#hasNoApi) return []
    try {
      const { rows, cut } = await referrersByApi(source, subject, source.deadline)
      if (cut !== undefined) this.#failure ??= suspicious(`the referrers of ${subject}: ${cut}`)
      const some = rows.filter((row) => {
        const kind = kindOfListed(row)
        return kind === undefined || kinds[kind]
      })
      return some.flatMap((row) => digestsOf(row.digest))
    } catch (error) {
      const none = saysNoApi(error)
      if (none === undefined) throw error
      if (none.isOfAll) this.#hasNoApi = true
      // A page to log in looks the same: who is still known is told here whether there is such a tag.
      if (none.isElsewhere) for (const tag of usualTags(subject, [''])) tags.add(tag)
      return []
    }
  }

  /** Tags upstream that are named after it, or may be, and that are wanted by their names. */
  #tagsOf(subject: Digest): readonly Tag[] {
    const { kinds } = this.#options
    return this.#namedAfter(subject).filter((tag) => isWantedTag(tag, subject, kinds))
  }

  #namedAfter(subject: Digest): readonly Tag[] {
    const { listing, wanted } = this.#options
    if (listing === undefined) return wanted === 'all' ? usualTags(subject, SUFFIXES) : []
    const tags = this.#named.get(subject) ?? []
    if (tags.length <= namedMax) return tags
    const usual = usualTags(subject, SUFFIXES).filter((tag) => listing.has(tag))
    const all = [...new Set([...usual, ...tags])]
    return this.#first(all, namedMax, `tags that are named after ${subject}`)
  }

  /** So many of them: that there are more is said. */
  #first<T>(all: readonly T[], countMax: number, what: string): readonly T[] {
    if (all.length > countMax) {
      this.#failure ??= suspicious(`there are ${all.length} ${what}, of which ${countMax} are read`)
    }
    return all.slice(0, countMax)
  }

  async #byTag(subject: Digest, tag: Tag, listed: Set<Digest>, found: Set<Digest>): Promise<void> {
    const { tree, listing, metadata, local, wanted, kinds } = this.#options
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
    let only: ReadonlySet<Digest> | undefined
    if (isList) {
      const entries = entriesOf(it)
      const ours = await this.#oursOf(subject, entries)
      if (ours.length === 0) {
        this.#empty.push({ tag, digest: it.digest })
        return
      }
      for (const digest of ours) listed.add(digest)
      // The list keeps its bytes, whatever of it is wanted.
      if (!wantsAll(kinds)) only = new Set(ours)
    } else if (tag === fallbackTagOf(subject) && !kinds[kindOfManifest(it.manifest)]) {
      this.#empty.push({ tag, digest: it.digest })
      return
    }
    const placed = await tree.attached(it.digest, isList, only)
    if (placed.isNew) this.#options.counts.attached += 1
    this.#tags.push({ tag, digest: it.digest })
    if (!isList) found.add(it.digest)
  }

  /** Entries of a fallback tag whose own subject is this one, and that are wanted. */
  async #oursOf(subject: Digest, entries: readonly Digest[]): Promise<readonly Digest[]> {
    const ours: Digest[] = []
    const some = this.#first(entries, referrersMax, `entries of the list of ${subject}`)
    await atOnce(some, referrersAtOnce, this.#options.signal, async (it) => {
      if (await this.#isOf(subject, it)) ours.push(it)
    })
    return ours
  }

  async #referrer(subject: Digest, digest: Digest, found: Set<Digest>): Promise<void> {
    if (!(await this.#isOf(subject, digest))) return
    const placed = await this.#options.tree.attached(digest)
    if (placed.isNew) this.#options.counts.attached += 1
    found.add(digest)
  }

  /** Whether it is attached, and wanted. What is listed and gone is attached to nothing. */
  async #isOf(subject: Digest, digest: Digest): Promise<boolean> {
    const { metadata, local, tree, kinds } = this.#options
    const row = metadata.get('manifests', [local, digest])
    if (row !== undefined) return row.subject === subject
    try {
      const { manifest } = await tree.read(digest)
      return manifest.subject?.digest.digest === subject && kinds[kindOfManifest(manifest)]
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
  if (error instanceof UpstreamError) return error.kind === 'limited' || error.kind === 'auth'
  return error instanceof SyncError && error.reason === 'no-space'
}

/** The tag, or what it points at, is not there any more: nothing is attached by it. */
function isGone(error: unknown): boolean {
  return error instanceof UpstreamError && error.kind === 'missing'
}

function suspicious(message: string): SyncError {
  return new SyncError('suspicious-listing', message)
}

function usualTags(subject: Digest, suffixes: readonly string[]): Tag[] {
  return suffixes.flatMap((suffix) => {
    const tag = parseTag(`${fallbackTagOf(subject)}${suffix}`)
    return tag.ok ? [tag.value] : []
  })
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
