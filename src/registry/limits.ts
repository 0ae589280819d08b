/**
 * @module Every bound of the product that is not a setting: name, value, unit, reason. Memory is a
 * function of these and of the configuration, never of load.
 */
import assert from 'node:assert/strict'

const KiB = 1024
const MiB = 1024 * KiB

/** Longest repository name, characters. distribution/reference and the clients cap at 255. */
export const nameLengthMax = 255

/** Longest tag, characters (spec.md#pulling-manifests). */
export const tagLengthMax = 128

/** Largest manifest, bytes: what containers/image, oras and distribution read at most. */
export const manifestBytesMax = 4 * MiB

/** Deepest nesting of a manifest's JSON, levels: real ones have about five. */
export const manifestDepthMax = 64

/** Most descriptors in one manifest: 4 MiB hold no more than about this many. */
export const manifestDescriptorsMax = 50_000

/**
 * Most annotations of one manifest: they are shown in lists of referrers, and cross threads on their
 * way there.
 */
export const manifestAnnotationsMax = 10_000

/** Most `tag` parameters of one manifest PUT. The specification asks for at least ten. */
export const manifestTagsMax = 256

/** Most ranges in one request. containers/image sends up to 1,024 for zstd:chunked. */
export const rangesMax = 1024

/** Largest page of a tag list or catalog, entries; a larger `n` is clamped and gets a Link. */
export const pageEntriesMax = 10_000

/** Entries read from the metadata in one turn of the event loop (about 2 ms). */
export const scanEntriesPerTurn = 1_000

/**
 * Bytes of the annotations, as JSON, that an entry of a referrers list shows; one that has more shows
 * none, and its manifest has them. Also what one turn of the event loop decodes of such a list.
 */
export const referrerAnnotationsBytesMax = 64 * 1024

/** Largest page of referrers, bytes: containerd and oras read at most 4 MiB. */
export const referrersPageBytesMax = 3 * MiB

/** Body chunk handed to a worker, bytes: the most that uWebSockets.js delivers at once. */
export const chunkBytesMax = 512 * KiB

/**
 * What must be left of a request body for its socket to go to the worker that writes it, bytes: it costs
 * about 0.2 ms, as much as 1 MiB that the main thread copies.
 */
export const lentBytesMin = 1 * MiB

/** Bytes of one upload session between the socket and the disk before the socket is paused. */
export const sessionInFlightBytesMax = 4 * MiB

/** Bytes of all sessions between sockets and disk before every upload's socket is paused. */
export const totalInFlightBytesMax = 64 * MiB

/**
 * Bytes that the kernel holds of one response beyond those in flight. Of 128 KiB to 1 MiB, and no
 * bound at all, this was the fastest for 1 and 10 MiB.
 */
export const unsentBytesMax = 512 * KiB

/** The same over TLS: of 16 to 512 KiB, what is at most this was the fastest, by up to 1.4 times. */
export const unsentTlsBytesMax = 64 * KiB

/** Part of a blob that is offered to a socket at once, bytes. */
export const windowBytesMax = 1 * MiB

/** Bytes written to one response in one turn of the event loop: equal readers get equal shares. */
export const turnBytesMax = 1 * MiB

/** Upload sessions whose file and hash state a worker keeps open; beyond it the idle are parked. */
export const adoptedSessionsMax = 1024

/** Small upload sessions that stay in memory between requests; beyond it the idle go on from their rows. */
export const smallSessionsMax = 256

/** What all of them may have in memory, bytes. */
export const smallSessionsBytesMax = 16 * MiB

/** Uploads that go to a worker in one turn of the event loop: each costs about 0.2 ms. */
export const adoptionsPerTurnMax = 4

/** Attempts of a metadata transaction whose checks lost a race before the client hears 503. */
export const commitAttemptsMax = 16

/**
 * Bytes written to all responses together in one turn of the event loop (about 1 ms of copying, on a
 * busy machine 3): a thousand readers that are ready at once must not hold up everybody else.
 */
export const loopTurnBytesMax = 4 * MiB

/** Time after which a turn's sending ends, ms, whatever it has sent: the kernel may be slow to copy. */
export const loopTurnMsMax = 2

/** A response with so little left goes before those with more, bytes. */
export const littleLeftBytesMax = 64 * KiB

/** Longest digest that a URL may carry, characters (sha512 is 135). */
export const digestLengthMax = 256

assert.ok(sessionInFlightBytesMax >= 2 * chunkBytesMax, 'one chunk on the way, one being written')
assert.ok(totalInFlightBytesMax >= sessionInFlightBytesMax)
assert.ok(turnBytesMax >= windowBytesMax)
assert.ok(loopTurnBytesMax >= turnBytesMax)
