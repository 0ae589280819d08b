/**
 * @module What the registry is told of what happens in it, to sign it: by pushes, copies, mirrors and the gate of the
 * policies. Every method returns at once and never throws; what comes of it is behind the answer.
 */
import type { Digest } from '../../registry/digest.ts'
import type { RepositoryName } from '../../registry/name.ts'
import type { Tag } from '../../registry/tag.ts'
import type { Policy } from '../policies.ts'

/** An image that a policy has let pass, and at which a tag points now. */
export interface Passed {
  readonly repository: RepositoryName
  readonly digest: Digest
  readonly policy: Policy
  /** Manifests that its word rests on. */
  readonly accepted: readonly Digest[]
}

interface Fact {
  readonly repository: RepositoryName
  readonly digest: Digest
  readonly tags: readonly Tag[]
}

/** Tags were pushed. */
export interface Push extends Fact {
  /** The user, or the address of the client. */
  readonly by: string
  readonly requestId: string
  /** What the manifest is attached to. */
  readonly subject: string | undefined
}

/** An image was copied inside the registry. */
export interface Promotion extends Fact {
  readonly by: string
  readonly requestId: string
  readonly from: RepositoryName
}

/** A manifest came from another registry. */
export interface MirrorFetch extends Fact {
  /** Host and repository there: `docker.io/library/nginx`. */
  readonly upstream: string
  readonly by: string
  readonly subject: string | undefined
}

export interface Witness {
  passed(it: Passed): void
  pushed(it: Push): void
  promoted(it: Promotion): void
  fetched(it: MirrorFetch): void
}
