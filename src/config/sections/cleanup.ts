/**
 * @module Settings of clean-up: collection, retention, expiry, tags that may not move; and the part of
 * the configuration that they make. It is plain data, because it travels to the worker that makes
 * plans. A rule that can never apply deletes too much or too little, so it is refused.
 */
import { type Contradiction, type Fields, fieldsOf, setting, type ValuesOf } from '../setting.ts'
import * as type from '../values.ts'

const since = '1.0.0'

const patterns = type.list('list of patterns', type.pattern(), { lengthMin: 1 })
const count = type.integer(1, 1_000_000)
const duration = type.duration('1ms')

const keepRule = type.item({
  tags: type.optional(patterns),
  newest_pushed: type.optional(count),
  newest_pulled: type.optional(count),
  pushed_within: type.optional(duration),
  pulled_within: type.optional(duration),
  newest_per_minor: type.optional(count),
})

const retentionPolicy = type.item({
  name: type.optional(type.text({ lengthMin: 1 })),
  repositories: patterns,
  dry_run: type.withDefault(type.boolean(), false),
  keep: type.withDefault(type.list('list of rules', keepRule), []),
  untagged: type.optional(type.item({ keep_for: duration })),
})

/** Every name. */
const everything = ['**']

const expiryRule = type.item({
  repositories: patterns,
  tags: type.withDefault(patterns, everything),
  after: duration,
  sliding: type.withDefault(type.boolean(), false),
})

const tagRule = type.item({
  repositories: type.withDefault(patterns, everything),
  tags: patterns,
})

const GC = {
  'storage.gc.enabled': setting({
    type: type.boolean(),
    field: 'enabled',
    default: true,
    doc: 'Collect what nothing refers to on a schedule. `POST /admin/gc` works either way.',
    since,
  }),
  'storage.gc.schedule': setting({
    type: type.cron(),
    field: 'schedule',
    default: '0 2 * * *',
    doc: 'When the collection runs (cron, local time).',
    since,
  }),
  'storage.gc.keep_recent': setting({
    type: type.integer(0, 1_000_000),
    field: 'keepRecent',
    default: 10,
    unit: 'tags',
    doc: 'Newest tags of a repository that stay, where no retention policy fits; 0 keeps all. Removes nothing until a plan was applied once.',
    since,
  }),
  'storage.gc.grace': setting({
    type: type.duration('0s', '365d'),
    field: 'graceMs',
    default: '24h',
    doc: 'Collection keeps content that was pushed, mounted or confirmed by a HEAD within this time.',
    since,
  }),
  'storage.gc.undelete_window': setting({
    type: type.duration('0s', '365d'),
    field: 'undeleteWindowMs',
    default: '24h',
    doc: 'How long deleted tags, manifests and blobs can be restored. After it their bytes are freed.',
    since,
  }),
  'storage.gc.max_delete_percent': setting({
    type: type.integer(1, 100),
    field: 'maxDeletePercent',
    default: 50,
    unit: 'percent',
    doc: 'A scheduled run that would remove a larger share of the stored bytes stops and leaves its plan.',
    since,
  }),
  'storage.gc.bytes_per_second': setting({
    type: type.size('0', '1TiB'),
    field: 'bytesPerSecond',
    default: '0',
    doc: 'How many bytes a collection frees per second at most; 0 is no limit.',
    since,
  }),
  'storage.gc.max_pause_ms': setting({
    type: type.integer(1, 1_000),
    field: 'maxPauseMs',
    default: 4,
    unit: 'ms',
    doc: 'Longest time that a collection works before the event loop serves requests again.',
    since,
  }),
} as const

export const CLEANUP_SETTINGS = {
  ...GC,
  'storage.retention': setting({
    type: type.list('list of policies', retentionPolicy),
    default: [],
    doc: 'Which tags stay, by repository; the first policy that fits decides. See Clean-up.',
    since,
    expandsEnvironment: false,
  }),
  'storage.expiry': setting({
    type: type.list('list of rules', expiryRule),
    default: [],
    doc: 'Tags that expire some time after their push, or after their last pull. See Clean-up.',
    since,
    expandsEnvironment: false,
  }),
  'storage.immutable_tags': setting({
    type: type.list('list of rules', tagRule),
    default: [],
    doc: 'Tags that clients cannot move or delete after the push. See Clean-up.',
    since,
    expandsEnvironment: false,
  }),
} as const

export type GcConfig = Fields<typeof GC>

/** A tag stays when its name fits and any of the rules holds; without rules, when its name fits. */
export interface KeepRule {
  readonly tags: readonly string[]
  readonly newestPushed?: number
  readonly newestPulled?: number
  readonly pushedWithinMs?: number
  readonly pulledWithinMs?: number
  readonly newestPerMinor?: number
}

export interface RetentionPolicy {
  readonly name: string
  readonly repositories: readonly string[]
  /** True: plans only, whatever was applied before. */
  readonly isDryRun: boolean
  /** Empty: every tag stays. */
  readonly keep: readonly KeepRule[]
  /** How long manifests without a tag stay; undefined: for the grace time. */
  readonly untaggedKeepMs?: number
}

export interface ExpiryRule {
  readonly repositories: readonly string[]
  readonly tags: readonly string[]
  readonly afterMs: number
  /** Counted from the last pull instead of the last push. */
  readonly isSliding: boolean
}

export interface TagRule {
  readonly repositories: readonly string[]
  readonly tags: readonly string[]
}

export interface CleanupConfig {
  readonly gc: GcConfig
  readonly retention: readonly RetentionPolicy[]
  readonly expiry: readonly ExpiryRule[]
  readonly immutableTags: readonly TagRule[]
}

type Values = ValuesOf<typeof CLEANUP_SETTINGS>
type RawPolicy = Values['storage.retention'][number]
type RawKeep = RawPolicy['keep'][number]

export function cleanupConfig(values: Values): CleanupConfig {
  return {
    gc: fieldsOf(GC, values),
    retention: values['storage.retention'].map(toPolicy),
    expiry: values['storage.expiry'].map(({ repositories, tags, after, sliding }) => ({
      repositories,
      tags,
      afterMs: after,
      isSliding: sliding,
    })),
    immutableTags: values['storage.immutable_tags'],
  }
}

function toPolicy(raw: RawPolicy, index: number): RetentionPolicy {
  return {
    name: raw.name ?? `retention[${index}]`,
    repositories: raw.repositories,
    isDryRun: raw.dry_run,
    keep: raw.keep.map(toKeepRule),
    ...(raw.untagged === undefined ? {} : { untaggedKeepMs: raw.untagged.keep_for }),
  }
}

function toKeepRule(raw: RawKeep): KeepRule {
  return {
    tags: raw.tags ?? everything,
    ...(raw.newest_pushed === undefined ? {} : { newestPushed: raw.newest_pushed }),
    ...(raw.newest_pulled === undefined ? {} : { newestPulled: raw.newest_pulled }),
    ...(raw.pushed_within === undefined ? {} : { pushedWithinMs: raw.pushed_within }),
    ...(raw.pulled_within === undefined ? {} : { pulledWithinMs: raw.pulled_within }),
    ...(raw.newest_per_minor === undefined ? {} : { newestPerMinor: raw.newest_per_minor }),
  }
}

/** Policies that can never apply, or that contradict what always holds. */
export function cleanupContradictions(values: Values): readonly Contradiction[] {
  const found: Contradiction[] = []
  const refuse = (message: string) => found.push({ key: 'storage.retention', message })
  const names = new Set<string>()
  const seen: RetentionPolicy[] = []
  for (const [index, raw] of values['storage.retention'].entries()) {
    const policy = toPolicy(raw, index)
    const { name, repositories, untaggedKeepMs } = policy
    if (names.has(name)) refuse(`[${index}]: another policy has the name "${name}"`)
    names.add(name)
    const before = seen.find((it) => hides(it.repositories, repositories))
    if (before !== undefined) {
      refuse(`[${index}]: never applies, "${before.name}" before it takes the same repositories`)
    }
    seen.push(policy)
    if (untaggedKeepMs !== undefined && untaggedKeepMs < values['storage.gc.grace']) {
      refuse(`[${index}].untagged.keep_for: is shorter than storage.gc.grace, which always holds`)
    }
  }
  return found
}

function hides(earlier: readonly string[], later: readonly string[]): boolean {
  return earlier.includes('**') || later.every((pattern) => earlier.includes(pattern))
}
