/**
 * @module The metadata's databases: names, keys, rows. One named LMDB database each; keys are
 * strings or arrays that sort component by component in byte order; values are MessagePack but for
 * the two databases of bytes.
 */
import type { Algorithm, Digest } from '../registry/digest.ts'
import type { RepositoryName } from '../registry/name.ts'
import type { Tag } from '../registry/tag.ts'
import type { EventRow, Removal } from './rows/events.ts'
import type { JobRow, PlanRow } from './rows/jobs.ts'
import type {
  ClusterRow,
  CopyRow,
  EndedPinsRow,
  LeadRow,
  MemberRow,
  PlaceRow,
  SecretRow,
  SessionRow,
  TickRow,
} from './rows/mesh.ts'
import {
  type MirrorBlobRow,
  type MirrorSeenRow,
  type MirrorTagRow,
  type SyncPlanItemRow,
  type SyncPlanRow,
  type SyncRepositoryRow,
  type SyncRunRow,
  type SyncStateRow,
  type SyncTagRow,
  syncPlanItemShapes,
  syncTagShapes,
} from './rows/upstream.ts'
import {
  type PullViolationRow,
  type RevokedRow,
  type VerdictRow,
  verdictShapes,
} from './verdicts/rows.ts'

export type { EventAction, EventRow, Removal } from './rows/events.ts'

/** Raised by every migration; a store of a newer version is refused. */
export const schemaVersion = 1

/** Milliseconds since the epoch. */
export type Timestamp = number

export interface RepositoryRow {
  readonly createdAt: Timestamp
}

export interface PreviousTarget {
  readonly digest: Digest
  readonly replacedAt: Timestamp
  /** Who moved the tag away from it. */
  readonly by?: string
}

export interface TagRow {
  readonly digest: Digest
  readonly pushedAt: Timestamp
  /** What the tag pointed at before, newest first; bounded by `tagHistoryMax`. */
  readonly previous: readonly PreviousTarget[]
  /** Who moved it where it is. */
  readonly by?: string
}

export const tagHistoryMax = 16

export interface ManifestRow {
  readonly mediaType: string
  readonly sizeBytes: number
  readonly artifactType?: string
  readonly subject?: string
  readonly imageConfig?: string
  readonly pushedAt: Timestamp
  /** When somebody was last told that it is here, or it lost a tag; collection compares it. */
  readonly reliedAt?: Timestamp
  /** How long it wants to live, by its labels or annotations, ms. */
  readonly expiresAfterMs?: number
  /** Config and layers, of an index those of its manifests, each blob once. */
  readonly imageBytes?: number
  /** A cache that BuildKit exported: of use only while a tag points at it. */
  readonly isBuildCache?: true
}

/** How a manifest refers to a child: what collection and "who uses this" follow. */
export type EdgeKind = 'config' | 'layer' | 'manifest'

export interface EdgeRow {
  readonly kind: EdgeKind
}

export interface BlobRow {
  readonly sizeBytes: number
  readonly place: 'inline' | 'file'
  readonly createdAt: Timestamp
  /** When a commit, a mount or a manifest last relied on it: collection checks and compares it. */
  readonly linkedAt: Timestamp
  /** In a mesh: which members own the file. Absent: its digest says it (`mesh/placement.ts`). */
  readonly group?: number
}

export interface LinkRow {
  readonly linkedAt: Timestamp
}

export interface UploadRow {
  readonly repository: RepositoryName
  readonly algorithm: Algorithm
  /** Bytes acknowledged: they have reached the operating system. */
  readonly offsetBytes: number
  readonly startedAt: Timestamp
  readonly touchedAt: Timestamp
  /** Address of the client that opened it, for the bound on sessions per client. */
  readonly client: string
  /** The user who opened it, and alone may use it; absent: nobody had to say who he is. */
  readonly owner?: string
  /** The bytes themselves while they are few; absent once the session has a file. */
  readonly bytes?: Uint8Array
}

/** What a repository holds, in sums; kept by the writer itself (`derived-rows.ts`). */
export interface RepositorySums {
  readonly tags: number
  readonly manifests: number
  /** Last push and last pull of anything in it, 0 for none. They never go back. */
  readonly pushedAt: Timestamp
  readonly pulledAt: Timestamp
  /** Bytes of the blobs that it holds, and of those that no other repository holds. */
  readonly logicalBytes: number
  readonly exclusiveBytes: number
  /** Whether there is a row of it in `repositories`, and so its places in `repositoryOrder`. */
  readonly isListed: boolean
}

/** What a referrers list shows of one manifest (image-spec, descriptor). */
export interface ReferrerRow {
  readonly mediaType: string
  readonly digest: string
  readonly size: number
  readonly artifactType?: string
  /** As an upstream listed them, and as earlier versions wrote them. */
  readonly annotations?: Readonly<Record<string, string>>
  /** JSON, at most `referrerAnnotationsBytesMax`: read only for an entry that is shown. */
  readonly annotationsJson?: Uint8Array
}

/** A manifest that was taken out of a repository; its bytes and edges stay until it is purged. */
export interface DeletedManifestRow extends Removal {
  readonly row: ManifestRow
  readonly referrer?: ReferrerRow
  /** Tags that went with it; bounded by `deletedTagsMax`. */
  readonly tags: readonly string[]
  /** Children that the repository did not have: an undelete must not link them. */
  readonly absent?: readonly string[]
}

export const deletedTagsMax = 1_000

/** A tag that was removed, with what it was. */
export interface DeletedTagRow extends Removal {
  readonly row: TagRow
}

/** A blob without its row: inline bytes stay in `blobBytes`, a file lies in `trash/`. */
export interface TrashRow {
  readonly sizeBytes: number
  readonly place: 'inline' | 'file'
  readonly createdAt: Timestamp
  readonly trashedAt: Timestamp
  readonly group?: number
}

/** Protects a digest from every rule and from deletion. */
export interface PinRow {
  /** Undefined: in every repository. */
  readonly repository?: string
  /** Undefined: until it is removed. */
  readonly expiresAt?: Timestamp
  readonly note: string
  readonly createdAt: Timestamp
  readonly by: string
}

/** Key and row of each database. `true` stands for "the key says it all". */
export interface Databases {
  readonly repositories: { key: RepositoryName; row: RepositoryRow }
  readonly tags: { key: readonly [RepositoryName, Tag]; row: TagRow }
  readonly manifests: { key: readonly [RepositoryName, Digest]; row: ManifestRow }
  readonly manifestBytes: { key: Digest; row: Uint8Array }
  readonly tagsByDigest: { key: readonly [RepositoryName, Digest, Tag]; row: true }
  readonly children: { key: readonly [Digest, string]; row: EdgeRow }
  readonly parents: { key: readonly [string, RepositoryName, Digest]; row: true }
  readonly referrers: { key: readonly [RepositoryName, string, Digest]; row: ReferrerRow }
  readonly blobs: { key: Digest; row: BlobRow }
  readonly blobBytes: { key: Digest; row: Uint8Array }
  /** The blob is in this repository: what every pull of a blob looks at. */
  readonly links: { key: readonly [RepositoryName, Digest]; row: LinkRow }
  /** The same the other way round: who holds a blob (mounts without `from`, collection). */
  readonly holders: { key: readonly [Digest, RepositoryName]; row: true }
  readonly uploads: { key: string; row: UploadRow }
  readonly mirrorTags: { key: readonly [RepositoryName, string]; row: MirrorTagRow }
  readonly mirrorBlobs: { key: readonly [string, Digest]; row: MirrorBlobRow }
  readonly mirrorSeen: { key: readonly [RepositoryName, Digest]; row: MirrorSeenRow }
  /** Numbers of this node: versions, its last stop, the clock that it has seen. */
  readonly system: { key: string; row: number }
  /** Numbers of all: the last event, bytes in sums. Kept by the writer itself (`metadata/derived-rows.ts`). */
  readonly totals: { key: string; row: number }
  /** Where work on this node's disk stands, so that a restart goes on there. */
  readonly cursors: { key: string; row: string }
  /** Where collections and renames stand. */
  readonly progress: { key: string; row: string }
  /** Which repositories have a manifest, or had it and may want it back: its bytes stay so long. */
  readonly manifestHolders: { key: readonly [Digest, RepositoryName]; row: 'stored' | 'deleted' }
  readonly deletedManifests: { key: readonly [RepositoryName, Digest]; row: DeletedManifestRow }
  readonly deletedTags: { key: readonly [RepositoryName, Tag]; row: DeletedTagRow }
  readonly trash: { key: Digest; row: TrashRow }
  /** Last pull by tag or digest. */
  readonly pulls: { key: readonly [RepositoryName, string]; row: Timestamp }
  /** Digest and the name of the pin. */
  readonly pins: { key: readonly [Digest, string]; row: PinRow }
  /** By number: `eventKey`. */
  readonly events: { key: string; row: EventRow }
  readonly jobs: { key: string; row: JobRow }
  /** Which events are of a repository: name, then the event's key. Kept by the writer itself. */
  readonly eventsByRepository: { key: readonly [string, string]; row: true }
  readonly repositorySums: { key: RepositoryName; row: RepositorySums }
  /** Repositories by `pushed`, `pulled`, `size`: the order, then `orderedKey`. */
  readonly repositoryOrder: { key: readonly [string, string]; row: true }
  /** Tags by `pushed`, tagged manifests by `pulled` and `size`: repository, order, `orderedKey`. */
  readonly tagOrder: { key: readonly [RepositoryName, string, string]; row: true }
  readonly plans: { key: string; row: PlanRow }
  /** Rules that an operator has applied once, by fingerprint. */
  readonly approvals: { key: string; row: Timestamp }
  /** Blobs that a collection has to look at; kept by the writer itself (`metadata/apply/change.ts`). */
  readonly candidates: { key: string; row: number }
  /** Runs of a sync: source, then the time of the start. The last hundred stay. */
  readonly syncRuns: { key: readonly [string, string]; row: SyncRunRow }
  /** By source and upstream's name. */
  readonly syncRepositories: { key: readonly [string, string]; row: SyncRepositoryRow }
  /** By source, upstream's repository and tag: what was copied, and which tags are the sync's own. */
  readonly syncTags: { key: readonly [string, string, string]; row: SyncTagRow }
  /** By source: what a restart must not forget. */
  readonly syncStates: { key: string; row: SyncStateRow }
  /** What a sync would delete, and did; by id. */
  readonly syncPlans: { key: string; row: SyncPlanRow }
  /** By plan and number. */
  readonly syncPlanItems: { key: readonly [string, string]; row: SyncPlanItemRow }
  /** What the policy of a repository says of its manifests. Dropped with what it rests on (`verdicts/drops.ts`). */
  readonly verdicts: { key: readonly [RepositoryName, Digest]; row: VerdictRow }
  /** Digests that can be pulled no more. */
  readonly revoked: { key: Digest; row: RevokedRow }
  /** Pulls that a policy refused, or would refuse, by `REPOSITORY@DIGEST`. */
  readonly pullViolations: { key: string; row: PullViolationRow }
  /** By number. */
  readonly members: { key: string; row: MemberRow }
  /** Key `settings`: as the mesh was founded. */
  readonly cluster: { key: string; row: ClusterRow }
  /** By name: sealed by the secret of the mesh (`mesh/identity/seals.ts`). */
  readonly secrets: { key: string; row: SecretRow }
  /** By the member's number. */
  readonly sessions: { key: string; row: SessionRow }
  /** By the member's number: promises to keep a copy that it has taken back. */
  readonly endedPins: { key: string; row: EndedPinsRow }
  /** By job: who may run it. */
  readonly leads: { key: string; row: LeadRow }
  /** By schedule: the last of its times that was taken. */
  readonly ticks: { key: string; row: TickRow }
  /** Pieces of a body that is too long for one entry: member, then the entry's number. */
  readonly parts: { key: readonly [string, string]; row: Uint8Array }
  /** Files of blobs on this node, in a mesh. */
  readonly copies: { key: Digest; row: CopyRow }
  /** Where this node stands in the log: `applied`. */
  readonly places: { key: string; row: PlaceRow }
}

export type DatabaseName = keyof Databases

export interface Table {
  /** Shared: equal on nodes at one place of the log. Local: of this node. Shared changes check shared tables only. */
  readonly scope: 'shared' | 'local'
  readonly values: 'msgpack' | 'binary'
  /**
   * Fields of rows as they are mostly written: such a row is stored without their names, half as large and
   * read in a third of the time. Others carry the names themselves. Stored rows name a shape by its place:
   * append only.
   */
  readonly shapes?: readonly (readonly string[])[]
}

/** Every database, with whose it is and how its values are stored. */
export const DATABASES: Readonly<Record<DatabaseName, Table>> = {
  repositories: { scope: 'shared', values: 'msgpack', shapes: [['createdAt']] },
  tags: {
    scope: 'shared',
    values: 'msgpack',
    shapes: [
      ['digest', 'pushedAt', 'previous', 'by'],
      ['digest', 'replacedAt', 'by'],
    ],
  },
  manifests: {
    scope: 'shared',
    values: 'msgpack',
    shapes: [
      ['mediaType', 'sizeBytes', 'imageConfig', 'pushedAt', 'imageBytes'],
      ['mediaType', 'sizeBytes', 'imageConfig', 'pushedAt', 'imageBytes', 'reliedAt'],
      ['mediaType', 'sizeBytes', 'pushedAt', 'imageBytes'],
      ['mediaType', 'sizeBytes', 'pushedAt', 'imageBytes', 'reliedAt'],
    ],
  },
  manifestBytes: { scope: 'shared', values: 'binary' },
  tagsByDigest: { scope: 'shared', values: 'msgpack' },
  children: { scope: 'shared', values: 'msgpack', shapes: [['kind']] },
  parents: { scope: 'shared', values: 'msgpack' },
  referrers: { scope: 'shared', values: 'msgpack' },
  blobs: {
    scope: 'shared',
    values: 'msgpack',
    shapes: [
      ['sizeBytes', 'place', 'createdAt', 'linkedAt'],
      ['sizeBytes', 'place', 'createdAt', 'linkedAt', 'group'],
    ],
  },
  blobBytes: { scope: 'shared', values: 'binary' },
  links: { scope: 'shared', values: 'msgpack', shapes: [['linkedAt']] },
  holders: { scope: 'shared', values: 'msgpack' },
  uploads: { scope: 'local', values: 'msgpack' },
  mirrorTags: { scope: 'shared', values: 'msgpack' },
  mirrorBlobs: { scope: 'shared', values: 'msgpack' },
  mirrorSeen: { scope: 'shared', values: 'msgpack' },
  system: { scope: 'local', values: 'msgpack' },
  totals: { scope: 'shared', values: 'msgpack' },
  cursors: { scope: 'local', values: 'msgpack' },
  progress: { scope: 'shared', values: 'msgpack' },
  manifestHolders: { scope: 'shared', values: 'msgpack' },
  deletedManifests: { scope: 'shared', values: 'msgpack' },
  deletedTags: { scope: 'shared', values: 'msgpack' },
  trash: { scope: 'shared', values: 'msgpack' },
  pulls: { scope: 'shared', values: 'msgpack' },
  pins: { scope: 'shared', values: 'msgpack' },
  events: {
    scope: 'shared',
    values: 'msgpack',
    shapes: [
      ['at', 'action', 'repository', 'by', 'digest'],
      ['at', 'action', 'repository', 'by', 'digest', 'tag'],
      ['at', 'action', 'repository', 'by', 'digest', 'tag', 'from'],
    ],
  },
  eventsByRepository: { scope: 'shared', values: 'msgpack' },
  jobs: { scope: 'shared', values: 'msgpack' },
  repositorySums: {
    scope: 'shared',
    values: 'msgpack',
    shapes: [
      ['tags', 'manifests', 'pushedAt', 'pulledAt', 'logicalBytes', 'exclusiveBytes', 'isListed'],
    ],
  },
  repositoryOrder: { scope: 'shared', values: 'msgpack' },
  tagOrder: { scope: 'shared', values: 'msgpack' },
  plans: { scope: 'shared', values: 'msgpack' },
  approvals: { scope: 'shared', values: 'msgpack' },
  candidates: { scope: 'shared', values: 'msgpack' },
  // Shared: whichever node runs a source goes on with its tags, and prunes what any node wrote.
  syncRuns: { scope: 'shared', values: 'msgpack' },
  syncRepositories: { scope: 'shared', values: 'msgpack' },
  syncTags: { scope: 'shared', values: 'msgpack', shapes: syncTagShapes },
  syncStates: { scope: 'shared', values: 'msgpack' },
  syncPlans: { scope: 'shared', values: 'msgpack' },
  syncPlanItems: { scope: 'shared', values: 'msgpack', shapes: syncPlanItemShapes },
  // Local: by the keys and policies of this node.
  verdicts: { scope: 'local', values: 'msgpack', shapes: verdictShapes },
  revoked: { scope: 'shared', values: 'msgpack' },
  pullViolations: { scope: 'local', values: 'msgpack' },
  members: { scope: 'shared', values: 'msgpack' },
  cluster: { scope: 'shared', values: 'msgpack' },
  secrets: { scope: 'shared', values: 'msgpack' },
  sessions: {
    scope: 'shared',
    values: 'msgpack',
    shapes: [['boot', 'seq', 'presentAt', 'reads', 'beat', 'visible', 'durable']],
  },
  endedPins: { scope: 'shared', values: 'msgpack' },
  leads: { scope: 'shared', values: 'msgpack' },
  ticks: { scope: 'shared', values: 'msgpack' },
  parts: { scope: 'shared', values: 'binary' },
  copies: { scope: 'local', values: 'msgpack', shapes: [['bytes', 'role', 'addedAt', 'pulledAt']] },
  places: { scope: 'local', values: 'msgpack' },
}
