/**
 * @module Bounds and times of the etcd that a node runs, with their reasons.
 */

/** Voters of one etcd: more of them make every append slower, and survive nothing that matters more. */
export const VOTERS_MAX = 5

/** Members in one answer: voters, a learner, and what a person added by hand. */
export const MEMBERS_MAX = 64

/** URLs of one member. */
export const URLS_MAX = 16

/** A list of members, in bytes: what is longer is no such list. */
export const LIST_BYTES_MAX = 256 * 1024

/** One change of the members, in ms: it waits for a majority, and a promotion for the leader's answer. */
export const CHANGE_MS = 5000

/** Defragmentation of one member, in ms: it writes the whole of its file again, of 2 GiB at most. */
export const DEFRAGMENT_MS = 120_000

/**
 * The size of its file at which etcd takes no entries any more. The log keeps 256 MiB at most; the rest is
 * for what compaction has freed and defragmentation has not given back yet.
 */
export const QUOTA_BYTES = 2 * 1024 * 1024 * 1024

/**
 * Entries that etcd keeps in memory between two snapshots of its own. Before 3.6 they were 100,000, which is
 * 300 MB of entries of usual size.
 */
export const SNAPSHOT_ENTRIES = 10_000

/** What `--version` may take, in ms and bytes. */
export const VERSION_MS = 5000
export const VERSION_BYTES_MAX = 16 * 1024

/** From the end of a process to the next start, in ms, doubling. */
export const RESTART_MS_MIN = 250
export const RESTART_MS_MAX = 10_000

/** A process that served for so long, in ms, did not die of its start: the next one starts soon again. */
export const SOUND_MS = 60_000

/** Between two looks at a member that starts, in ms. */
export const LOOK_MS = 200

/** An orderly stop, in ms: to move the leadership, and from SIGTERM to SIGKILL. */
export const MOVE_MS = 2000
export const STOP_MS = 5000

/** An orphan ends within this time of its SIGKILL, in ms; a process in the kernel's hands can take longer. */
export const ORPHAN_MS = 5000

/** Lines of etcd that reach the log: so many at once, and so many a second. */
export const LINES_BURST = 200
export const LINES_PER_SECOND = 20

/** One line, in characters: the rest of it is cut off. */
export const LINE_MAX = 4096

/** Lines that are kept for the message of a failed start. */
export const TAIL_LINES = 10

/** Between two looks of the lead at the voters, in ms: after a step, after a refusal, and when all is well. */
export const STEP_MS = 250
export const REFUSED_MS = 2000
export const SETTLED_MS = 5000

/**
 * Compaction goes on after its answer, so much in ms is waited for it before each of so many
 * defragmentations. A file without writes may never say that pages were freed: the wait has an end.
 */
export const FREED_MS = 2000
export const DEFRAGMENTS_MAX = 3

/** Below this share of its quota a member has room again. */
export const ROOM_SHARE = 0.8

/** Between two looks of the lead at the alarms of etcd, in ms. */
export const SPACE_MS = 5_000
