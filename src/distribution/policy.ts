/**
 * @module What the operator decided where the specification leaves a choice. Comes from the
 * configuration; every use case gets the same frozen object.
 */

export interface Policy {
  /** Whether an index may name manifests that are not in the repository. */
  readonly allowsSparseIndex: boolean
  /** Whether an image manifest may name blobs that are not in the repository. */
  readonly allowsMissingBlobs: boolean
  /** Whether a descriptor's size must be that of the stored content. */
  readonly checksSizes: boolean
  /** Whether manifests, tags and blobs may be deleted. */
  readonly allowsDelete: boolean
}
