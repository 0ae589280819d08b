/**
 * @module How far the wall clocks of the members are apart, by what their beats say. Ages decide what a collection
 * removes, and the time of a push is that of the node which took it.
 *
 * A beat is heard later than it was said, by a time that is not known. So each says at least how far a clock is
 * ahead of the time at which it was heard; of some beats of a member the one that was least late counts.
 */
import type { SeenEntry } from '../metadata/entry.ts'

/** Beats of a member that are compared: so many seconds. */
const beatsKept = 10

/** Beats until a member's clock counts: the first may have been on its way for long. */
const beatsLeast = 3

export class MemberClocks {
  readonly #monotonic: () => number
  /** By member: how far its clock is ahead of the monotonic one here, by its last beats. */
  readonly #ahead = new Map<number, readonly number[]>()

  /** `monotonic`: a clock of this node that never steps, ms. */
  constructor(monotonic: () => number) {
    this.#monotonic = monotonic
  }

  /** Entries were applied, and reads here show them. */
  onSeen(entries: readonly SeenEntry[]): void {
    for (const { member, controls, done } of entries) {
      for (const [at, it] of controls.entries()) {
        if (done[at] !== true) continue
        if (it.control === 'absent') this.#ahead.delete(it.member)
        if (it.control !== 'beat' || !Number.isFinite(it.clock)) continue
        const before = this.#ahead.get(member) ?? []
        this.#ahead.set(member, [...before, it.clock! - this.#monotonic()].slice(-beatsKept))
      }
    }
  }

  /** Between the clocks of the members that take part, ms; 0 until two have said theirs. */
  get spreadMs(): number {
    let least = Number.POSITIVE_INFINITY
    let most = Number.NEGATIVE_INFINITY
    for (const all of this.#ahead.values()) {
      if (all.length < beatsLeast) continue
      const ahead = Math.max(...all)
      least = Math.min(least, ahead)
      most = Math.max(most, ahead)
    }
    return Math.max(0, most - least)
  }
}
