/**
 * @module What a plan consists of: one item for each thing that would go, with the state it was in
 * when the plan was made (it is skipped if that changed) and the reason in words.
 */

interface Reasoned {
  /** The rule that decided. */
  readonly rule: string
  readonly reason: string
  /** Bytes of the disk that applying this very item wins. */
  readonly bytes: number
  /** Last push, mount or promise that it rests on, ms since the epoch. */
  readonly at: number
  readonly pulledAt?: number
}

interface Referring {
  /** Digest of a manifest that it refers to: while that is in the repository, it stays. */
  readonly subject?: string
}

export interface TagItem extends Reasoned, Referring {
  readonly kind: 'tag'
  readonly repository: string
  readonly tag: string
  readonly digest: string
  /** Fingerprint of a rule that needs an operator's first yes. */
  readonly approval?: string
}

export interface ManifestItem extends Reasoned, Referring {
  readonly kind: 'manifest'
  readonly repository: string
  readonly digest: string
}

/** A blob leaves a repository whose manifests do not use it. */
export interface LinkItem extends Reasoned {
  readonly kind: 'link'
  readonly repository: string
  readonly digest: string
}

export interface BlobItem extends Reasoned {
  readonly kind: 'blob'
  readonly digest: string
}

export type PlanItem = TagItem | ManifestItem | LinkItem | BlobItem
