/**
 * @module Answers to pulls that were prepared once: what a path means, its header block, and small
 * bodies. Exact, not timed: whatever a committed transaction changes is dropped before the writer
 * hears of it. A path that is not here takes the long way (`handlers/`), which puts it here.
 */
import { LRUCache } from 'lru-cache'
import type { EffectListener } from '../metadata/effects.ts'
import type { BlobRow } from '../metadata/schema.ts'
import type { Digest } from '../registry/digest.ts'
import type { RepositoryName } from '../registry/name.ts'
import type { Seal } from '../signing/pulls/standings.ts'
import type { ResponseHead } from './engine/port.ts'
import type { HeaderList } from './respond.ts'

/** Told of every pull of what it hangs on. */
export interface PullObserver {
  note(bytes: number): void
}

/** Of every prepared answer. */
interface PreparedCommon {
  /** Until when it may be used without another look, on the monotonic clock; undefined: for ever. */
  validUntil?: number
  /** What it was prepared by, where a policy of signatures has said that; it has a `validUntil` then. */
  seal?: Seal
  observer?: PullObserver
}

export interface PreparedManifest extends PreparedCommon {
  readonly kind: 'manifest'
  readonly repository: RepositoryName
  /** As in the path: tag or digest. */
  readonly reference: string
  readonly digest: Digest
  readonly isTag: boolean
  readonly sizeBytes: number
  readonly head: ResponseHead
  /** Of the answer that the client has it already. */
  readonly unchanged: HeaderList
  /** A copy of the bytes, while they are few. */
  bytes: Uint8Array | undefined
  /** See `pull-times.ts` and `distribution/head-promise.ts`. */
  notedIn: number
  reliedAt: number
}

export interface PreparedBlob extends PreparedCommon {
  readonly kind: 'blob'
  readonly repository: RepositoryName
  readonly digest: Digest
  readonly sizeBytes: number
  readonly row: BlobRow
  readonly head: ResponseHead
  /** A copy of a small blob's bytes, once they were asked for. */
  readonly bytes: Uint8Array | undefined
  /** See `distribution/head-promise.ts`. */
  reliedAt: number
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

  /**
   * Looks at answers before they are kept: sets `validUntil` and `observer`, and returns false for
   * one that must not be kept.
   */
  inspector: ((path: string, prepared: Prepared) => boolean) | undefined

  /** `now` is on the monotonic clock. */
  get(path: string, now: number): Prepared | undefined {
    const prepared = this.#byPath.get(path)
    if (prepared?.validUntil === undefined) return prepared
    // The seal breaks before the writer hears that the change of a signature is done.
    if (now < prepared.validUntil && prepared.seal?.isBroken !== true) return prepared
    return undefined
  }

  /** Only for paths in their plain form: that is the form in which changes are dropped. */
  put(path: string, prepared: Prepared): void {
    if (path.includes('%') || this.inspector?.(path, prepared) === false) return
    this.#byPath.set(path, prepared)
  }

  /** Drops everything: what was committed is not known. */
  clear(): void {
    this.#byPath.clear()
  }

  /** Drops what a committed transaction made untrue. */
  readonly effects: EffectListener = {
    tag: (repository, tag) => {
      this.#byPath.delete(`/v2/${repository}/manifests/${tag}`)
    },
    manifest: (repository, digest) => {
      this.#byPath.delete(`/v2/${repository}/manifests/${digest}`)
    },
    link: (repository, digest) => {
      this.#byPath.delete(`/v2/${repository}/blobs/${digest}`)
    },
    // Any repository's path may rest on them.
    bytesGone: () => this.clear(),
  }
}
