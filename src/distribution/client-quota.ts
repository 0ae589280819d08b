/**
 * @module Open upload sessions per client address, so that one client cannot take them all.
 */
import { RegistryError } from '../registry/errors.ts'

export class ClientQuota {
  readonly #perClientMax: number
  readonly #counts = new Map<string, number>()
  #total = 0

  constructor(perClientMax: number) {
    this.#perClientMax = perClientMax
  }

  get total(): number {
    return this.#total
  }

  /** Counts one more. Throws UNAVAILABLE (503: clients go elsewhere or wait) at the bound. */
  take(client: string): void {
    const count = this.#counts.get(client) ?? 0
    if (count >= this.#perClientMax) {
      throw new RegistryError('UNAVAILABLE', {
        message: 'too many open upload sessions from this address; finish or cancel some',
        detail: { open: count, max: this.#perClientMax },
        headers: { 'Retry-After': '5' },
        refusal: 'too-many-uploads',
      })
    }
    this.restore(client)
  }

  /** Counts one more without asking: a session that is already there. */
  restore(client: string): void {
    this.#counts.set(client, (this.#counts.get(client) ?? 0) + 1)
    this.#total += 1
  }

  give(client: string): void {
    const count = this.#counts.get(client) ?? 0
    if (count === 0) return
    this.#total -= 1
    if (count === 1) this.#counts.delete(client)
    else this.#counts.set(client, count - 1)
  }
}
