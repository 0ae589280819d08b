/**
 * @module The metadata on LMDB: reads from the memory map on this thread, writes as data to the
 * writer thread.
 */
import type { Digest } from '../../registry/digest.ts'
import { type EffectListener, retellEffects, tellEffects } from '../effects.ts'
import type { MetadataStore } from '../port.ts'
import type { PlaceRow } from '../rows/mesh.ts'
import type { DatabaseName, Databases } from '../schema.ts'
import type { CommitOutcome, Transaction } from '../transaction.ts'
import type { Commits, StartCommits } from './commits.ts'
import { backwardRange, type LmdbEnvironment, prefixRange } from './environment.ts'

/** What brings rows into memory on another thread. */
export interface RowPager {
  /** Undefined when the row was read lately. */
  pageIn(database: 'manifestBytes' | 'blobBytes', key: Digest): Promise<void> | undefined
}

export class LmdbMetadataStore implements MetadataStore {
  readonly #environment: LmdbEnvironment
  readonly #commits: Commits
  readonly #pager: RowPager
  readonly #listeners: EffectListener[] = []
  readonly #doubtListeners: (() => void)[] = []
  #commitCount = 0

  /** `startCommits` starts what takes transactions to the writer of the same environment. */
  constructor(environment: LmdbEnvironment, startCommits: StartCommits, pager: RowPager) {
    this.#environment = environment
    this.#pager = pager
    this.#commits = startCommits({
      refresh: () => environment.refresh(),
      shown: () => (environment.get('places', 'applied') as PlaceRow | undefined)?.index ?? 0,
      tell: (it, outcome) => {
        for (const listener of this.#listeners) tellEffects(it, outcome, listener)
      },
      retell: (effects) => {
        for (const listener of this.#listeners) retellEffects(effects, listener)
      },
      othersWrote: (count) => {
        this.#commitCount += count
      },
      doubt: () => {
        // It may have committed before it died.
        environment.refresh()
        for (const listener of this.#doubtListeners) listener()
      },
    })
  }

  get<N extends DatabaseName>(
    database: N,
    key: Databases[N]['key'],
  ): Databases[N]['row'] | undefined {
    return this.#environment.get(database, key) as Databases[N]['row'] | undefined
  }

  getBytes(database: 'manifestBytes' | 'blobBytes', key: Digest): Uint8Array | undefined {
    return this.#environment.getBytes(database, key)
  }

  keys<N extends DatabaseName>(
    database: N,
    prefix: readonly string[],
    last: string | undefined,
    limit: number,
  ): Databases[N]['key'][] {
    const range = { ...prefixRange(prefix, last), limit }
    return [...this.#environment.keys(database, range)] as Databases[N]['key'][]
  }

  entries<N extends DatabaseName>(
    database: N,
    prefix: readonly string[],
    last: string | undefined,
    limit: number,
  ): { key: Databases[N]['key']; row: Databases[N]['row'] }[] {
    const range = { ...prefixRange(prefix, last), limit }
    const found: { key: Databases[N]['key']; row: Databases[N]['row'] }[] = []
    for (const { key, value } of this.#environment.entries(database, range)) {
      found.push({ key, row: value } as (typeof found)[number])
    }
    return found
  }

  entriesWithin<N extends DatabaseName>(
    database: N,
    prefix: readonly string[],
    last: string | undefined,
    limit: number,
    bytesMax: number,
  ): { key: Databases[N]['key']; row: Databases[N]['row'] | undefined }[] {
    const found: { key: Databases[N]['key']; row: Databases[N]['row'] | undefined }[] = []
    let bytes = 0
    for (const key of this.keys(database, prefix, last, limit)) {
      const length = this.#environment.valueLength(database, key)
      bytes += length
      if (bytes > bytesMax && found.length > 0) break
      const row = length > bytesMax ? undefined : this.#environment.get(database, key)
      found.push({ key, row } as (typeof found)[number])
    }
    return found
  }

  keysBackward<N extends DatabaseName>(
    database: N,
    prefix: readonly string[],
    before: string | undefined,
    limit: number,
  ): Databases[N]['key'][] {
    const range = { ...backwardRange(prefix, before), limit }
    return [...this.#environment.keys(database, range)] as Databases[N]['key'][]
  }

  entriesBackward<N extends DatabaseName>(
    database: N,
    prefix: readonly string[],
    before: string | undefined,
    limit: number,
  ): { key: Databases[N]['key']; row: Databases[N]['row'] }[] {
    const range = { ...backwardRange(prefix, before), limit }
    const found: { key: Databases[N]['key']; row: Databases[N]['row'] }[] = []
    for (const { key, value } of this.#environment.entries(database, range)) {
      found.push({ key, row: value } as (typeof found)[number])
    }
    return found
  }

  pageIn(database: 'manifestBytes' | 'blobBytes', key: Digest): Promise<void> | undefined {
    return this.#pager.pageIn(database, key)
  }

  commit(transaction: Transaction): Promise<CommitOutcome> {
    this.#commitCount += 1
    return this.#commits.commit(transaction)
  }

  /** Whether other nodes change the rows, too. */
  get isShared(): boolean {
    return this.#commits.gate !== undefined
  }

  fresh(): Promise<void> | undefined {
    return this.#commits.gate?.fresh()
  }

  settled(path: string): Promise<void> | undefined {
    return this.#commits.gate?.settled(path)
  }

  count(database: DatabaseName): number {
    return this.#environment.count(database)
  }

  get commitCount(): number {
    return this.#commitCount
  }

  onApplied(listener: EffectListener): void {
    this.#listeners.push(listener)
  }

  onDoubt(listener: () => void): void {
    this.#doubtListeners.push(listener)
  }

  /** Whether writes are taken: for the health check. */
  get isHealthy(): boolean {
    return this.#commits.isUp
  }

  /** Lets the writer finish what it was given, then closes both sides. */
  async close(): Promise<void> {
    await this.#commits.close()
    await this.#environment.close()
  }
}
