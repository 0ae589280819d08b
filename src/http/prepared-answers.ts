/**
 * @module Answers to pulls that were prepared once: what a path means, its header block, and small
 * bodies. Exact, not timed: whatever a committed transaction changes is dropped before the writer
 * hears of it. A path that is not here takes the long way (`handlers/`), which puts it here.
 */
import { LRUCache } from 'lru-cache'
import type { Digest } from '../registry/digest.ts'
import type { RepositoryName } from '../registry/name.ts'
import type { BlobRow } from '../storage/schema.ts'
import type { Change, Transaction } from '../storage/transaction.ts'
import type { ResponseHead } from './engine.ts'

export interface PreparedManifest {
  readonly kind: 'manifest'
  readonly repository: RepositoryName
  readonly digest: Digest
  readonly isTag: boolean
  readonly sizeBytes: number
  readonly head: ResponseHead
  /** A copy of the bytes, while they are few. */
  bytes: Uint8Array | undefined
}

export interface PreparedBlob {
  readonly kind: 'blob'
  readonly repository: RepositoryName
  readonly digest: Digest
  readonly row: BlobRow
  readonly head: ResponseHead
  /** A copy of an inline blob's bytes, once they were asked for. */
  readonly bytes: Uint8Array | undefined
}

export type Prepared = PreparedManifest | PreparedBlob

/** What all prepared answers may take, bytes of memory. */
const preparedBytesMax = 48 * 1024 * 1024

/** Head, keys and objects of one answer, bytes (measured: about 1 KiB). */
const overheadBytes = 1024

/** Largest body that is kept with its answer, bytes. */
export const keptBodyBytesMax = 64 * 1024

export class PreparedAnswers {
  readonly #byPath = new LRUCache<string, Prepared>({
    maxSize: preparedBytesMax,
    sizeCalculation: ({ bytes }) => overheadBytes + (bytes?.byteLength ?? 0),
  })

  get(path: string): Prepared | undefined {
    return this.#byPath.get(path)
  }

  /** Only for paths in their plain form: that is the form in which changes are dropped. */
  put(path: string, prepared: Prepared): void {
    if (!path.includes('%')) this.#byPath.set(path, prepared)
  }

  /** Drops everything: what was committed is not known. */
  clear(): void {
    this.#byPath.clear()
  }

  /** Drops what a committed transaction made untrue. */
  drop({ changes }: Transaction): void {
    for (const change of changes) this.#dropChanged(change)
  }

  #dropChanged(change: Change): void {
    switch (change.in) {
      case 'tags':
      case 'manifests':
        this.#byPath.delete(`/v2/${change.key[0]}/manifests/${change.key[1]}`)
        return
      case 'links':
        this.#byPath.delete(`/v2/${change.key[0]}/blobs/${change.key[1]}`)
        return
      case 'blobs':
        // Any repository's path may rest on the row. It goes only by collection or quarantine.
        if (change.change === 'delete') this.#byPath.clear()
        return
      case 'manifestBytes':
        if (change.change === 'delete') this.#byPath.clear()
        return
      default:
        return
    }
  }
}
