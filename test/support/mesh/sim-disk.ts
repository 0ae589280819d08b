/**
 * @module The rows of a simulated node: a store with one writer whose last commits a loss of power undoes, all of
 * a commit or nothing of it, as LMDB without a flush of its meta page does.
 */
import type { ReplicaStore } from '../../../src/metadata/log/applier.ts'
import { DATABASES, type DatabaseName } from '../../../src/metadata/schema.ts'

type Key = string | readonly string[]

interface Undo {
  readonly database: DatabaseName
  readonly name: string
  readonly before: { readonly key: Key; readonly row: unknown } | undefined
}

/** Commits that a loss of power may undo. */
const undoneMax = 3

export class SimDisk implements ReplicaStore {
  readonly #tables = new Map<
    DatabaseName,
    Map<string, { readonly key: Key; readonly row: unknown }>
  >()
  #commits: Undo[][] = []
  #open: Undo[] | undefined
  /** Kept beside the rows, flushed: the number of the node's last run. */
  boot = 0
  /** Thrown by every write while it is set. */
  failure: Error | undefined

  writeSync<T>(work: () => T): T {
    if (this.failure !== undefined) throw this.failure
    this.#open = []
    try {
      const result = work()
      this.#commits.push(this.#open)
      if (this.#commits.length > undoneMax) this.#commits.shift()
      return result
    } catch (error) {
      this.#undo(this.#open)
      throw error
    } finally {
      this.#open = undefined
    }
  }

  /** Undoes the last commits. */
  losePower(commits: number): void {
    for (const commit of this.#commits
      .splice(Math.max(0, this.#commits.length - commits))
      .reverse()) {
      this.#undo(commit)
    }
  }

  get(database: DatabaseName, key: unknown): unknown {
    return this.#table(database).get(JSON.stringify(key))?.row
  }

  put(database: DatabaseName, key: unknown, row: unknown): void {
    const name = this.#change(database, key as Key)
    this.#table(database).set(name, { key: key as Key, row })
  }

  delete(database: DatabaseName, key: unknown): void {
    this.#table(database).delete(this.#change(database, key as Key))
  }

  firstKeys(database: DatabaseName, prefix: readonly string[], limit?: number): unknown[] {
    const found: Key[] = []
    for (const { key } of this.#table(database).values()) {
      const components = typeof key === 'string' ? [key] : key
      if (prefix.every((part, at) => components[at] === part)) found.push(key)
    }
    return found.sort(byBytes).slice(0, limit)
  }

  keysFrom(database: DatabaseName, start: readonly string[], limit: number): (readonly string[])[] {
    const found: (readonly string[])[] = []
    for (const { key } of this.#table(database).values()) {
      if (typeof key !== 'string' && byComponents(key, start) >= 0) found.push(key)
    }
    return found.sort(byComponents).slice(0, limit)
  }

  /** Every shared row, in order: equal for equal nodes. */
  sharedRows(): string {
    const lines: string[] = []
    for (const [database, table] of this.#tables) {
      if (DATABASES[database].scope !== 'shared') continue
      for (const { key, row } of table.values()) lines.push(JSON.stringify([database, key, row]))
    }
    return lines.sort((one, other) => (one < other ? -1 : 1)).join('\n')
  }

  #table(database: DatabaseName) {
    let table = this.#tables.get(database)
    if (table === undefined) {
      table = new Map()
      this.#tables.set(database, table)
    }
    return table
  }

  #change(database: DatabaseName, key: Key): string {
    if (this.#open === undefined) throw new Error('written outside of a transaction')
    const name = JSON.stringify(key)
    this.#open.push({ database, name, before: this.#table(database).get(name) })
    return name
  }

  #undo(changes: readonly Undo[]): void {
    for (const { database, name, before } of [...changes].reverse()) {
      if (before === undefined) this.#table(database).delete(name)
      else this.#table(database).set(name, before)
    }
  }
}

function byBytes(one: Key, other: Key): number {
  return Buffer.compare(Buffer.from(JSON.stringify(one)), Buffer.from(JSON.stringify(other)))
}

/** Components in the order of their bytes, a key before those that begin with it. */
function byComponents(one: readonly string[], other: readonly string[]): number {
  for (const [at, component] of one.entries()) {
    const next = other[at]
    if (next === undefined) return 1
    const order = Buffer.compare(Buffer.from(component), Buffer.from(next))
    if (order !== 0) return order
  }
  return one.length - other.length
}
