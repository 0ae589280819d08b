/**
 * @module What the runs of a sync know of the registry that is copied: its repositories and its tags. One
 * implementation a type of source (`sync/sources/`). Bytes come through `upstream/`, whatever the type.
 */
import type { Digest } from '../registry/digest.ts'

/** A repository as the source lists it. Names are the source's own, not yet mapped, not yet checked. */
export interface ListedRepository {
  readonly name: string
  /**
   * When a live tag was set last, ms since 1970 by the source's clock, often whole seconds. Undefined: the
   * source does not say, so the repository has to be looked at.
   */
  readonly changedAt?: number
}

/** A tag as the source lists it, alive. The name is not yet checked. */
export interface ListedTag {
  readonly tag: string
  /** Undefined: the source does not say, so it has to be resolved. */
  readonly digest?: Digest
  /** ms since 1970 by the source's clock. */
  readonly pushedAt?: number
  /** When the source itself lets the tag end, ms since 1970. */
  readonly expiresAt?: number
  /** The source says that it lacks some of the index itself. */
  readonly isSparse?: boolean
}

export interface TagsWanted {
  /** Pages may end at tags that were set before this, ms by the source's clock. Undefined: all tags. */
  readonly since?: number
  readonly signal: AbortSignal
}

/** The upstream of one source. */
export interface SyncUpstream {
  /**
   * Asks whether the credential is good, where a bad one would be answered as nobody's. Throws a
   * `SyncError` of reason `credentials`, or the `UpstreamError` of a host that cannot be asked.
   */
  probe(signal: AbortSignal): Promise<void>
  /**
   * Pages of repositories, each name once. Complete when it ends; what cannot be listed to its end throws:
   * nothing may be taken for gone then. Never says "none" of what could not be asked.
   */
  repositories(signal: AbortSignal): AsyncIterable<readonly ListedRepository[]>
  /**
   * Pages of live tags of one repository, each name once, the newest first where the source tells times.
   * Ends and throws as `repositories`. Throws an `UpstreamError` of kind `missing` for no such repository.
   */
  tags(repository: string, wanted: TagsWanted): AsyncIterable<readonly ListedTag[]>
  /**
   * One tag as it is now, with its digest; undefined when the source says that there is none (proof for a
   * prune). Throws whenever that could not be asked: 401, 403, 429, 5xx.
   */
  tag(repository: string, tag: string, signal: AbortSignal): Promise<ListedTag | undefined>
  /** Whether `since` of `tags` saves anything, and `changedAt` is told. */
  readonly tellsTimes: boolean
  /** Of a source that tells what changed, deletions too. */
  readonly changes?: TellsChanges['changes']
}

/** What happened to one repository of the source since a cursor. Names are the source's own, not yet checked. */
export interface ChangedRepository {
  readonly name: string
  /** Tags that were set, and to what the last time: where they point by now, only asking tells. */
  readonly tags: ReadonlyMap<string, Digest | undefined>
  /** Tags whose last change was a deletion. */
  readonly deleted: ReadonlySet<string>
  /** Manifests to which something was attached: a tag that points there is looked at for what is attached. */
  readonly subjects: ReadonlySet<Digest>
  /** Manifests that were deleted, each with whatever tags it had. */
  readonly removed: ReadonlySet<Digest>
  /** More happened than these say: all of its tags have to be listed. So it is with `removed`. */
  readonly isWhole: boolean
}

export type Changes =
  | {
      readonly kind: 'changes'
      readonly repositories: readonly ChangedRepository[]
      /** Kept once all of it is done. */
      readonly cursor: string
      /** There is more behind the cursor. */
      readonly hasMore: boolean
    }
  | {
      /** Only a full pass knows: the cursor is too old, or there is none, or the history is not shown to us. */
      readonly kind: 'full-pass'
      /** Where to go on once the full pass is done; undefined: the history is not shown. */
      readonly cursor: string | undefined
      /** For the operator. */
      readonly message: string
    }

/** A source that tells what changed, deletions too. */
export interface TellsChanges {
  /** Since a cursor of an earlier answer; undefined: the first time. Throws an `UpstreamError`. */
  changes(cursor: string | undefined, signal: AbortSignal): Promise<Changes>
}

/** Why something was not copied: the fixed words of results, metrics and failures. */
export const SYNC_REASONS = [
  'credentials',
  'denied',
  'unreachable',
  'timeout',
  'tls',
  'rate-limited',
  'upstream-error',
  'suspicious-listing',
  'incomplete-listing',
  'corrupt-upstream',
  'child-missing',
  'referrers',
  'too-large',
  'bad-name',
  'schema-1',
  'bad-manifest',
  'minimum',
  'immutable',
  'no-space',
  'rejected',
  'collision',
  'organization-not-found',
  'internal',
] as const

export type SyncReason = (typeof SYNC_REASONS)[number]

/** A failure with its fixed word. `isPassing`: worth another try. */
export class SyncError extends Error {
  override readonly name = 'SyncError'
  readonly reason: SyncReason
  readonly isPassing: boolean

  constructor(reason: SyncReason, message: string, isPassing = false, options?: ErrorOptions) {
    super(message, options)
    this.reason = reason
    this.isPassing = isPassing
  }
}
