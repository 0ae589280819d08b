/**
 * @module The rows as a worker reads them: batches of the memory map, the snapshot renewed between
 * them, so that a long walk never holds pages that the writer wants back.
 */
import { justAfter, lastText, nextKey } from '../../metadata/key-order.ts'
import { type LmdbEnvironment, prefixRange } from '../../metadata/lmdb/environment.ts'
import type { DatabaseName, Databases } from '../../metadata/schema.ts'
import type { Entry, Rows } from './rows.ts'

/** Keys read at once. */
const keysAtOnce = 1_000

export class WorkerRows implements Rows {
  readonly #environment: LmdbEnvironment

  constructor(environment: LmdbEnvironment) {
    this.#environment = environment
  }

  get<N extends DatabaseName>(
    database: N,
    key: Databases[N]['key'],
  ): Databases[N]['row'] | undefined {
    return this.#environment.get(database, key) as Databases[N]['row'] | undefined
  }

  *below<N extends DatabaseName>(database: N, prefix: readonly string[]): Generator<Entry<N>> {
    // A key that starts with the prefix and is longer: its next component is the place to go on.
    let last: string | undefined
    while (true) {
      const range = { ...prefixRange(prefix, last), limit: keysAtOnce }
      const batch = [...this.#environment.entries(database, range)]
      for (const { key, value } of batch) yield { key, row: value } as Entry<N>
      if (batch.length < keysAtOnce) return
      last = componentAfter(batch.at(-1)!.key, prefix)
    }
  }

  *keysBelow<N extends DatabaseName>(
    database: N,
    prefix: readonly string[],
  ): Generator<Databases[N]['key']> {
    let last: string | undefined
    while (true) {
      const range = { ...prefixRange(prefix, last), limit: keysAtOnce }
      const batch = [...this.#environment.keys(database, range)]
      for (const key of batch) yield key as Databases[N]['key']
      if (batch.length < keysAtOnce) return
      last = componentAfter(batch.at(-1), prefix)
    }
  }
}

/** Only for ranges one component deeper than their prefix: deeper ones would lose siblings. */
function componentAfter(key: unknown, prefix: readonly string[]): string {
  return typeof key === 'string' ? key : (key as readonly string[])[prefix.length]!
}

/** Keys read at once after a jump; more with every batch that is read in order. */
const keysAfterJump = 16

/** One database in key order from a digest on: looks ahead, jumps over what nobody asks for. */
export class DigestStream {
  readonly #environment: LmdbEnvironment
  readonly #database: DatabaseName
  #batch: unknown[] = []
  #index = 0
  #isAtEnd = false
  #start: readonly string[] | string
  #limit: number

  /**
   * `after`: the digest to begin behind; undefined for the beginning. `isWhole`: everything will be
   * read, so that it pays to read much at once.
   */
  constructor(
    environment: LmdbEnvironment,
    database: DatabaseName,
    after: string | undefined,
    isWhole = true,
  ) {
    this.#environment = environment
    this.#database = database
    this.#start = after === undefined ? '' : justAfter(after)
    this.#limit = isWhole ? keysAtOnce : keysAfterJump
  }

  /** The next key's components; undefined at the end. */
  peek(): readonly string[] | undefined {
    if (this.#index >= this.#batch.length) {
      if (this.#isAtEnd) return undefined
      this.#fill()
      if (this.#batch.length === 0) return undefined
    }
    const key = this.#batch[this.#index]
    return typeof key === 'string' ? [key] : (key as readonly string[])
  }

  next(): void {
    this.#index += 1
  }

  /** Calls back with every key of a digest; keys before it are passed over. */
  take(digest: string, onKey: (key: readonly string[]) => void): void {
    this.#jump(digest)
    for (let key = this.peek(); key !== undefined; key = this.peek()) {
      if (key[0]! > digest) return
      if (key[0] === digest) onKey(key)
      this.next()
    }
  }

  /** Passes over the batch when it ends before the digest, and reads on from there. */
  #jump(digest: string): void {
    const last = this.#batch.at(-1) as readonly string[] | string | undefined
    if (this.#isAtEnd) return
    if (last !== undefined && (typeof last === 'string' ? last : last[0]!) >= digest) return
    if (last !== undefined) this.#limit = Math.min(this.#limit, keysAfterJump * 8)
    this.#start = [digest]
    this.#index = this.#batch.length
  }

  #fill(): void {
    const limit = this.#limit
    const range = { start: this.#start, end: lastText, limit }
    this.#batch = [...this.#environment.keys(this.#database, range)]
    this.#index = 0
    this.#isAtEnd = this.#batch.length < limit
    this.#limit = Math.min(keysAtOnce, limit * 2)
    const last = this.#batch.at(-1)
    if (last !== undefined) this.#start = nextKey(last as string | readonly string[])
  }
}
