/**
 * @module How many ranges may be asked of upstream beside the fills: they hold slots for as long as
 * their clients read, so a client has two of them, and all together have a quarter of the slots.
 */

const perClientMax = 2

export class PassBudget {
  readonly #max: number
  readonly #byClient = new Map<string, number>()
  #taken = 0

  /** `slots`: requests that may be under way to one host. */
  constructor(slots: number) {
    this.#max = Math.max(1, Math.floor(slots / 4))
  }

  /** What gives it back, once; undefined when there is none left for this client. */
  take(client: string): (() => void) | undefined {
    const own = this.#byClient.get(client) ?? 0
    if (this.#taken >= this.#max || own >= perClientMax) return undefined
    this.#taken += 1
    this.#byClient.set(client, own + 1)
    let isTaken = true
    return () => {
      if (!isTaken) return
      isTaken = false
      this.#taken -= 1
      const left = this.#byClient.get(client)! - 1
      if (left === 0) this.#byClient.delete(client)
      else this.#byClient.set(client, left)
    }
  }
}
