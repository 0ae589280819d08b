/**
 * @module The part of the configuration that clean-up reads: collection, retention, expiry, tags that
 * may not move. Plain data, because it travels to the worker that makes plans.
 */

export interface GcConfig {
  readonly enabled: boolean
  /** Five fields of a crontab line. */
  readonly schedule: string
  /** Newest tags of a repository that stay; 0 keeps all. */
  readonly keepRecent: number
  readonly graceMs: number
  readonly undeleteWindowMs: number
  /** Share of the stored bytes that a scheduled run may remove. */
  readonly maxDeletePercent: number
  /** Bytes freed per second at most; 0 is no limit. */
  readonly bytesPerSecond: number
  /** Longest stretch of work on the main thread, ms. */
  readonly maxPauseMs: number
}

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
