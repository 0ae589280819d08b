/**
 * @module The sums of repositories while a commit is made: read at the first change, written once at
 * its end, with their places among the repositories. Part of `derived-rows.ts`.
 */

import { orderedKey } from './ordered-key.ts'
import type { RowAccess } from './row-access.ts'
import type { Databases, RepositorySums } from './schema.ts'

type RepositoryName = Databases['repositories']['key']
type Digest = Databases['blobs']['key']

/** Bytes of all blobs, of all blobs once for each holder, of what lies in the trash. */
export type StoreSum = 'blobBytes' | 'linkedBytes' | 'trashBytes'

type Open = { -readonly [K in keyof RepositorySums]: RepositorySums[K] }

export const noSums: RepositorySums = {
  tags: 0,
  manifests: 0,
  pushedAt: 0,
  pulledAt: 0,
  logicalBytes: 0,
  exclusiveBytes: 0,
  isListed: false,
}

export class RepositorySumsChanges {
  readonly #rows: RowAccess
  readonly #open = new Map<RepositoryName, { before: RepositorySums | undefined; now: Open }>()

  readonly #store = new Map<StoreSum, number>()
  /** The blob that came last and who held it then: its first holder comes right behind it. */
  #arrived: { readonly digest: Digest; readonly holders: readonly RepositoryName[] } | undefined

  constructor(rows: RowAccess) {
    this.#rows = rows
  }

  /** The sums of a repository, to be changed in place. */
  change(repository: RepositoryName): Open {
    let open = this.#open.get(repository)
    if (open === undefined) {
      const before = this.#rows.get('repositorySums', repository) as RepositorySums | undefined
      open = { before, now: { ...noSums, ...before } }
      this.#open.set(repository, open)
    }
    return open.now
  }

  /** A repository gets or loses a blob. What it holds already is not in `holders` twice. */
  hold([digest, repository]: Databases['holders']['key'], isGained: boolean): void {
    const sizeBytes = this.#sizeOf(digest)
    if (sizeBytes === 0) return
    const holders = this.#arrived?.digest === digest ? this.#arrived.holders : undefined
    const others = (holders ?? this.#holders(digest, 3)).filter((name) => name !== repository)
    this.#arrived = undefined
    const sign = isGained ? 1 : -1
    const sums = this.change(repository)
    sums.logicalBytes += sign * sizeBytes
    this.add('linkedBytes', sign * sizeBytes)
    if (others.length === 0) sums.exclusiveBytes += sign * sizeBytes
    else if (others.length === 1) this.change(others[0]!).exclusiveBytes -= sign * sizeBytes
  }

  /** A blob that somebody holds came, or went as a damaged one does. */
  resize(digest: Digest, by: number): void {
    const holders = this.#holders(digest)
    this.#arrived = { digest, holders }
    this.add('blobBytes', by)
    this.add('linkedBytes', by * holders.length)
    for (const repository of holders) this.change(repository).logicalBytes += by
    if (holders.length === 1) this.change(holders[0]!).exclusiveBytes += by
  }

  /** A sum over the whole store, in `totals`. */
  add(name: StoreSum, by: number): void {
    if (by !== 0) this.#store.set(name, (this.#store.get(name) ?? 0) + by)
  }

  flush(): void {
    this.#arrived = undefined
    for (const [name, by] of this.#store) {
      const before = (this.#rows.get('totals', name) ?? 0) as number
      this.#rows.put('totals', name, before + by)
    }
    this.#store.clear()
    for (const [repository, { before, now }] of this.#open) {
      if (isEmpty(now)) this.#rows.delete('repositorySums', repository)
      else this.#rows.put('repositorySums', repository, now)
      for (const [order, field] of ORDERS) {
        const old = before?.isListed === true ? before[field] : undefined
        const value = now.isListed ? now[field] : undefined
        if (old === value) continue
        if (old !== undefined) {
          this.#rows.delete('repositoryOrder', [order, orderedKey(old, repository)])
        }
        if (value !== undefined) {
          this.#rows.put('repositoryOrder', [order, orderedKey(value, repository)], true)
        }
      }
    }
    this.#open.clear()
  }

  #sizeOf(digest: Digest): number {
    const row = this.#rows.get('blobs', digest) as Databases['blobs']['row'] | undefined
    return row?.sizeBytes ?? 0
  }

  #holders(digest: Digest, limit?: number): RepositoryName[] {
    const keys = this.#rows.firstKeys('holders', [digest], limit)
    return (keys as Databases['holders']['key'][]).map(([, repository]) => repository)
  }
}

const ORDERS = [
  ['pushed', 'pushedAt'],
  ['pulled', 'pulledAt'],
  ['size', 'logicalBytes'],
] as const

function isEmpty({ tags, manifests, logicalBytes, isListed }: RepositorySums): boolean {
  return !isListed && tags === 0 && manifests === 0 && logicalBytes === 0
}
