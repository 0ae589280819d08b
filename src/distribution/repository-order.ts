/**
 * @module Repositories in the order of their last push, last pull or size. Those sums are over
 * everything that is stored, so they are made in short turns and are good for a minute.
 */
import { RegistryError } from '../registry/errors.ts'
import type { Clock } from '../runtime/clock.ts'
import type { MetadataReader } from '../storage/ports.ts'
import {
  describeRepository,
  inTurns,
  type RepositoryInfo,
  SortedPage,
  type SortedRequest,
} from './inventory.ts'

/** How long the sums are good for, ms. */
const keptMs = 60_000

/** More are only listed by name: their sums would take too much memory. */
export const sortedRepositoriesMax = 100_000

export class RepositoryOrder {
  readonly #metadata: MetadataReader
  readonly #clock: Clock
  #made: { readonly at: number; readonly all: Promise<RepositoryInfo[]> } | undefined

  constructor(metadata: MetadataReader, clock: Clock) {
    this.#metadata = metadata
    this.#clock = clock
  }

  /** Throws 422 when there are too many. */
  async page(
    request: SortedRequest,
  ): Promise<{ readonly repositories: RepositoryInfo[]; readonly next: string | undefined }> {
    const page = new SortedPage<RepositoryInfo>(request)
    for (const info of await this.#all()) {
      const { pushedAt = 0, pulledAt = 0, logicalBytes: size } = info
      const values = { name: 0, pushed: pushedAt, pulled: pulledAt, size }
      page.offer(values[request.order], info.name, info)
    }
    return { repositories: page.entries, next: page.next }
  }

  #all(): Promise<RepositoryInfo[]> {
    const now = this.#clock.monotonic()
    if (this.#made === undefined || now - this.#made.at > keptMs) {
      const all = this.#walk()
      this.#made = { at: now, all }
      all.catch(() => {
        this.#made = undefined
      })
    }
    return this.#made.all
  }

  async #walk(): Promise<RepositoryInfo[]> {
    const all: RepositoryInfo[] = []
    for await (const { key } of inTurns(this.#metadata, 'repositories', [])) {
      if (all.length >= sortedRepositoriesMax) {
        throw new RegistryError('UNSUPPORTED', {
          status: 422,
          message: `more than ${sortedRepositoriesMax} repositories are only listed by name`,
        })
      }
      const info = await describeRepository(this.#metadata, key)
      if (info !== undefined) all.push(info)
    }
    return all
  }
}
