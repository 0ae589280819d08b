/** @module A store of metadata with another way to commit: to count, to hold up or to end what writes. */
import type { MetadataStore } from '../../src/metadata/port.ts'

/** The same rows; commits go through `commit`. */
export function withCommit(
  metadata: MetadataStore,
  commit: MetadataStore['commit'],
): MetadataStore {
  return {
    commit,
    get commitCount() {
      return metadata.commitCount
    },
    onApplied: (listener) => metadata.onApplied(listener),
    onDoubt: (listener) => metadata.onDoubt(listener),
    get: (...it) => metadata.get(...it),
    getBytes: (...it) => metadata.getBytes(...it),
    keys: (...it) => metadata.keys(...it),
    entries: (...it) => metadata.entries(...it),
    entriesWithin: (...it) => metadata.entriesWithin(...it),
    keysBackward: (...it) => metadata.keysBackward(...it),
    entriesBackward: (...it) => metadata.entriesBackward(...it),
    count: (database) => metadata.count(database),
    pageIn: (...it) => metadata.pageIn(...it),
  }
}
