/**
 * @module Marks one repository: which tags go (`rules.ts`), which manifests are then reached by
 * nothing. A manifest stays when a tag that stays or a pin names it, when it is young, when an index
 * that stays lists it, or when it refers to a manifest that stays (signatures, SBOMs), whether by
 * its subject or by cosign's tag scheme. Pure: rows in, verdicts out.
 */

import { cutoffMs } from '../distribution/reliance.ts'
import { parseDigest } from '../registry/digest.ts'
import { isImageIndex } from '../registry/media-type.ts'
import type { RepositoryName } from '../registry/name.ts'
import type { Tag } from '../registry/tag.ts'
import { holdsNow } from '../storage/removal.ts'
import type { ManifestRow, TagRow } from '../storage/schema.ts'
import type { PinRow } from '../storage/schema-cleanup.ts'
import type { ManifestItem, TagItem } from './plan-item.ts'
import { type Edge, inOrder } from './plan-order.ts'
import type { Rows } from './rows.ts'
import { decideTags, policyFor, type RuleSet, type TagFacts, type Verdict } from './rules.ts'

/** `sha256-<hex>.sig` and its like: what cosign and old clients tag referrers with. */
const REFERRER_TAG = /^(sha256|sha512|blake3)-([a-f0-9]{64,128})(?:\.[a-z]+)?$/

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
  /** In the order in which they are applied: see `plan-order.ts`. */
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
  /** Referrers by the digest that they refer to: manifests, and tags of the old scheme. */
  readonly #referrers = new Map<string, string[]>()
  readonly #referrerTags = new Map<string, Tag[]>()
  readonly #kept = new Map<string, string>()
  readonly #queue: string[] = []

  constructor(rows: Rows, repository: RepositoryName, options: MarkOptions) {
    this.#rows = rows
    this.#repository = repository
    this.#options = options
  }

  run(): MarkedRepository {
    this.#read()
    const { tagItems, heldTags, heldRules, verdicts, goingTags } = this.#decideTags()
    for (const [digest, facts] of this.#manifests) {
      const reason = this.#ownReason(digest, facts)
      if (reason !== undefined) this.#keep(digest, reason)
    }
    this.#spread()
    const orphans = this.#followSubjects(goingTags)
    for (const { tag, reason } of orphans) {
      verdicts.push({ tag, stays: false, rule: 'referrer', reason })
    }
    return {
      verdicts,
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
      const subject = subjectOfTag(key[1])
      if (subject !== undefined) push(this.#referrerTags, subject, key[1])
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
      if (subjectOfTag(tag) === undefined) facts.push(this.#facts(tag, row))
    }
    const verdicts = decideTags(rules, this.#repository, facts, now)
    const tagItems: TagItem[] = []
    const goingTags = new Set<string>()
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
      goingTags.add(tag)
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
    return { tagItems, heldTags, heldRules, verdicts, goingTags }
  }

  /** Why a manifest stays by itself; undefined when only others can keep it. */
  #ownReason(digest: string, { row, reliedAt, pulledAt }: Facts): string | undefined {
    const { rules, now } = this.#options
    if (this.#isPinned(digest)) return 'the digest is pinned'
    const cutoff = now - cutoffMs(rules.graceMs)
    // Equal counts as young: a grace of 0 protects nothing that is older than this millisecond.
    if (reliedAt > cutoff) return 'pushed, untagged or asked for within the grace time'
    if (row.isBuildCache === true) return undefined
    if ((pulledAt ?? 0) > cutoff) return 'pulled within the grace time'
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
      const { row } = this.#manifests.get(digest)!
      if (isImageIndex(row.mediaType)) {
        for (const child of this.#childManifests(digest)) this.#keep(child, `listed by ${digest}`)
      }
      for (const it of this.#referrers.get(digest) ?? []) this.#keep(it, `refers to ${digest}`)
      for (const tag of this.#referrerTags.get(digest) ?? []) {
        this.#keep(this.#tags.get(tag)!.digest, `tag ${tag} refers to ${digest}`)
      }
    }
  }

  /**
   * Referrer tags whose subject goes now, or was deleted here before, go too. One whose subject was
   * never here may sign an image of another repository, and stays.
   */
  #followSubjects(goingTags: Set<string>): TagItem[] {
    const items: TagItem[] = []
    const following: [string, readonly Tag[]][] = []
    for (const [subject, tags] of this.#referrerTags) {
      if (this.#kept.has(subject)) continue
      if (this.#manifests.has(subject) || this.#wasDeleted(subject)) following.push([subject, tags])
      else for (const tag of tags) this.#keep(this.#tags.get(tag)!.digest, `tag ${tag} stays`)
    }
    this.#spread()
    for (const [subject, tags] of following) {
      // By now something that stays may keep it after all.
      if (this.#kept.has(subject)) continue
      for (const tag of tags) {
        const { digest, pushedAt, pulledAt } = this.#facts(tag, this.#tags.get(tag)!)
        const isYoung = pushedAt > this.#options.now - cutoffMs(this.#options.rules.graceMs)
        if (isYoung || this.#isPinned(digest)) {
          this.#keep(digest, `tag ${tag} is young or pinned`)
          continue
        }
        goingTags.add(tag)
        items.push({
          kind: 'tag',
          repository: this.#repository,
          tag,
          digest,
          rule: 'referrer',
          reason: `refers to ${subject}, which is not here any more`,
          bytes: 0,
          at: pushedAt,
          ...(pulledAt === undefined ? {} : { pulledAt }),
        })
      }
    }
    this.#spread()
    return items
  }

  #wasDeleted(subject: string): boolean {
    const digest = parseDigest(subject)
    if (!digest.ok) return false
    return this.#rows.get('deletedManifests', [this.#repository, digest.value]) !== undefined
  }

  #childManifests(digest: string): string[] {
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
      waits(tag, subjectOfTag(tag)!)
    }
    for (const digest of going) {
      for (const child of this.#goingChildren(digest, nodes)) must.push([digest, child])
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

  #goingChildren(digest: string, going: ReadonlySet<string>): string[] {
    if (!isImageIndex(this.#manifests.get(digest)!.row.mediaType)) return []
    return this.#childManifests(digest).filter((child) => going.has(child))
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

/** The digest that a tag of the old referrers scheme names. */
export function subjectOfTag(tag: string): string | undefined {
  const match = REFERRER_TAG.exec(tag)
  return match === null ? undefined : `${match[1]}:${match[2]}`
}

function push<K, V>(map: Map<K, V[]>, key: K, value: V): void {
  const list = map.get(key)
  if (list === undefined) map.set(key, [value])
  else list.push(value)
}
