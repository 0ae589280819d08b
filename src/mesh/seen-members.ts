/**
 * @module What this node has seen of the runs of all members in the log, and beside it: who takes part, what their
 * reads show, and since when they are silent. It asks nothing, and says nothing.
 */
import type { ReadMode, SeenEntry } from '../metadata/entry.ts'
import type { SessionRow } from '../metadata/rows/mesh.ts'

export interface SeenMember {
  readonly boot: number
  readonly presentAt: number
  readonly reads: ReadMode
  readonly beat: number
  /** What its reads show, at least. */
  readonly visible: number
  /** When its last sign of life was applied here. */
  readonly seenAt: number
  /** Its beat for which it was said to be absent. */
  readonly saidAbsent: number
}

export class SeenMembers {
  readonly #all = new Map<number, SeenMember>()

  /** `sessions`: as they are stored, by member. Times are monotonic, ms. */
  constructor(sessions: Iterable<readonly [number, SessionRow]>, now: number) {
    for (const [member, { boot, presentAt, reads, beat, visible }] of sessions) {
      const said = { boot, presentAt, reads, beat, visible }
      this.#all.set(member, { ...said, seenAt: now, saidAbsent: 0 })
    }
  }

  get(member: number): SeenMember | undefined {
    return this.#all.get(member)
  }

  /** Members whose reads writes wait for. */
  get serving(): readonly number[] {
    return [...this.#all].filter(([, it]) => isServing(it)).map(([member]) => member)
  }

  /** What the reads of those of them show that are not `member`. */
  shownByOthers(member: number): number[] {
    const others: number[] = []
    for (const [number, it] of this.#all) {
      if (number !== member && isServing(it)) others.push(it.visible)
    }
    return others
  }

  onPresent({ index, member, boot }: SeenEntry, reads: ReadMode, now: number): void {
    const seen = { presentAt: index, beat: index, visible: index, seenAt: now }
    this.#all.set(member, { boot, reads, saidAbsent: 0, ...seen })
  }

  onBeat(index: number, member: number, said: number, now: number): void {
    const known = this.#all.get(member)
    if (known === undefined) return
    const visible = Math.max(known.visible, said)
    this.#all.set(member, { ...known, beat: index, visible, seenAt: now })
  }

  onAbsent(member: number): void {
    const known = this.#all.get(member)
    if (known !== undefined) this.#all.set(member, { ...known, presentAt: 0 })
  }

  /** A member says what its reads show, beside the log. False: that is not new. */
  onReport(member: number, boot: number, visible: number): boolean {
    const known = this.#all.get(member)
    if (known === undefined || known.boot !== boot || visible <= known.visible) return false
    this.#all.set(member, { ...known, visible })
    return true
  }

  /** Nothing could be heard for so long, ms: it does not count as silence of theirs. */
  excuse(ms: number): void {
    for (const [member, it] of this.#all) {
      this.#all.set(member, { ...it, seenAt: it.seenAt + ms })
    }
  }

  /** Those that were not heard of since, and for whose last beat that was not told before. */
  *silentSince(since: number): Generator<readonly [number, SeenMember]> {
    for (const [member, it] of this.#all) {
      if (it.presentAt === 0 || it.saidAbsent === it.beat || it.seenAt >= since) continue
      this.#all.set(member, { ...it, saidAbsent: it.beat })
      yield [member, it]
    }
  }
}

function isServing({ presentAt, reads }: SeenMember): boolean {
  return presentAt > 0 && reads === 'strict'
}
