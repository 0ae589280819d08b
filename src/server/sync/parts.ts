/**
 * @module What the syncs are made of, and what their sources share.
 */
import type { ManifestReader } from '../../distribution/manifest-reader.ts'
import type { Mirrors } from '../../mirror/mirrors.ts'
import type { Logger } from '../../observability/logger.ts'
import type { SyncMetrics } from '../../observability/metrics/sync.ts'
import type { LifeCycle } from '../../runtime/life-cycle.ts'
import type { Semaphore } from '../../runtime/semaphore.ts'
import type { TagGate } from '../../signing/gate.ts'
import type { Storage } from '../../storage/open.ts'
import type { Courtesy } from '../../sync/copy/courtesy.ts'
import type { SyncJournal } from '../../sync/journal.ts'
import type { Prune } from '../../sync/prune/prune.ts'
import type { NameOwners } from '../../sync/selection/names.ts'
import type { Accounts } from '../../upstream/accounts.ts'
import type { UseCases } from '../use-cases.ts'

export interface SyncParts {
  readonly storage: Storage
  readonly useCases: UseCases
  readonly readManifest: ManifestReader['read']
  readonly mirrors: Mirrors | undefined
  /** Shared with the mirrors: what a host counts of us is counted once. */
  readonly accounts: Accounts
  /** Whether everybody may pull it. */
  readonly isForAll: (repository: string) => boolean
  readonly counters: SyncMetrics
  /** What has to be signed before a tag points at it. */
  readonly gate: TagGate
  /** Requests of clients that were answered so far. */
  readonly answered: () => number
  readonly logger: Logger
  readonly life: LifeCycle
}

/** What all sources share. */
export interface SharedParts extends SyncParts {
  readonly owners: NameOwners
  readonly journal: SyncJournal
  /** Blobs in flight of all sources. */
  readonly slots: Semaphore
  /** What clients leave of the main thread. */
  readonly courtesy: Courtesy
  readonly prune: Prune
}
