/** @module The rows of a store at a moment, by database and key, and what follows from them. */

import { DATABASES, type DatabaseName, type Databases } from '../../src/metadata/schema.ts'
import type { Storage } from '../../src/storage/open.ts'

/** What clients see: of these nothing may go that is not in the plan. */
const VISIBLE = [
  'repositories',
  'tags',
  'tagsByDigest',
  'manifests',
  'parents',
  'referrers',
  'blobs',
  'links',
  'holders',
  'pulls',
] as const satisfies readonly DatabaseName[]
export type Visible = (typeof VISIBLE)[number]

/** The rows of a moment, by database and key. */
export class Snapshot {
  readonly #rows = new Map<DatabaseName, Map<string, unknown>>()

  constructor({ metadata }: Storage) {
    for (const database of Object.keys(DATABASES) as DatabaseName[]) {
      const entries = metadata.entries(database, [], undefined, 10_000)
      this.#rows.set(database, new Map(entries.map(({ key, row }) => [asText(key), row])))
    }
  }

  get<N extends DatabaseName>(database: N, ...key: string[]): Databases[N]['row'] | undefined {
    return this.#rows.get(database)!.get(asText(key)) as Databases[N]['row'] | undefined
  }

  keys(database: DatabaseName, ...prefix: string[]): string[][] {
    const all = [...this.#rows.get(database)!.keys()].map((text) => text.split(' '))
    return all.filter((key) => prefix.every((part, place) => key[place] === part))
  }

  has(database: DatabaseName, ...prefix: string[]): boolean {
    return this.keys(database, ...prefix).length > 0
  }

  visible(): Map<string, unknown> {
    const all = new Map<string, unknown>()
    for (const database of VISIBLE) {
      for (const [key, row] of this.#rows.get(database)!) all.set(`${database} ${key}`, row)
    }
    return all
  }

  /** Whether a pin holds a digest in a repository at a time. */
  isPinned(repository: string, digest: string, at: number): boolean {
    return this.keys('pins', digest).some((key) => {
      const pin = this.get('pins', ...key)!
      const isHere = pin.repository === undefined || pin.repository === repository
      return isHere && (pin.expiresAt === undefined || pin.expiresAt > at)
    })
  }

  pulledAt(repository: string, ...names: string[]): number {
    return Math.max(0, ...names.map((name) => this.get('pulls', repository, name) ?? 0))
  }

  reliedAt(repository: string, digest: string): number | undefined {
    const row = this.get('manifests', repository, digest)
    return row === undefined ? undefined : Math.max(row.pushedAt, row.reliedAt ?? 0)
  }
}

const asText = (key: string | readonly string[]) => (typeof key === 'string' ? key : key.join(' '))
