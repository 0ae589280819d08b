/**
 * @module Who has logged in well within the last day, and from where: known clients and known users
 * need not wait behind strangers. In memory alone: after a start everybody is a stranger once.
 */
import { BoundedMap } from '../runtime/bounded-map.ts'
import type { Clock } from '../runtime/clock.ts'

/** How long a good login counts, ms. */
const countsMs = 24 * 60 * 60 * 1000

/** Clients, users, and pairs of them that are remembered, of each; the oldest are forgotten first. */
const rememberedMax = 20_000

export class GoodLogins {
  readonly #clock: Pick<Clock, 'monotonic'>
  /** When each was last good, in that order. */
  readonly #clients = new BoundedMap<string, number>(rememberedMax)
  readonly #users = new BoundedMap<string, number>(rememberedMax)
  readonly #pairs = new BoundedMap<string, number>(rememberedMax)

  constructor(clock: Pick<Clock, 'monotonic'>) {
    this.#clock = clock
  }

  note(user: string, client: string): void {
    const now = this.#clock.monotonic()
    this.#clients.set(client, now)
    this.#users.set(user, now)
    this.#pairs.set(pairOf(user, client), now)
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

  #has(map: Map<string, number>, key: string): boolean {
    const at = map.get(key)
    return at !== undefined && this.#clock.monotonic() - at < countsMs
  }
}

/** A client's key has no space in it. */
function pairOf(user: string, client: string): string {
  return `${client} ${user}`
}
