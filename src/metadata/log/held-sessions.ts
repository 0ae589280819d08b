/**
 * @module The rows of a store with those of the sessions in memory: they change with every entry, and once a
 * second with each member's beat. They are written with the next entry that changes more.
 */

import type { RowAccess } from '../row-access.ts'
import type { PlaceRow, SessionRow } from '../rows/mesh.ts'
import type { DatabaseName } from '../schema.ts'

export class HeldSessions implements RowAccess {
  readonly #store: RowAccess
  /** Applied, and not in the store. */
  readonly #held = new Map<string, SessionRow>()
  /** Of what is being applied. */
  #staged = new Map<string, SessionRow>()
  /** Members of which the store has no pieces of a body: nearly every entry is whole, and each one asks. */
  readonly #withoutParts = new Set<string>()

  constructor(store: RowAccess) {
    this.#store = store
  }

  get(database: DatabaseName, key: unknown): unknown {
    if (database !== 'sessions') return this.#store.get(database, key)
    const member = key as string
    return this.#staged.get(member) ?? this.#held.get(member) ?? this.#store.get('sessions', key)
  }

  put(database: DatabaseName, key: unknown, row: unknown): void {
    if (database === 'sessions') this.#staged.set(key as string, row as SessionRow)
    else {
      if (database === 'parts') this.#withoutParts.delete((key as readonly string[])[0]!)
      this.#store.put(database, key, row)
    }
  }

  delete(database: DatabaseName, key: unknown): void {
    this.#store.delete(database, key)
  }

  firstKeys(database: DatabaseName, prefix: readonly string[], limit?: number): unknown[] {
    if (database !== 'parts') return this.#store.firstKeys(database, prefix, limit)
    const [member] = prefix as readonly [string]
    if (this.#withoutParts.has(member)) return []
    const keys = this.#store.firstKeys(database, prefix, limit)
    if (keys.length === 0) this.#withoutParts.add(member)
    return keys
  }

  keysFrom(database: DatabaseName, start: readonly string[], limit: number): (readonly string[])[] {
    return this.#store.keysFrom(database, start, limit)
  }

  /** Whether there is something that the store does not have. */
  get isHeld(): boolean {
    return this.#held.size > 0
  }

  /** Writes it all, within the caller's write transaction. `written` says when that has ended. */
  write(place: PlaceRow): void {
    for (const [member, row] of [...this.#held, ...this.#staged]) {
      this.#store.put('sessions', member, row)
    }
    this.#store.put('places', 'applied', place)
  }

  /** What is staged is in the store, with all that was held. */
  written(): void {
    this.#held.clear()
    this.#staged.clear()
  }

  /** What is staged was applied, and stays here. */
  hold(): void {
    for (const [member, row] of this.#staged) this.#held.set(member, row)
    this.#staged.clear()
  }

  /** What is staged was not applied. */
  abandon(): void {
    this.#staged.clear()
    // The store may have again what was deleted.
    this.#withoutParts.clear()
  }
}
