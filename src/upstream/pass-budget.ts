/**
 * @module How many ranges may be asked of upstream beside the fills: they hold slots for as long as
 * their clients read, so a client has two of them, a /48 at most half of all, and all together have a
 * quarter of the slots.
 */
import { networkKey } from '../runtime/client-key.ts'

const perClientMax = 2

export class PassBudget {
  #slots!: number
  #max!: number
  /** By client and by /48. */
  readonly #counts = new Map<string, number>()
  #taken = 0

  /** `slots`: requests that may be under way to one host. */
  constructor(slots: number) {
    this.#set(slots)
  }

  /** For so many slots from now on, unless it is for fewer already; what is taken stays taken. */
  lower(slots: number): void {
    this.#set(Math.min(slots, this.#slots))
  }

  #set(slots: number): void {
    this.#slots = slots
    this.#max = Math.max(1, Math.floor(slots / 4))
  }

  /** What gives it back, once; undefined when there is none left for this client (its key). */
  take(client: string): (() => void) | undefined {
    const network = networkKey(client)
    if (this.#taken >= this.#max || this.#countOf(client) >= perClientMax) return undefined
    const networkMax = Math.max(perClientMax, Math.floor(this.#max / 2))
    if (network !== undefined && this.#countOf(network) >= networkMax) return undefined
    const keys = network === undefined ? [client] : [client, network]
    this.#change(keys, 1)
    let isTaken = true
    return () => {
      if (isTaken) this.#change(keys, -1)
      isTaken = false
    }
  }

  #countOf(key: string): number {
    return this.#counts.get(key) ?? 0
  }

  #change(keys: readonly string[], by: 1 | -1): void {
    this.#taken += by
    for (const key of keys) {
      const count = this.#countOf(key) + by
      if (count === 0) this.#counts.delete(key)
      else this.#counts.set(key, count)
    }
  }
}
