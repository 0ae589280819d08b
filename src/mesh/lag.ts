/**
 * @module How far reads here are behind those of the other members. A node that is slow makes every write wait for
 * it: one that stays behind takes itself out of the set, and asks the log for each read until it keeps up again.
 */
import type { ReadMode } from '../metadata/entry.ts'

/** Behind the others for so long, ms: everybody is, now and then. */
const lagMsMax = 250

/** Behind for so long makes a member step out, or so far behind at once, ms. */
const behindMsMax = 5_000
const lagMsEnd = 800

/** A member that has kept up for so long comes back, ms. */
const keptUpMs = 60_000

/** Entries that are remembered: a second of a busy mesh. */
const heardMax = 1_000

export class Lag {
  /** When the others showed entries that are not shown here, oldest first. */
  #heard: { readonly index: number; readonly at: number }[] = []
  #behindSince: number | undefined
  #keptUpSince: number | undefined

  /** What the others show, in any order; the middle one of them counts, or the one before it. */
  hear(shown: number[], now: number): void {
    const index = lowerMedian(shown)
    // The oldest decides; a node that is cut off from the log hears of ever newer ones.
    if (this.#heard.length >= heardMax) return
    if (index > (this.#heard.at(-1)?.index ?? 0)) this.#heard.push({ index, at: now })
  }

  /** For how long the others have shown what is not shown here, ms. */
  of(visible: number, now: number): number {
    let count = 0
    while (count < this.#heard.length && this.#heard[count]!.index <= visible) count += 1
    if (count > 0) this.#heard = this.#heard.slice(count)
    const [first] = this.#heard
    return first === undefined ? 0 : now - first.at
  }

  /** How the member should answer reads from now on, as it is configured to answer on its own. */
  judge(mode: ReadMode, visible: number, now: number): ReadMode {
    const lag = this.of(visible, now)
    if (lag > lagMsMax) {
      this.#behindSince ??= now
      this.#keptUpSince = undefined
    } else {
      this.#behindSince = undefined
      this.#keptUpSince ??= now
    }
    if (mode === 'barrier') return this.#hasKeptUp(now) ? 'strict' : 'barrier'
    const isBehind = this.#behindSince !== undefined && now - this.#behindSince > behindMsMax
    return isBehind || lag > lagMsEnd ? 'barrier' : 'strict'
  }

  #hasKeptUp(now: number): boolean {
    return this.#keptUpSince !== undefined && now - this.#keptUpSince > keptUpMs
  }
}

function lowerMedian(all: number[]): number {
  all.sort((one, other) => one - other)
  return all[(all.length - 1) >> 1]!
}
