/**
 * @module Marks one repository: which tags go (`rules.ts`), which manifests are then reached by
 * nothing. A manifest stays when a tag that stays or a pin names it, when it is young, when an index
 * that stays lists it, or when it refers to a manifest that stays (signatures, SBOMs), whether by
 * its subject or by a tag that is named after it. Pure: rows in, verdicts out.
 *
 * A tag that is named after a digest is under no rule of tags. It goes only when what it points at is
 * really attached to another manifest, and that one is gone and was not held up by such tags alone.
 */

import { holdsNow } from '../../metadata/edits.ts'
import type { ManifestRow, PinRow, TagRow } from '../../metadata/schema.ts'
import type { Digest } from '../../registry/digest.ts'
import { cutoffMs } from '../../registry/grace.ts'
import { isImageManifest } from '../../registry/media-type.ts'
import type { RepositoryName } from '../../registry/name.ts'
import { isAttached, namesakeOf } from '../../registry/named-tag.ts'
import type { Tag } from '../../registry/tag.ts'
import type { ManifestItem, TagItem } from '../plan/item.ts'
import { type Edge, inOrder } from '../plan/order.ts'
import { ringMembers } from './rings.ts'
import type { Rows } from './rows.ts'
import {
  decideTags,
  isImmutable,
  policyFor,
  type RuleSet,
  type TagFacts,
  type Verdict,
} from './rules.ts'

export interface MarkOptions {
  readonly rules: RuleSet
  readonly now: number
  /** Pins of a digest. */
  readonly pinsOf: (digest: string) => readonly PinRow[]
  /** Rules with this fingerprint delete no tags in this run; undefined: all may. */
  readonly mayDelete: (approval: string) => boolean
}

/** Why each manifest stays: for `explain`. Those that go are not in it. */
export interface MarkedRepository {
  readonly verdicts: readonly Verdict[]
  readonly keptManifests: ReadonlyMap<string, string>
  /** In the order in which they are applied: see `gc/plan/order.ts`. */
  readonly items: readonly (TagItem | ManifestItem)[]
  /** Tags that a rule would delete that was never applied. */
  readonly heldTags: number
  readonly heldRules: ReadonlySet<string>
}

interface Facts {
  readonly row: ManifestRow
  readonly reliedAt: number
  readonly pulledAt: number | undefined
}

export function markRepository(
  rows: Rows,
  repository: RepositoryName,
  options: MarkOptions,
): MarkedRepository {
  return new Marking(rows, repository, options).run()
}

class Marking {
  readonly #rows: Rows
  readonly #repository: RepositoryName
  readonly #options: MarkOptions
  readonly #manifests = new Map<string, Facts>()
  readonly #tags = new Map<Tag, TagRow>()
  readonly #pulls = new Map<string, number>()
  /** By the digest that they belong to: manifests that refer to it, and tags named after it. */
  readonly #referrers = new Map<string, string[]>()
  readonly #namedTags = new Map<string, Tag[]>()
  /** What each of those tags points at. */
  readonly #targets = new Map<string, Digest>()
  /** Why each tag that is named after a digest stays. */
  readonly #keptNamed = new Map<Tag, string>()
  readonly #kept = new Map<string, string>()
  readonly #queue: string[] = []

  constructor(rows: Rows, repository: RepositoryName, options: MarkOptions) {
    this.#rows = rows
    this.#repository = repository
    this.#options = options
  }

  run(): MarkedRepository {
    this.#read()
    const { tagItems, heldTags, heldRules, verdicts } = this.#decideTags()
    for (const [digest, facts] of this.#manifests) {
      const reason = this.#ownReason(digest, facts)
      if (reason !== undefined) this.#keep(digest, reason)
    }
    this.#spread()
    const orphans = this.#followSubjects()
    return {
      verdicts: [...verdicts, ...this.#namedVerdicts(orphans)],
      keptManifests: this.#kept,
      items: [...tagItems, ...this.#ordered(orphans)],
      heldTags,
      heldRules,
    }
  }

  #read(): void {
    const prefix = [this.#repository]
    for (const { key, row } of this.#rows.below('pulls', prefix)) this.#pulls.set(key[1], row)
    for (const { key, row } of this.#rows.below('manifests', prefix)) {
      const reliedAt = Math.max(row.pushedAt, row.reliedAt ?? 0)
      this.#manifests.set(key[1], { row, reliedAt, pulledAt: this.#pulls.get(key[1]) })
      if (row.subject !== undefined) push(this.#referrers, row.subject, key[1])
    }
    for (const { key, row } of this.#rows.below('tags', prefix)) {
      this.#tags.set(key[1], row)
      const subject = namesakeOf(key[1])
      if (subject === undefined) continue
      push(this.#namedTags, subject, key[1])
      this.#targets.set(key[1], row.digest)
    }
  }

  #facts(tag: Tag, row: TagRow): TagFacts {
    const pulledAt = Math.max(this.#pulls.get(tag) ?? 0, this.#pulls.get(row.digest) ?? 0)
    return {
      tag,
      digest: row.digest,
      pushedAt: row.pushedAt,
      pulledAt: pulledAt === 0 ? undefined : pulledAt,
      expiresAfterMs: this.#manifests.get(row.digest)?.row.expiresAfterMs,
      isPinned: this.#isPinned(row.digest),
    }
  }

  #isPinned(digest: string): boolean {
    const pins = this.#options.pinsOf(digest)
    return pins.some((pin) => holdsNow(pin, this.#repository, this.#options.now))
  }

  #decideTags() {
    const { rules, now, mayDelete } = this.#options
    const facts: TagFacts[] = []
    for (const [tag, row] of this.#tags) {
      if (namesakeOf(tag) === undefined) facts.push(this.#facts(tag, row))
    }
    const verdicts = decideTags(rules, this.#repository, facts, now)
    const tagItems: TagItem[] = []
    const heldRules = new Set<string>()
    let heldTags = 0
    for (const [index, verdict] of verdicts.entries()) {
      const { tag, digest, pushedAt, pulledAt } = facts[index]!
      const { approval, rule, reason } = verdict
      const isHeld = !verdict.stays && approval !== undefined && !mayDelete(approval)
      if (isHeld) {
        heldTags += 1
        heldRules.add(approval)
      }
      if (verdict.stays || isHeld) {
        this.#keep(digest, `tag ${tag}: ${reason}`)
        continue
      }
      tagItems.push({
        kind: 'tag',
        repository: this.#repository,
        tag,
        digest,
        rule,
        reason,
        bytes: 0,
        at: pushedAt,
        ...(pulledAt === undefined ? {} : { pulledAt }),
        ...(approval === undefined ? {} : { approval }),
      })
    }
    return { tagItems, heldTags, heldRules, verdicts }
  }

  /** Why a manifest stays by itself; undefined when only others can keep it. */
  #ownReason(digest: string, { row, reliedAt, pulledAt }: Facts): string | undefined {
    const { rules, now } = this.#options
    if (this.#isPinned(digest)) return 'the digest is pinned'
    const cutoff = now - cutoffMs(rules.graceMs)
    // Equal counts as young: a grace of 0 protects nothing that is older than this millisecond.
    if (reliedAt > cutoff) return 'pushed, untagged or asked for within the grace time'
    if (row.isBuildCache === true) return undefined
    if ((pulledAt ?? 0) + rules.pullsLagMs > cutoff) return 'pulled within the grace time'
    const keepMs = policyFor(rules, this.#repository)?.policy.untaggedKeepMs
    if (keepMs !== undefined && reliedAt > now - keepMs) return 'untagged, kept by its policy'
    return undefined
  }

  #keep(digest: string, reason: string): void {
    if (this.#kept.has(digest) || !this.#manifests.has(digest)) return
    this.#kept.set(digest, reason)
    this.#queue.push(digest)
  }

  /** What stays keeps what it lists and what refers to it. */
  #spread(): void {
    while (this.#queue.length > 0) {
      const digest = this.#queue.pop()!
      for (const child of this.#childManifests(digest)) this.#keep(child, `listed by ${digest}`)
      for (const it of this.#referrers.get(digest) ?? []) this.#keep(it, `refers to ${digest}`)
      for (const tag of this.#namedTags.get(digest) ?? []) {
        this.#keepNamed(tag, `belongs to ${digest}, which stays`)
      }
    }
  }

  #keepNamed(tag: Tag, reason: string): void {
    if (this.#keptNamed.has(tag)) return
    this.#keptNamed.set(tag, reason)
    this.#keep(this.#tags.get(tag)!.digest, `tag ${tag}: ${reason}`)
  }

  /** The named tags that go, after everything was looked at that keeps what they point at. */
  #followSubjects(): TagItem[] {
    for (const [tag, subject] of this.#undecided()) {
      const reason = this.#ownReasonOfNamed(tag, subject)
      if (reason !== undefined) this.#keepNamed(tag, reason)
    }
    this.#spread()
    // What only such tags hold up, in a ring, is what their owner pushed them for.
    const undecided = this.#undecided().map(([tag]) => tag)
    const rings = ringMembers<string>(undecided, (node) => this.#heldUpBy(node))
    for (const tag of undecided) {
      if (rings.has(tag)) this.#keepNamed(tag, 'holds up itself what it is named after')
    }
    this.#spread()
    return this.#undecided().map(([tag]): TagItem => {
      const { digest, pushedAt, pulledAt } = this.#facts(tag, this.#tags.get(tag)!)
      return {
        kind: 'tag',
        repository: this.#repository,
        tag,
        digest,
        rule: 'referrer',
        reason: `attached to ${namesakeOf(tag)}, which is not here any more`,
        bytes: 0,
        at: pushedAt,
        ...(pulledAt === undefined ? {} : { pulledAt }),
      }
    })
  }

  /** Named tags that nothing keeps so far, with what they are named after. */
  #undecided(): [Tag, Digest][] {
    const found: [Tag, Digest][] = []
    for (const tags of this.#namedTags.values()) {
      for (const tag of tags) if (!this.#keptNamed.has(tag)) found.push([tag, namesakeOf(tag)!])
    }
    return found
  }

  #namedVerdicts(orphans: readonly TagItem[]): Verdict[] {
    const rule = 'referrer'
    const staying = [...this.#keptNamed].map(([tag, reason]) => ({
      tag,
      stays: true,
      rule,
      reason,
    }))
    return [...staying, ...orphans.map(({ tag, reason }) => ({ tag, stays: false, rule, reason }))]
  }

  /** Why a named tag stays whatever becomes of its subject; undefined when it follows it. */
  #ownReasonOfNamed(tag: Tag, subject: Digest): string | undefined {
    const { rules, now } = this.#options
    const { digest, pushedAt } = this.#tags.get(tag)!
    if (digest === subject) return 'is named after its own manifest'
    if (isImmutable(rules, this.#repository, tag)) return 'is immutable'
    if (pushedAt > now - cutoffMs(rules.graceMs)) return 'was pushed within the grace time'
    if (this.#isPinned(digest)) return 'points at a pinned digest'
    const wasHere = this.#manifests.has(subject) || this.#wasDeleted(subject)
    if (!wasHere) return `may belong to ${subject} of another repository`
    return this.#isAttached(digest, subject) ? undefined : `is not known to refer to ${subject}`
  }

  #isAttached(digest: Digest, subject: Digest): boolean {
    const bytes = this.#rows.get('manifestBytes', digest)
    if (bytes === undefined) return false
    return isAttached(bytes, subject, (listed) => this.#manifests.get(listed)?.row.subject)
  }

  #wasDeleted(subject: Digest): boolean {
    return this.#rows.get('deletedManifests', [this.#repository, subject]) !== undefined
  }

  /** What a tag or a manifest keeps here as long as it stays itself. */
  *#heldUpBy(node: string): Generator<string> {
    const target = this.#targets.get(node)
    if (target !== undefined) {
      yield target
      return
    }
    if (!this.#manifests.has(node) || this.#kept.has(node)) return
    yield* this.#childManifests(node)
    yield* this.#referrers.get(node) ?? []
    yield* this.#namedTags.get(node) ?? []
  }

  /** An image's children are blobs; a manifest of any other type may list manifests. */
  #childManifests(digest: string): string[] {
    if (isImageManifest(this.#manifests.get(digest)!.row.mediaType)) return []
    const children: string[] = []
    for (const { key, row } of this.#rows.below('children', [digest])) {
      if (row.kind === 'manifest') children.push(key[1])
    }
    return children
  }

  /** The manifests that go and the tags of the old scheme, each with the subject it waits for. */
  #ordered(orphans: readonly TagItem[]): (TagItem | ManifestItem)[] {
    const tags = new Map(orphans.map((item) => [item.tag, item]))
    const going = [...this.#manifests.keys()].filter((digest) => !this.#kept.has(digest))
    // No tag is a digest: a colon is in every digest.
    const nodes = new Set([...tags.keys(), ...going])
    const must: Edge<string>[] = []
    const should: Edge<string>[] = []
    const subjects = new Map<string, string>()
    const waits = (item: string, subject: string) => {
      subjects.set(item, subject)
      if (nodes.has(subject)) should.push([subject, item])
    }
    for (const { tag, digest } of orphans) {
      if (nodes.has(digest)) must.push([tag, digest])
      waits(tag, namesakeOf(tag)!)
    }
    for (const digest of going) {
      for (const child of this.#childManifests(digest)) {
        if (nodes.has(child)) must.push([digest, child])
      }
      const { subject } = this.#manifests.get(digest)!.row
      if (subject !== undefined) waits(digest, subject)
    }
    const seen = new Set<string>()
    return inOrder(nodes, must, should).map((node) => {
      seen.add(node)
      const item = tags.get(node) ?? this.#toItem(node)
      const subject = subjects.get(node)
      // One that comes later would be there in any case.
      const isBehind = subject !== undefined && nodes.has(subject) && !seen.has(subject)
      return subject === undefined || isBehind ? item : { ...item, subject }
    })
  }

  #toItem(digest: string): ManifestItem {
    const { row, reliedAt, pulledAt } = this.#manifests.get(digest)!
    const isCache = row.isBuildCache === true
    return {
      kind: 'manifest',
      repository: this.#repository,
      digest,
      rule: isCache ? 'build-cache' : row.subject === undefined ? 'untagged' : 'referrer',
      reason: isCache
        ? 'a build cache that no tag points at any more'
        : row.subject === undefined
          ? 'no tag, no index and no pin needs it'
          : `refers to ${row.subject}, which does not stay`,
      bytes: 0,
      at: reliedAt,
      ...(pulledAt === undefined ? {} : { pulledAt }),
    }
  }
}

function push<K, V>(map: Map<K, V[]>, key: K, value: V): void {
  const list = map.get(key)
  if (list === undefined) map.set(key, [value])
  else list.push(value)
}
