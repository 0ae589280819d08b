/**
 * @module Who has logged in well within the last day, and from where: known clients and known users
 * need not wait behind strangers. In memory alone: after a start everybody is a stranger once.
 */
import type { Clock } from '../runtime/clock.ts'

/** How long a good login counts, ms. */
const countsMs = 24 * 60 * 60 * 1000

/** Clients, users, and pairs of them that are remembered, of each; the oldest are forgotten first. */
const rememberedMax = 20_000

export class GoodLogins {
  readonly #clock: Pick<Clock, 'monotonic'>
  /** When each was last good, in that order. */
  readonly #clients = new Map<string, number>()
  readonly #users = new Map<string, number>()
  readonly #pairs = new Map<string, number>()

  constructor(clock: Pick<Clock, 'monotonic'>) {
    this.#clock = clock
  }

  note(user: string, client: string): void {
    this.#put(this.#clients, client)
    this.#put(this.#users, user)
    this.#put(this.#pairs, pairOf(user, client))
  }

  hasClient(client: string): boolean {
    return this.#has(this.#clients, client)
  }

  hasUser(user: string): boolean {
    return this.#has(this.#users, user)
  }

  /** Whether this user has come from this client. */
  hasPair(user: string, client: string): boolean {
    return this.#has(this.#pairs, pairOf(user, client))
  }

  #put(map: Map<string, number>, key: string): void {
    map.delete(key)
    if (map.size >= rememberedMax) map.delete(map.keys().next().value!)
    map.set(key, this.#clock.monotonic())
  }

  #has(map: Map<string, number>, key: string): boolean {
    const at = map.get(key)
    return at !== undefined && this.#clock.monotonic() - at < countsMs
  }
}

/** A client's key has no space in it. */
function pairOf(user: string, client: string): string {
  return `${client} ${user}`
}
