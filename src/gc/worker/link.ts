/**
 * @module The worker's end of the port: candidates out in batches, settlements in, work on files, a
 * stop at any time.
 */

import type { BinFailures, BlobBin } from '../../blobs/driver.ts'
import type { LmdbEnvironment } from '../../metadata/lmdb/environment.ts'
import type { Candidate } from '../../metadata/sweep.ts'
import { assertNever } from '../../registry/assert-never.ts'
import { toWorkerFailure } from '../../runtime/worker-failure.ts'
import type { FileWork, GcReply, GcRequest, GcSetup } from './messages.ts'

/** Batches that the main thread has not settled yet. */
const openBatchesMax = 2

/**
 * Manifests in a batch: each writes about 18 pages for its rows, bytes and edges, where a blob with its
 * link writes 2 (measured, five blobs a manifest in a store of a million).
 */
const manifestsMax = 64

/** A candidate and the byte of the plan's file behind it. */
export interface Found {
  readonly candidate: Candidate
  readonly end: number
}

export class Link {
  readonly #port: GcSetup['port']
  /** Resolves when the main thread has let go of this one. */
  readonly released: Promise<void>
  isStopped = false
  #open = 0
  #atOnce = 64
  #id = 0
  #batch: Candidate[] = []
  #manifestCount = 0
  #offset = 0
  #wake = () => {}

  constructor(port: GcSetup['port'], bin: BlobBin) {
    this.#port = port
    port.on('message', (request: GcRequest) => {
      switch (request.kind) {
        case 'stop':
          this.isStopped = true
          break
        case 'settled':
          this.#open -= 1
          this.#atOnce = request.atOnce
          break
        case 'files':
          void putAway(bin, request.work).then(({ failed, error }) => {
            const failure = error === undefined ? undefined : toWorkerFailure(error)
            this.reply({ kind: 'files', id: request.id, failed, failure })
          })
          return
        default:
          assertNever(request)
      }
      this.#wake()
    })
    this.released = new Promise((resolve) => {
      port.on('close', () => {
        this.isStopped = true
        this.#wake()
        resolve()
      })
    })
  }

  reply(message: GcReply): void {
    this.#port.postMessage(message)
  }

  /** Sends it with others; waits when the main thread has enough to do. */
  async add({ candidate, end }: Found, environment: LmdbEnvironment): Promise<void> {
    this.#batch.push(candidate)
    this.#offset = end
    if (candidate.kind === 'manifest') this.#manifestCount += 1
    const isFull = this.#batch.length >= this.#atOnce || this.#manifestCount >= manifestsMax
    if (isFull) await this.#send(environment)
  }

  /** Resolves when everything so far is settled, or nothing more will be. */
  async flush(environment: LmdbEnvironment): Promise<void> {
    if (this.#batch.length > 0 && !this.isStopped) await this.#send(environment)
    await this.#untilOpen(0)
  }

  async #send(environment: LmdbEnvironment): Promise<void> {
    this.#id += 1
    this.#open += 1
    const candidates = this.#batch
    this.#batch = []
    this.#manifestCount = 0
    this.reply({ kind: 'candidates', id: this.#id, candidates, offset: this.#offset })
    await this.#untilOpen(openBatchesMax - 1)
    environment.refresh()
  }

  async #untilOpen(count: number): Promise<void> {
    while (this.#open > count && !this.isStopped) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
  }
}

function putAway(bin: BlobBin, work: FileWork): Promise<BinFailures> {
  return work.to === 'trash' ? bin.trash(work.digests) : bin.purge(work.digests, work)
}
