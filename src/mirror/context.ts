/**
 * @module What the parts of the mirrors share.
 */

import type { FillSource } from '../blobs/fill/source.ts'
import type { Room } from '../blobs/port.ts'
import type { BlobFlights } from '../distribution/blob-flights.ts'
import type { ManifestPushes } from '../distribution/push-manifest.ts'
import type { MetadataStore } from '../metadata/port.ts'
import type { Logger } from '../observability/logger.ts'
import type { Digest } from '../registry/digest.ts'
import type { Clock } from '../runtime/clock.ts'
import type { KeyedLock } from '../runtime/keyed-lock.ts'
import type { Witness } from '../signing/attest/witness.ts'
import type { MirrorGate } from './verification.ts'

/** What the mirrors have to know of the other nodes of a mesh, which have the same ones. */
export interface SharedMirrors {
  /** Runs `work` unless another node is at it; what it removes it does through `store`. */
  evict(work: () => Promise<void>): Promise<void>
  readonly store: MetadataStore
  /** `work` as the schedule of each node may call it: it runs on one of them. */
  once(schedule: string, expression: string, work: () => Promise<void>): () => Promise<void>
  /** A stored time of a pull is written over when it is older than that, ms. */
  readonly pulledAgainMs: number
}

export interface MirrorContext {
  readonly metadata: MetadataStore
  readonly flights: BlobFlights
  readonly digestLock: KeyedLock
  readonly space: Room
  readonly clock: Clock
  readonly logger: Logger
  /** With a policy that accepts manifests before their blobs. */
  readonly pushes: ManifestPushes
  /** Hears of every manifest that comes; undefined: the registry signs nothing itself. */
  readonly witness?: Pick<Witness, 'fetched'> | undefined
  readonly gate: MirrorGate
  /** Undefined: no other node has the mirrors. */
  readonly shared?: SharedMirrors | undefined
  /** Where blobs come from instead of upstream, which `own` asks; undefined: the registry is alone. */
  readonly sharing?: BlobSharing | undefined
}

/** Other nodes that fetch the same blobs. */
export interface BlobSharing {
  sourceOf(own: FillSource, repository: string, digest: Digest): FillSource
}

/**
 * How long upstream has for what is not cached, ms, from the beginning of the client's request on; all
 * that is asked for one request shares it. What has not begun to be answered by `hardMs` is refused:
 * clients hear something within 40 s.
 */
export const missMs = 37_000
export const hardMs = 38_500

/** How long a client waits for a check of what is cached, ms: within 1 s it has its answer. */
export const checkWaitMs = 700
