/**
 * @module Bounds of a fill: how long it goes on without bytes, without readers, and without a length.
 */

/** Time without a byte of progress after which a fill that began is given up, ms. */
export const noProgressMs = 38_000

/** A fill that nobody reads goes on when this share of it, or all but this much, has come. */
export const keptShare = 0.25
export const keptRestBytes = 32 * 1024 * 1024

/** Attempts in a row that bring less than this much, and the pause before the first of them, ms. */
export const attemptsMax = 5
export const attemptBytesMin = 256 * 1024
export const resumeAfterMs = 100

/** Most bytes of a body whose length nobody tells. */
export const unknownBytesMax = 2 * 1024 * 1024 * 1024

/** Without readers it waits so long for the next one, ms. */
export const lingerMs = 3_000
