/**
 * @module Which members have room for files: each says it when it is asked, which is every few seconds while it runs.
 * What is not known counts as room: a member that has none refuses what it is sent.
 */
import type { Room } from '../../../blobs/port.ts'
import type { Time } from '../../../metadata/log/etcd/time.ts'

/** Between two questions to a member, and how long an answer counts, ms. */
const askEveryMs = 5_000
const freshMs = 20_000

/** What a member says: how many bytes it can still take above its reserve, at least 0. */
export interface RoomWord {
  readonly bytes: number
  /** How much of its disk is used, in thousandths; undefined: that is not known. */
  readonly used?: number | undefined
  /** Files that it gets from others now. Default 0. */
  readonly files?: number
}

/** What a new file would come on top of. */
export interface Burden {
  readonly used: number | undefined
  readonly files: number
}

export interface RoomsParts {
  readonly self: number
  /** Of this node. */
  readonly own: Room
  /** Other members that are known to run now. */
  readonly present: () => readonly number[]
  readonly ask: (member: number) => Promise<RoomWord>
  readonly time: Pick<Time, 'monotonic'>
}

interface Known extends RoomWord {
  readonly at: number
}

export class Rooms {
  readonly #parts: RoomsParts
  readonly #known = new Map<number, Known>()
  readonly #asking = new Set<number>()
  /** Files that were given to each since it has said how many it gets. */
  readonly #given = new Map<number, number>()
  #askedAt: number | undefined

  constructor(parts: RoomsParts) {
    this.#parts = parts
  }

  /** To be called about once a second. */
  tick(): void {
    const now = this.#parts.time.monotonic()
    if (this.#askedAt !== undefined && now - this.#askedAt < askEveryMs) return
    this.#askedAt = now
    for (const [member, { at }] of this.#known) {
      if (now - at >= freshMs) this.#known.delete(member)
    }
    for (const member of this.#parts.present()) {
      if (!this.#asking.has(member)) void this.#ask(member)
    }
  }

  /** Whether a member takes files, as far as that is known. */
  has(member: number): boolean {
    const { self, own } = this.#parts
    if (member === self) return own.hasRoom
    const known = this.#fresh(member)
    return known === undefined || known.bytes > 0
  }

  /** Of these members the one with most room that is known to run; undefined: none is known to have any. */
  roomiest(members: readonly number[]): number | undefined {
    const present = new Set(this.#parts.present())
    let best: { readonly member: number; readonly bytes: number } | undefined
    for (const member of members) {
      const bytes = present.has(member) ? (this.#fresh(member)?.bytes ?? 0) : 0
      if (bytes > (best?.bytes ?? 0)) best = { member, bytes }
    }
    return best?.member
  }

  /** As far as that is known. */
  burdenOf(member: number): Burden {
    const { self, own } = this.#parts
    const given = this.#given.get(member) ?? 0
    if (member === self) return { used: usedOf(own), files: given }
    const known = this.#fresh(member)
    return { used: known?.used, files: (known?.files ?? 0) + given }
  }

  /** These get a file more. */
  give(members: readonly number[]): void {
    for (const member of members) this.#given.set(member, (this.#given.get(member) ?? 0) + 1)
  }

  async #ask(member: number): Promise<void> {
    this.#asking.add(member)
    try {
      const word = await this.#parts.ask(member)
      this.#known.set(member, { ...word, at: this.#parts.time.monotonic() })
      this.#given.delete(member)
    } catch {
      // It is asked again, and until then what it has said before counts for a while.
    } finally {
      this.#asking.delete(member)
    }
  }

  #fresh(member: number): Known | undefined {
    const known = this.#known.get(member)
    if (known === undefined) return undefined
    return this.#parts.time.monotonic() - known.at < freshMs ? known : undefined
  }
}

/** What this node says of itself. */
export function roomOf(room: Room): RoomWord {
  const used = usedOf(room)
  return { bytes: takesOf(room), ...(used !== undefined && { used }) }
}

function takesOf({ hasRoom, freeBytes, reserveBytes }: Room): number {
  if (!hasRoom) return 0
  // Nothing is known of a bound: more than any disk has.
  if (!Number.isFinite(freeBytes)) return Number.MAX_SAFE_INTEGER
  return Math.max(0, Math.min(Number.MAX_SAFE_INTEGER, freeBytes - reserveBytes))
}

function usedOf({ freeBytes, totalBytes = 0 }: Room): number | undefined {
  if (totalBytes <= 0 || freeBytes > totalBytes) return undefined
  return Math.round((1 - freeBytes / totalBytes) * 1_000)
}
