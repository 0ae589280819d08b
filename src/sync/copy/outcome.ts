/**
 * @module What is asked of a copy of one tag, and what it comes to.
 */
import type { SyncReferrers } from '../../config/config.ts'
import type { Digest } from '../../registry/digest.ts'
import type { RepositoryName } from '../../registry/name.ts'
import type { Tag } from '../../registry/tag.ts'
import type { SyncReason } from '../port.ts'

/** What happens to a tag of ours that upstream has moved. */
export type OnChange = 'follow' | 'keep' | 'fail'

/** How much is looked for beside the image. */
export type AttachedWanted =
  /** Nothing. */
  | 'none'
  /** The tags of `listing` that are named after a manifest of the image: costs no request of its own. */
  | 'listed'
  /** Those, and the referrers API. */
  | 'all'

/** Told of a copy while it goes on. */
export interface CopyWatch {
  /** Bytes of blobs that a manifest has, before the first of them comes. */
  readonly planned: (bytes: number) => void
  /** The image is here: what follows is attached to it. */
  readonly attaching: () => void
}

export interface TagCopy {
  /** Upstream's name of the repository. */
  readonly repository: string
  readonly tag: Tag
  /** What upstream means by it. */
  readonly digest: Digest
  readonly pushedAt?: number
  readonly local: RepositoryName
  /** `os/architecture[/variant]`; `''`: what names no platform. Empty: all. */
  readonly platforms: readonly string[]
  readonly attached: AttachedWanted
  /** What of it; undefined: all. */
  readonly kinds?: SyncReferrers
  /**
   * Every tag of the repository upstream that is named after a digest, with its digest where the source says
   * it. Undefined: not known, so the usual ones are asked for.
   */
  readonly listing?: ReadonlyMap<Tag, Digest | undefined>
  readonly onChange: OnChange
  readonly overwrite: boolean
  /** Upstream itself says that it lacks some of the index. */
  readonly isSparse?: boolean
  readonly watch?: CopyWatch
  readonly signal: AbortSignal
}

export type TagOutcome =
  | 'copied'
  | 'unchanged'
  | 'referrers_updated'
  | 'kept'
  | 'conflict'
  | 'skipped'
  | 'rejected'
  | 'gone'
  | 'failed'

/** What was moved. Bytes are those of blobs. */
export interface CopyCounts {
  downloadedBytes: number
  /** Held here already. */
  linkedBytes: number
  /** Came for somebody else at the same time. */
  joinedBytes: number
  /** Requests of this copy, retries not counted. */
  requests: number
  manifests: number
  /** Manifests that are attached and were not here, tags that are and did not point there. */
  attached: number
  /** Tags that are attached and were moved here by somebody else: they stay. */
  attachedConflicts: number
}

export interface CopyResult {
  readonly outcome: TagOutcome
  /**
   * Of `failed`, `rejected`, and of `skipped` and `conflict` where there is a word for it. `sparse`: of an image
   * that is here, without what upstream itself lacks of it.
   */
  readonly reason?: SyncReason | 'platform' | 'sparse'
  readonly message?: string
  /** Worth another try. */
  readonly isPassing?: boolean
  /** When upstream may be asked again, ms since 1970. */
  readonly retryAt?: number
  readonly counts: Readonly<CopyCounts>
}

/** What a copy would do. */
export interface CopyPlan {
  readonly action: 'copy' | 'move' | 'update_referrers' | TagOutcome
  readonly reason?: CopyResult['reason']
  readonly message?: string
  /** Bytes of blobs to fetch: by the sizes of manifests, less what is held here. */
  readonly bytes: number
  /** Requests that the copy itself would make; those of the plan are in `asked`. */
  readonly requests: number
  readonly asked: number
}

export function noCounts(): CopyCounts {
  return {
    downloadedBytes: 0,
    linkedBytes: 0,
    joinedBytes: 0,
    requests: 0,
    manifests: 0,
    attached: 0,
    attachedConflicts: 0,
  }
}
