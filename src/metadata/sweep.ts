/**
 * @module A batch of what a collection would remove, as data: each candidate with what it rested on
 * when it was found. A transaction carries it to the writer, which looks at every candidate once
 * more and removes those that nobody used since (`metadata/apply/sweep.ts`). Hundreds of them share one
 * commit, and only a few words of each cross between threads. A candidate without a verdict is gone, with
 * everything that it had.
 */
import type { Digest } from '../registry/digest.ts'
import type { RepositoryName } from '../registry/name.ts'
import type { Tag } from '../registry/tag.ts'
import type { Timestamp } from './schema.ts'

interface Removed {
  readonly repository: RepositoryName
  readonly digest: Digest
  /** Last push or promise that the plan saw. */
  readonly at: Timestamp
  /** Last pull that the plan saw; 0 for none. */
  readonly pulledAt: Timestamp
  /** For the history and for whoever wants it back. */
  readonly why: string
  /** A manifest that it refers to: while the repository has it, it stays. */
  readonly subject?: Digest
}

export interface TagCandidate extends Removed {
  readonly kind: 'tag'
  readonly tag: Tag
}

export interface ManifestCandidate extends Removed {
  readonly kind: 'manifest'
}

export type Candidate =
  | TagCandidate
  | ManifestCandidate
  /** A blob leaves a repository whose manifests do not use it. */
  | {
      readonly kind: 'link'
      readonly repository: RepositoryName
      readonly digest: Digest
      readonly at: Timestamp
    }
  | {
      readonly kind: 'blob'
      readonly digest: Digest
      readonly at: Timestamp
      readonly bytes: number
    }
  /** The index of candidates: to be looked at by the next walk, or in use after all. */
  | { readonly kind: 'suspect'; readonly digest: string }
  | { readonly kind: 'in-use'; readonly digest: string; readonly stamp: number }
  /** What nobody can want back any more; `at`: when it was deleted. */
  | {
      readonly kind: 'purged-tag'
      readonly repository: RepositoryName
      readonly tag: Tag
      readonly at: Timestamp
    }
  | {
      readonly kind: 'purged-manifest'
      readonly repository: RepositoryName
      readonly digest: Digest
      readonly at: Timestamp
      readonly bytes: number
    }
  | {
      readonly kind: 'purged-blob'
      readonly digest: Digest
      readonly at: Timestamp
      /** Whether the driver has its bytes; else the metadata has. */
      readonly hasObject: boolean
      readonly bytes: number
    }
  | {
      readonly kind: 'expired-pin'
      readonly digest: Digest
      readonly name: string
      readonly at: Timestamp
    }

export interface SweepBatch {
  /** The time of the removal. */
  readonly at: Timestamp
  readonly by: string
  /** A manifest pulled after this and after it was planned stays. */
  readonly pulledAfter: Timestamp
  /** Nobody can want it back: what has no file to remove goes for good at once. */
  readonly isFinal: boolean
  readonly candidates: readonly Candidate[]
}

/**
 * Why a candidate stays. Words for people are those of whoever shows them (`gc/sweep/settle.ts`): better
 * wording must not make two nodes decide differently.
 */
export type Stay =
  | 'back'
  | 'changed'
  | 'gone'
  | 'in-a-manifest'
  | 'in-a-repository'
  | 'listed'
  | 'moved'
  | 'pinned'
  | 'pulled'
  | 'pushed-again'
  | 'relied-on'
  | 'subject-is-here'
  | 'tagged'
  | 'used-again'

/** What has to be said of a candidate; `index`: its place in `candidates`. */
export type Verdict =
  | { readonly is: 'stays'; readonly index: number; readonly why: Stay }
  /** A blob whose row is gone and whose bytes the blob driver still has. */
  | { readonly is: 'bytes-left'; readonly index: number }
