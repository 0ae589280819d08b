/**
 * @module Reads manifests on their way in: small ones at once, large ones on a thread of their own,
 * one after the other. Parsing 4 MiB that are made for it takes a third of a second, which nobody
 * else must wait for.
 */
import { RegistryError } from '../registry/errors.ts'
import { SupervisedTask } from '../runtime/supervised-task.ts'
import type { LongTask } from '../runtime/worker-pool.ts'
import {
  type ManifestReply,
  type ManifestRequest,
  type ManifestText,
  type ReadManifest,
  readManifest,
  unpackVerdict,
} from './worker/read-manifest.ts'

/** Largest manifest that is read at once, bytes: a millisecond at the worst. */
const atOnceBytesMax = 64 * 1024

/** Large manifests that wait or are being read: beyond it 503, each holds up to 4 MiB. */
const waitingMax = 32

interface Waiting {
  resolve(read: ReadManifest): void
  reject(error: unknown): void
}

export class ManifestReader {
  readonly #start: () => LongTask
  readonly #waiting = new Map<number, Waiting>()
  /** Most registries never see a large manifest: its thread starts with the first. */
  #task: SupervisedTask<ManifestRequest, ManifestReply> | undefined
  #lastId = 0

  /** `start` runs `workers/manifest.ts`; it is run again if it dies. */
  constructor(start: () => LongTask) {
    this.#start = start
  }

  /**
   * Digest and content of a manifest of at most 4 MiB. Throws or rejects with DIGEST_MISMATCH,
   * MANIFEST_INVALID; with MANIFESTS_BUSY when too many large ones wait or their thread has died.
   */
  readonly read = (text: ManifestText): ReadManifest | Promise<ReadManifest> => {
    if (text.bytes.byteLength <= atOnceBytesMax) return readManifest(text)
    if (this.#waiting.size >= waitingMax) throw busy()
    this.#task ??= new SupervisedTask(this.#start, {
      onReply: ({ id, verdict }) => this.#settle(id, verdict),
      onDown: () => this.#fail(),
    })
    const id = ++this.#lastId
    if (!this.#task.post({ id, text })) throw busy()
    return new Promise((resolve, reject) => this.#waiting.set(id, { resolve, reject }))
  }

  /** Ends the thread; what it has not answered hears MANIFESTS_BUSY. */
  async close(): Promise<void> {
    this.#fail()
    await this.#task?.close()
  }

  #settle(id: number, verdict: ManifestReply['verdict']): void {
    const waiting = this.#waiting.get(id)
    this.#waiting.delete(id)
    try {
      waiting?.resolve(unpackVerdict(verdict))
    } catch (error) {
      waiting?.reject(error)
    }
  }

  #fail(): void {
    for (const waiting of this.#waiting.values()) waiting.reject(busy())
    this.#waiting.clear()
  }
}

function busy(): RegistryError {
  return new RegistryError('MANIFESTS_BUSY')
}
