/**
 * @module What the runs of one source are made of.
 */
import type { Room } from '../../blobs/port.ts'
import type { SyncSourceConfig } from '../../config/config.ts'
import type { MetadataStore } from '../../metadata/port.ts'
import type { Logger } from '../../observability/logger.ts'
import type { SyncMetrics } from '../../observability/metrics/sync.ts'
import type { RepositoryName } from '../../registry/name.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { TagCopier } from '../copy/copier.ts'
import type { SyncJournal } from '../journal.ts'
import type { SyncUpstream } from '../port.ts'
import type { Names } from '../prune/pass.ts'
import type { NameOwners } from '../selection/names.ts'
import type { RepositorySelection } from '../selection/repositories.ts'
import type { TagFilter } from '../selection/tags.ts'
import type { PeerEvent } from '../sources/fastregistry.ts'

/** Ends early, without an error, when the signal says so. */
export type Sleep = (ms: number, signal?: AbortSignal) => Promise<void>

export interface RunParts {
  readonly config: SyncSourceConfig
  readonly fingerprint: string
  readonly selection: RepositorySelection
  readonly filter: TagFilter
  readonly upstream: SyncUpstream
  readonly copier: Pick<TagCopier, 'copy' | 'plan'>
  readonly journal: SyncJournal
  readonly metadata: MetadataStore
  readonly owners: NameOwners
  readonly space: Pick<Room, 'freeBytes' | 'reserveBytes'>
  readonly clock: Clock
  readonly sleep: Sleep
  readonly logger: Logger
  /**
   * Whether what upstream means by a tag is what the tag meant here before somebody moved it here. Undefined:
   * upstream follows nobody.
   */
  readonly isEcho?: (it: PeerEvent) => boolean
  /** Undefined: the source deletes nothing. */
  readonly prune: PruneStep | undefined
  readonly metrics: SyncMetrics
}

/** A repository of which every tag was listed to the end in this run. */
export interface RepositoryPass {
  readonly repository: string
  readonly local: RepositoryName
  /** Every live tag upstream. */
  readonly listed: Names
  /** Those that the filters select. */
  readonly selected: Names
  readonly startedAt: number
}

/** A run that has listed all repositories to the end. */
export interface RunFacts {
  readonly source: string
  readonly startedAt: number
  /** Upstream's names of all that is selected. */
  readonly repositories: ReadonlySet<string>
  /** Makes a plan and deletes nothing. */
  readonly isPlanOnly: boolean
  readonly signal: AbortSignal
}

/** What takes away here what upstream no longer has. */
export interface PruneStep {
  /** A run begins. */
  begin(): void
  /** After all tags of a full pass of one repository have ended. */
  afterRepository(it: RepositoryPass): void
  /** Upstream says that there is no such repository. */
  afterMissing(repository: string, local: RepositoryName): void
  /** Once all repositories were looked at. Returns how many tags it took away. */
  afterFullPass(facts: RunFacts): Promise<number>
  /**
   * Tags that upstream's own history says were deleted: each is asked for, and taken away at once where it is the
   * source's own. What could not be asked for is noted in its row.
   */
  afterDeletions(
    tags: Iterable<{ readonly repository: string; readonly tag: string }>,
    signal: AbortSignal,
  ): Promise<{ readonly deleted: number; readonly unknown: number }>
  /** The run has ended, well or not. */
  end(): void
}
