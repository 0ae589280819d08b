/**
 * @module Bounds and times of the log in etcd, with their reasons.
 */

/** One entry, in bytes. etcd refuses requests above 1.5 MiB as it comes. */
export const ENTRY_BYTES_MAX = 1024 * 1024

/** One received message, in bytes: etcd's fragments end some 512 KiB above its largest request (10 MiB). */
export const MESSAGE_BYTES_MAX = 16 * 1024 * 1024

/** Events of one message; an entry and its event are 100 bytes at the very least. */
export const EVENTS_MAX = MESSAGE_BYTES_MAX / 64

/** Names of logs that were created under one key, one after the other; each remains in etcd. */
export const NAMES_MAX = 64

/** One try of one endpoint, in ms. */
export const TRY_MS = 1500

/** All tries of a question together, in ms: a round of three silent endpoints, or an election. */
export const ASK_MS = 4500

/** Between two rounds through the endpoints, in ms. */
export const ROUND_PAUSE_MS = 100

/** A watch that lacks an entry that is known to be there moves to the next endpoint after so many ms. */
export const SILENT_MS = 2500

/** The longest pause of a follower between two tries, in ms. It starts with none, and doubles. */
export const FOLLOW_PAUSE_MS_MAX = 1000

/** etcd ends connections that are pinged more often than every 5 s. */
export const KEEP_ALIVE_MS = 6000
export const KEEP_ALIVE_ANSWER_MS = 2000

/** From a lost connection to the next try, in ms, doubling up to the second. */
export const RECONNECT_MS = 100
export const RECONNECT_MS_MAX = 1000
