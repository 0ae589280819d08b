/**
 * @module Open upload sessions per client (`runtime/client-key.ts`), so that one client cannot take
 * them all.
 */
import { RegistryError } from '../registry/errors.ts'
import { clientKey, networkKey, networkShare } from '../runtime/client-key.ts'

export class ClientQuota {
  readonly #perClientMax: number
  readonly #counts = new Map<string, number>()
  /** Sessions whose end may be written or not, and their clients. */
  readonly #inDoubt = new Map<string, string>()
  #total = 0

  constructor(perClientMax: number) {
    this.#perClientMax = perClientMax
  }

  get total(): number {
    return this.#total
  }

  /** Counts one more of an address. Throws TOO_MANY_UPLOADS (503: clients go elsewhere or wait) at the bound. */
  take(address: string): void {
    const client = clientKey(address)
    const network = networkKey(client)
    this.#requireRoom(client, this.#perClientMax)
    if (network !== undefined) this.#requireRoom(network, this.#perClientMax * networkShare)
    this.restore(address)
  }

  /** Counts one more without asking: a session that is already there. */
  restore(address: string): void {
    this.#total += 1
    this.#change(address, 1)
  }

  give(address: string): void {
    if (!this.#counts.has(clientKey(address))) return
    this.#total -= 1
    this.#change(address, -1)
  }

  /** Counts a session that has ended no more. */
  end(id: string, address: string): void {
    this.#inDoubt.delete(id)
    this.give(address)
  }

  /** It is not known whether the session has ended: `settle` finds out. */
  doubt(id: string, address: string): void {
    this.#inDoubt.set(id, address)
  }

  /** Counts no more what has ended of those in doubt. */
  settle(isOpen: (id: string) => boolean): void {
    for (const [id, address] of this.#inDoubt) if (!isOpen(id)) this.end(id, address)
  }

  #requireRoom(key: string, max: number): void {
    const count = this.#counts.get(key) ?? 0
    if (count < max) return
    throw new RegistryError('TOO_MANY_UPLOADS', { detail: { open: count, max } })
  }

  #change(address: string, by: 1 | -1): void {
    const client = clientKey(address)
    for (const key of [client, networkKey(client)]) {
      if (key === undefined) continue
      const count = (this.#counts.get(key) ?? 0) + by
      if (count === 0) this.#counts.delete(key)
      else this.#counts.set(key, count)
    }
  }
}
