/**
 * @module Version 4: events have numbers, and the lists of people have indexes. Events that were keyed
 * by time are numbered in that order; everything that `derived-rows.ts` keeps is made from the rows
 * that are there. Works through a repository at a time, some hundred rows in a transaction.
 */

import { imageSize } from './image-size.ts'
import type { MetadataStore } from './port.ts'
import type { DatabaseName, Databases } from './schema.ts'
import type { Change } from './transaction.ts'

const rowsAtOnce = 1_000

/** May be interrupted and then runs again: what it has derived is emptied first. */
export async function numberAndIndex(metadata: MetadataStore): Promise<void> {
  const each = new Batches(metadata)
  await each.of('events', [], numbered)
  for (const repository of each.keys('repositories')) {
    await each.of('manifests', [repository], (key, row): Change[] => {
      const imageBytes = imageSize(metadata, key[0], { digest: key[1] })
      return row.imageBytes === imageBytes
        ? []
        : [{ change: 'put', in: 'manifests', key, row: { ...row, imageBytes } }]
    })
  }
  // Sums that an open transaction has read are not those that are emptied behind it.
  await each.flush()
  await empty(each)
  await each.flush()
  // A repository comes before what is in it, a manifest's tags before its pulls.
  for (const repository of each.keys('repositories')) {
    each.add({ change: 'rederive', in: 'repositories', key: repository })
    await each.rederive('manifests', [repository])
    await each.rederive('tags', [repository])
    for (const digest of each.keys('manifests', repository)) {
      await each.rederive('tagsByDigest', [repository, digest])
    }
    await each.rederive('pulls', [repository])
  }
  await each.rederive('blobs', [])
  await each.rederive('trash', [])
  for (const digest of each.keys('blobs')) await each.rederive('holders', [digest])
  await each.flush()
}

/** Old keys begin with a time and have a dash; new ones have none and come before all of them. */
function numbered(key: string, row: Databases['events']['row']): Change[] {
  if (!key.includes('-')) return []
  return [
    { change: 'delete', in: 'events', key },
    { change: 'event', in: 'events', row },
  ]
}

async function empty(each: Batches): Promise<void> {
  for (const repository of each.keys('repositories')) {
    for (const order of ['pushed', 'pulled', 'size']) {
      await each.delete('tagOrder', [repository, order])
    }
  }
  for (const order of ['pushed', 'pulled', 'size']) await each.delete('repositoryOrder', [order])
  await each.delete('repositorySums', [])
  for (const name of ['blobBytes', 'linkedBytes', 'trashBytes']) {
    each.add({ change: 'delete', in: 'system', key: name })
  }
}

class Batches {
  readonly #metadata: MetadataStore
  /** Changes of many small ranges share a transaction. */
  #changes: Change[] = []

  constructor(metadata: MetadataStore) {
    this.#metadata = metadata
  }

  /** Notes what is to be done for every row below a prefix one component shorter than the keys. */
  async of<N extends DatabaseName>(
    database: N,
    prefix: readonly string[],
    changesOf: (key: Databases[N]['key'], row: Databases[N]['row']) => readonly Change[],
  ): Promise<void> {
    let last: string | undefined
    while (true) {
      const rows = this.#metadata.entries(database, prefix, last, rowsAtOnce)
      for (const { key, row } of rows) this.#changes.push(...changesOf(key, row))
      if (this.#changes.length >= rowsAtOnce) await this.flush()
      if (rows.length < rowsAtOnce) return
      last = lastOf(rows.at(-1)!.key)
    }
  }

  rederive(database: DatabaseName, prefix: readonly string[]): Promise<void> {
    return this.of(database, prefix, (key) => [{ change: 'rederive', in: database, key } as Change])
  }

  delete(database: DatabaseName, prefix: readonly string[]): Promise<void> {
    return this.of(database, prefix, (key) => [{ change: 'delete', in: database, key } as Change])
  }

  add(change: Change): void {
    this.#changes.push(change)
  }

  /** Last components of all keys, which stay as they are meanwhile. */
  *keys(database: 'repositories' | 'blobs' | 'manifests', ...prefix: string[]): Generator<never> {
    let last: string | undefined
    while (true) {
      const keys = this.#metadata.keys(database, prefix, last, rowsAtOnce)
      for (const key of keys) yield lastOf(key) as never
      if (keys.length < rowsAtOnce) return
      last = lastOf(keys.at(-1)!)
    }
  }

  /** Applies what waits, in the order in which it was asked for. */
  async flush(): Promise<void> {
    const changes = this.#changes
    this.#changes = []
    if (changes.length > 0) await this.#metadata.commit({ checks: [], changes })
  }
}

function lastOf(key: string | readonly string[]): string {
  return typeof key === 'string' ? key : key.at(-1)!
}
