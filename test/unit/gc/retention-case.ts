/**
 * @module One case of retention as data, and what it means: times are in days before now,
 * `v1 pushed:3 pulled:1`.
 */
import type { CleanupConfig, ExpiryRule, KeepRule, TagRule } from '../../../src/config/config.ts'

export interface Case {
  readonly name: string
  readonly repository?: string
  readonly keepRecent?: number
  readonly graceDays?: number
  readonly policies?: readonly {
    readonly name: string
    readonly repositories: readonly string[]
    readonly keep: readonly KeepRule[]
    readonly untaggedKeepMs?: number
  }[]
  readonly expiry?: readonly ExpiryRule[]
  readonly immutableTags?: readonly TagRule[]
  readonly tags: readonly string[]
  /** Manifests that no tag points at, by a name of the case's own. */
  readonly untagged?: readonly string[]
  /** `tag rule` of every tag that goes, `name rule` of every untagged manifest. */
  readonly goes: readonly string[]
}

export const day = 86_400_000
export const NOW = 1_800_000_000_000

export function configOf(it: Case): CleanupConfig {
  return {
    gc: {
      enabled: true,
      schedule: '0 2 * * *',
      keepRecent: it.keepRecent ?? 10,
      graceMs: (it.graceDays ?? 0) * day,
      undeleteWindowMs: 0,
      maxDeletePercent: 50,
      bytesPerSecond: 0,
      maxPauseMs: 4,
    },
    retention: (it.policies ?? []).map((policy) => ({ ...policy, isDryRun: false })),
    expiry: it.expiry ?? [],
    immutableTags: it.immutableTags ?? [],
  }
}

/** `v1 pushed:3 pulled:1 lives:2 pin`; of a manifest also `relied:1`. */
export function factsOf(text: string) {
  const [tag = '', ...words] = text.split(' ')
  const days = (word: string) => {
    const found = words.find((it) => it.startsWith(`${word}:`))
    return found === undefined ? undefined : Number(found.slice(word.length + 1)) * day
  }
  const pulled = days('pulled')
  return {
    tag,
    digest: `sha256:${tag}`,
    pushedAt: NOW - (days('pushed') ?? 0),
    pulledAt: pulled === undefined ? undefined : NOW - pulled,
    reliedAt: NOW - (days('relied') ?? days('pushed') ?? 0),
    expiresAfterMs: days('lives'),
    isPinned: words.includes('pin'),
  }
}
