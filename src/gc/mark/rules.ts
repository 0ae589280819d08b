/**
 * @module Which tags of one repository stay and which go, and why: pins, immutable tags, expiry,
 * retention policies, the newest N. Pure and deterministic: rows in, one verdict a tag out.
 *
 * Who decides, first match wins:
 *   pinned digest, immutable tag ................ stays
 *   kept by a rule of the policy that fits ...... stays
 *   expired by its labels or by an expiry rule .. goes
 *   pushed within the grace time ................ stays
 *   a policy fits and no rule kept it ........... goes
 *   no policy fits: one of the newest N ......... stays, else goes
 */
import type { CleanupConfig, ExpiryRule, KeepRule, RetentionPolicy } from '../../config/config.ts'
import { anyPattern, type Pattern } from '../../registry/pattern.ts'
import { compareVersions, parseVersion } from '../../registry/semver.ts'

export interface TagFacts {
  readonly tag: string
  readonly digest: string
  readonly pushedAt: number
  /** Of the tag or its digest, the later. */
  readonly pulledAt: number | undefined
  /** By the labels of the image. */
  readonly expiresAfterMs: number | undefined
  readonly isPinned: boolean
}

export interface Verdict {
  readonly tag: string
  readonly stays: boolean
  /** The rule that decided: `keep_recent`, the name of a policy, `label`, `pin` … */
  readonly rule: string
  /** One sentence for people. */
  readonly reason: string
  /** When it will go by itself, as far as that can be told; ms since the epoch. */
  readonly goesAt?: number
  /** The rule removes nothing before an operator has applied it once: its fingerprint. */
  readonly approval?: string
}

interface CompiledPolicy {
  readonly policy: RetentionPolicy
  readonly fits: Pattern
  readonly keep: readonly {
    readonly rule: KeepRule
    readonly fits: Pattern
    readonly label: string
  }[]
  readonly approval: string
}

export interface RuleSet {
  readonly keepRecent: number
  readonly graceMs: number
  /** By how much the stored time of a pull may be older than the last pull, ms. */
  readonly pullsLagMs: number
  readonly policies: readonly CompiledPolicy[]
  readonly expiry: readonly {
    readonly rule: ExpiryRule
    readonly repositories: Pattern
    readonly tags: Pattern
  }[]
  readonly immutable: readonly { readonly repositories: Pattern; readonly tags: Pattern }[]
}

/** `pullsLagMs`: see `RuleSet`. */
export function compileRules(config: CleanupConfig, pullsLagMs = 0): RuleSet {
  return {
    pullsLagMs,
    keepRecent: config.gc.keepRecent,
    graceMs: config.gc.graceMs,
    policies: config.retention.map((policy) => ({
      policy,
      fits: anyPattern(policy.repositories),
      keep: policy.keep.map((rule, index) => ({
        rule,
        fits: anyPattern(rule.tags),
        label: `${policy.name}.keep[${index}]`,
      })),
      approval: fingerprint('policy', policy),
    })),
    expiry: config.expiry.map((rule) => ({
      rule,
      repositories: anyPattern(rule.repositories),
      tags: anyPattern(rule.tags),
    })),
    immutable: config.immutableTags.map(({ repositories, tags }) => ({
      repositories: anyPattern(repositories),
      tags: anyPattern(tags),
    })),
  }
}

/** A rule that was changed is a new rule: what it would delete was never looked at. */
function fingerprint(kind: string, content: unknown): string {
  return `${kind}:${JSON.stringify(content)}`
}

export function keepRecentApproval(keepRecent: number): string {
  return fingerprint('keep_recent', keepRecent)
}

/** Whether a rule of `immutable_tags` fits the tag. */
export function isImmutable({ immutable }: RuleSet, repository: string, tag: string): boolean {
  return immutable.some((rule) => rule.repositories(repository) && rule.tags(tag))
}

/** The policy that decides about a repository; undefined: the newest N. */
export function policyFor(rules: RuleSet, repository: string): CompiledPolicy | undefined {
  return rules.policies.find(({ fits }) => fits(repository))
}

/** One verdict a tag, in the order of the tags. */
export function decideTags(
  rules: RuleSet,
  repository: string,
  stored: readonly TagFacts[],
  now: number,
): Verdict[] {
  const tags = rules.pullsLagMs === 0 ? stored : stored.map((it) => withLag(it, rules.pullsLagMs))
  const compiled = policyFor(rules, repository)
  const kept = compiled === undefined ? new Map<string, string>() : keptBy(compiled, tags, now)
  const recent = compiled === undefined ? newest(tags, rules.keepRecent, byPush) : undefined
  const immutable = rules.immutable.filter((rule) => rule.repositories(repository))
  const expiry = rules.expiry.filter((rule) => rule.repositories(repository))
  return tags.map((facts): Verdict => {
    const { tag, pushedAt } = facts
    if (facts.isPinned) return stays(tag, 'pin', 'its digest is pinned')
    if (immutable.some((rule) => rule.tags(tag))) {
      return stays(tag, 'immutable_tags', 'the tag is immutable')
    }
    const keeper = kept.get(tag)
    if (keeper !== undefined) return stays(tag, keeper, `kept by ${keeper}`)
    const end = expiryOf(facts, expiry)
    if (end !== undefined && end.at <= now) {
      return { tag, stays: false, rule: end.rule, reason: `expired ${isoTime(end.at)}` }
    }
    const until = end === undefined ? {} : { goesAt: end.at }
    if (compiled !== undefined && compiled.keep.length === 0) {
      const { name } = compiled.policy
      return { ...stays(tag, name, `policy ${name} keeps every tag`), ...until }
    }
    if (recent?.has(tag) === true || (compiled === undefined && rules.keepRecent === 0)) {
      const which = rules.keepRecent === 0 ? 'every tag' : `one of the newest ${rules.keepRecent}`
      return { ...stays(tag, 'keep_recent', `${which} stays`), ...until }
    }
    if (pushedAt > now - rules.graceMs) {
      return {
        ...stays(tag, 'grace', 'pushed within the grace time'),
        goesAt: pushedAt + rules.graceMs,
      }
    }
    if (compiled !== undefined) {
      const { name } = compiled.policy
      const reason = `no rule of policy ${name} keeps it`
      return { tag, stays: false, rule: name, reason, approval: compiled.approval }
    }
    const reason = `not one of the newest ${rules.keepRecent} tags`
    const approval = keepRecentApproval(rules.keepRecent)
    return { tag, stays: false, rule: 'keep_recent', reason, approval }
  })
}

function stays(tag: string, rule: string, reason: string): Verdict {
  return { tag, stays: true, rule, reason }
}

/** A pull may have come so much later than the one that is written down. */
function withLag(facts: TagFacts, lagMs: number): TagFacts {
  return facts.pulledAt === undefined ? facts : { ...facts, pulledAt: facts.pulledAt + lagMs }
}

/** Label of the first rule of the policy that keeps each tag. */
function keptBy(
  { keep }: CompiledPolicy,
  tags: readonly TagFacts[],
  now: number,
): Map<string, string> {
  const kept = new Map<string, string>()
  for (const { rule, fits, label } of keep) {
    const fitting = tags.filter(({ tag }) => fits(tag))
    for (const tag of keptByRule(rule, fitting, now)) if (!kept.has(tag)) kept.set(tag, label)
  }
  return kept
}

function keptByRule(rule: KeepRule, tags: readonly TagFacts[], now: number): Iterable<string> {
  const { newestPushed, newestPulled, pushedWithinMs, pulledWithinMs, newestPerMinor } = rule
  const conditions = [newestPushed, newestPulled, pushedWithinMs, pulledWithinMs, newestPerMinor]
  if (conditions.every((condition) => condition === undefined)) return tags.map(({ tag }) => tag)
  const kept = new Set<string>()
  const keep = (found: Iterable<string>) => {
    for (const tag of found) kept.add(tag)
  }
  if (newestPushed !== undefined) keep(newest(tags, newestPushed, byPush))
  if (newestPulled !== undefined) keep(newest(tags.filter(wasPulled), newestPulled, byPull))
  if (pushedWithinMs !== undefined) {
    keep(tags.filter(({ pushedAt }) => pushedAt > now - pushedWithinMs).map(({ tag }) => tag))
  }
  if (pulledWithinMs !== undefined) {
    const isRecent = ({ pulledAt }: TagFacts) => (pulledAt ?? 0) > now - pulledWithinMs
    keep(tags.filter(isRecent).map(({ tag }) => tag))
  }
  if (newestPerMinor !== undefined) keep(newestOfEachMinor(tags, newestPerMinor))
  return kept
}

function newestOfEachMinor(tags: readonly TagFacts[], count: number): string[] {
  const groups = new Map<
    string,
    { tag: string; version: NonNullable<ReturnType<typeof parseVersion>> }[]
  >()
  for (const { tag } of tags) {
    const version = parseVersion(tag)
    if (version === undefined) continue
    const group = groups.get(version.minor)
    if (group === undefined) groups.set(version.minor, [{ tag, version }])
    else group.push({ tag, version })
  }
  return [...groups.values()].flatMap((group) =>
    group
      .sort((a, b) => compareVersions(b.version, a.version) || inOrder(a.tag, b.tag))
      .slice(0, count)
      .map(({ tag }) => tag),
  )
}

type Order = (one: TagFacts, other: TagFacts) => number

const inOrder = (one: string, other: string) => (one < other ? -1 : one > other ? 1 : 0)
/** Newest first; equal times by name, so that the same rows always give the same plan. */
const byPush: Order = (one, other) => other.pushedAt - one.pushedAt || inOrder(one.tag, other.tag)
const byPull: Order = (one, other) =>
  (other.pulledAt ?? 0) - (one.pulledAt ?? 0) || inOrder(one.tag, other.tag)
const wasPulled = ({ pulledAt }: TagFacts) => pulledAt !== undefined

function newest(tags: readonly TagFacts[], count: number, order: Order): Set<string> {
  return new Set(
    [...tags]
      .sort(order)
      .slice(0, count)
      .map(({ tag }) => tag),
  )
}

/** The earliest end that anything gives the tag. */
function expiryOf(
  { tag, pushedAt, pulledAt, expiresAfterMs }: TagFacts,
  rules: RuleSet['expiry'],
): { readonly at: number; readonly rule: string } | undefined {
  const ends = rules
    .filter((it) => it.tags(tag))
    .map(({ rule }) => {
      const from = rule.isSliding ? Math.max(pushedAt, pulledAt ?? 0) : pushedAt
      return { at: from + rule.afterMs, rule: 'expiry' }
    })
  if (expiresAfterMs !== undefined) ends.push({ at: pushedAt + expiresAfterMs, rule: 'label' })
  return ends.sort((one, other) => one.at - other.at)[0]
}

function isoTime(at: number): string {
  return new Date(Math.min(at, 8.64e15)).toISOString()
}
