/**
 * @module How much of itself the log keeps. It is measured in bytes and cut by entries: what one takes is taken from
 * those that this node has kept lately.
 */

/** What etcd needs for an entry beside its bytes: key, revision, place in its index. */
const overheadBytes = 256

/** Entries that are kept whatever they take: a burst of beats says nothing of what comes. */
const keptEntriesMin = 1_000

/** For one that is away the log keeps so many times as much. */
const awayFactor = 4

export interface Truncation {
  /** The least entry that a loss of power cannot take from some member. */
  readonly durable: number
  /** The last entry that was applied here. */
  readonly applied: number
  /** Bytes of the log that all have and that it keeps all the same. */
  readonly keepBytes: number
  /** Entries that were kept here lately, and their bytes. */
  readonly lately: { readonly entries: number; readonly bytes: number }
}

/**
 * The entry up to which the log may forget: what all members have on their disks, and what one lacks that is away for
 * too long; it takes the tail or the view of a peer. Undefined: nothing.
 */
export function truncatedAt({
  durable,
  applied,
  keepBytes,
  lately,
}: Truncation): number | undefined {
  if (lately.entries === 0) return undefined
  const entryBytes = lately.bytes / lately.entries + overheadBytes
  const kept = Math.max(keptEntriesMin, Math.floor(keepBytes / entryBytes))
  const index = Math.min(Math.max(durable, applied - awayFactor * kept), applied - kept)
  return index > 0 ? index : undefined
}
