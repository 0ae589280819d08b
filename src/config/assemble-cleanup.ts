/**
 * @module From checked settings to the part of the `Config` that clean-up reads, and what the rules
 * say to each other: a rule that can never apply is a mistake that deletes too much or too little.
 */
import type { CleanupConfig, KeepRule, RetentionPolicy } from './config-cleanup.ts'
import type { Values } from './schema.ts'

type RawPolicy = Values['storage.retention'][number]
type RawKeep = NonNullable<RawPolicy['keep']>[number]

/** Every name. */
const EVERYTHING = ['**']

export function assembleCleanup(values: Values): CleanupConfig {
  return {
    gc: {
      enabled: values['storage.gc.enabled'],
      schedule: values['storage.gc.schedule'],
      keepRecent: values['storage.gc.keep_recent'],
      graceMs: values['storage.gc.grace'],
      undeleteWindowMs: values['storage.gc.undelete_window'],
      maxDeletePercent: values['storage.gc.max_delete_percent'],
      bytesPerSecond: values['storage.gc.bytes_per_second'],
      maxPauseMs: values['storage.gc.max_pause_ms'],
    },
    retention: values['storage.retention'].map(toPolicy),
    expiry: values['storage.expiry'].map((rule) => ({
      repositories: rule.repositories,
      tags: rule.tags ?? EVERYTHING,
      afterMs: rule.after,
      isSliding: rule.sliding ?? false,
    })),
    immutableTags: values['storage.immutable_tags'].map((rule) => ({
      repositories: rule.repositories ?? EVERYTHING,
      tags: rule.tags,
    })),
  }
}

function toPolicy(raw: RawPolicy, index: number): RetentionPolicy {
  return {
    name: raw.name ?? `retention[${index}]`,
    repositories: raw.repositories,
    isDryRun: raw.dry_run ?? false,
    keep: (raw.keep ?? []).map(toKeepRule),
    ...(raw.untagged === undefined ? {} : { untaggedKeepMs: raw.untagged.keep_for }),
  }
}

function toKeepRule(raw: RawKeep): KeepRule {
  return {
    tags: raw.tags ?? EVERYTHING,
    ...(raw.newest_pushed === undefined ? {} : { newestPushed: raw.newest_pushed }),
    ...(raw.newest_pulled === undefined ? {} : { newestPulled: raw.newest_pulled }),
    ...(raw.pushed_within === undefined ? {} : { pushedWithinMs: raw.pushed_within }),
    ...(raw.pulled_within === undefined ? {} : { pulledWithinMs: raw.pulled_within }),
    ...(raw.newest_per_minor === undefined ? {} : { newestPerMinor: raw.newest_per_minor }),
  }
}

/** What is wrong with the rules as a whole, in words, each under its key. */
export function cleanupProblems(values: Values): readonly {
  readonly key: 'storage.retention' | 'storage.immutable_tags'
  readonly message: string
}[] {
  const problems: { key: 'storage.retention'; message: string }[] = []
  const refuse = (message: string) => problems.push({ key: 'storage.retention', message })
  const names = new Set<string>()
  const seen: { readonly name: string; readonly repositories: readonly string[] }[] = []
  for (const [index, raw] of values['storage.retention'].entries()) {
    const { name, repositories } = toPolicy(raw, index)
    if (names.has(name)) refuse(`[${index}]: another policy has the name "${name}"`)
    names.add(name)
    const before = seen.find((it) => hides(it.repositories, repositories))
    if (before !== undefined) {
      refuse(`[${index}]: never applies, "${before.name}" before it takes the same repositories`)
    }
    seen.push({ name, repositories })
    const keepMs = raw.untagged?.keep_for
    if (keepMs !== undefined && keepMs < values['storage.gc.grace']) {
      refuse(`[${index}].untagged.keep_for: is shorter than storage.gc.grace, which always holds`)
    }
  }
  return problems
}

function hides(earlier: readonly string[], later: readonly string[]): boolean {
  return earlier.includes('**') || later.every((pattern) => earlier.includes(pattern))
}
