/**
 * @module Which members were away for too long: others get what they had. Measured by the clock of the node that acts
 * for all, from when it saw them go; another one that takes over begins again.
 */
import type { MeshMember } from '../peers/peers.ts'

export class Away {
  readonly #afterMs: number
  /** By member: since when, ms of a monotonic clock. */
  readonly #since = new Map<number, number>()

  /** `afterMs`: from then on a member counts as out. */
  constructor(afterMs: number) {
    this.#afterMs = afterMs
  }

  /** Looks at the members now; those that are to be out. To be called while this node acts for all. */
  look(
    members: readonly MeshMember[],
    isPresent: (member: number) => boolean,
    now: number,
  ): readonly number[] {
    const out: number[] = []
    for (const { number, state } of members) {
      if (state !== 'active' || isPresent(number)) {
        this.#since.delete(number)
        continue
      }
      const since = this.#since.get(number) ?? now
      this.#since.set(number, since)
      if (now - since >= this.#afterMs) out.push(number)
    }
    return out
  }

  /** This node does not act for all: what it has seen counts no more. */
  forget(): void {
    this.#since.clear()
  }
}
