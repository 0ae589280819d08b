/**
 * @module Which repositories have an upload session open: somebody is pushing there, so its blobs are
 * nobody else's business. Follows the metadata; costs a lookup a session.
 */
import type { MetadataStore } from '../metadata/port.ts'

/** Sessions of an earlier run that are looked at. */
const sessionsMax = 1_000_000

export class OpenSessions {
  readonly #repositories = new Map<string, string>()
  readonly #counts = new Map<string, number>()

  constructor(metadata: MetadataStore) {
    for (const { key, row } of metadata.entries('uploads', [], undefined, sessionsMax)) {
      this.#opened(key, row.repository)
    }
    metadata.onApplied({
      session: (id, repository) => {
        if (repository === undefined) this.#closed(id)
        else this.#opened(id, repository)
      },
    })
  }

  has(repository: string): boolean {
    return this.#counts.has(repository)
  }

  #opened(id: string, repository: string): void {
    if (this.#repositories.has(id)) return
    this.#repositories.set(id, repository)
    this.#counts.set(repository, (this.#counts.get(repository) ?? 0) + 1)
  }

  #closed(id: string): void {
    const repository = this.#repositories.get(id)
    if (repository === undefined) return
    this.#repositories.delete(id)
    const left = this.#counts.get(repository)! - 1
    if (left === 0) this.#counts.delete(repository)
    else this.#counts.set(repository, left)
  }
}
