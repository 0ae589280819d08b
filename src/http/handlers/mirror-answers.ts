/**
 * @module How answers of mirrors are put together and marked, and that they begin in time.
 */

import type { BlobSource } from '../../blobs/port.ts'
import { hardMs } from '../../mirror/context.ts'
import type { Stale } from '../../mirror/lists.ts'
import type { Mirror } from '../../mirror/mirror.ts'
import type { Digest } from '../../registry/digest.ts'
import { RegistryError } from '../../registry/errors.ts'
import type { RepositoryName } from '../../registry/name.ts'
import { toRegistryError, UpstreamError } from '../../upstream/error.ts'
import type { HttpRequest, HttpResponse } from '../engine/port.ts'
import { HeaderAdder } from '../headed-response.ts'
import { type BlobAnswer, blobHead } from './blobs.ts'

/** Tells how an answer came about, where it is not an ordinary hit. */
export const cacheHeader = 'X-FastRegistry-Cache'

export function noReferrers(mirror: Mirror, subject: Digest): RegistryError {
  const tag = subject.replace(':', '-')
  return new RegistryError('REFERRERS_UNKNOWN', {
    message: `upstream keeps no list of referrers, and has no tag ${tag} in its place`,
    detail: { mirror: mirror.name, tag },
  })
}

/** The answer to a pull whose bytes come from upstream. */
export function blobAnswer(
  repository: RepositoryName,
  digest: Digest,
  sizeBytes: number,
): BlobAnswer {
  return { repository, digest, sizeBytes, head: blobHead(200, digest), reliedAt: 0 }
}

/** Marks an answer that could not be compared with upstream. */
export function staleAnswer({ why, ageSeconds }: Stale, response: HttpResponse): HttpResponse {
  const age = ageSeconds === undefined ? '' : `, as of ${ageSeconds} s ago`
  return new HeaderAdder([
    [cacheHeader, 'stale'],
    ['Warning', `299 - "answered from the cache: ${why}${age}"`],
    ...(ageSeconds === undefined ? [] : [['Age', String(ageSeconds)] as const]),
  ]).wrap(response)
}

/**
 * A blob on its way from upstream whose failure is told as a registry error. While nothing has reached the
 * client yet, it is the answer; and the first byte comes before a deadline.
 */
class ExplainedSource implements BlobSource {
  readonly sizeBytes: number
  readonly #source: BlobSource
  readonly #explain: (error: unknown) => never
  readonly #deadline: number
  #hasBegun = false

  /** `deadline`: latest time for the first byte, ms on the monotonic clock. */
  constructor(source: BlobSource, mirror: string, deadline: number) {
    this.#deadline = deadline
    this.sizeBytes = source.sizeBytes
    this.#source = source
    this.#explain = (error) => {
      throw toRegistryError(error, mirror, 'BLOB_UNKNOWN')
    }
  }

  ready(offset: number, length: number): number | Promise<void> {
    const ready = this.#source.ready(offset, length)
    if (typeof ready === 'number') return ready
    return (this.#hasBegun ? ready : this.#inTime(ready)).catch(this.#explain)
  }

  use<R>(offset: number, length: number, callback: (bytes: Uint8Array) => R): R {
    this.#hasBegun = true
    return this.#source.use(offset, length, callback)
  }

  async #inTime(ready: Promise<void>): Promise<void> {
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<never>((_resolve, reject) => {
      const error = new UpstreamError('timeout', 'the first byte has not come in time; try again')
      const leftMs = Math.max(1, this.#deadline - performance.now())
      timer = setTimeout(() => reject(error), leftMs)
    })
    try {
      await Promise.race([ready, late])
    } finally {
      clearTimeout(timer)
    }
  }

  close(): void {
    this.#source.close()
  }
}

export const told = (source: BlobSource, { name }: Mirror, { startedAt }: HttpRequest) =>
  new ExplainedSource(source, name, startedAt + hardMs)

/** The answer is begun before the deadline, or refused; what comes later finds it answered. */
export async function inTime(work: Promise<void>, deadline: number, mirror: string): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_resolve, reject) => {
    const refuse = () => {
      const error = new UpstreamError('timeout', 'no answer in time; try again')
      reject(toRegistryError(error, mirror, 'NAME_UNKNOWN'))
    }
    timer = setTimeout(refuse, Math.max(1, deadline - performance.now()))
  })
  try {
    await Promise.race([work, late])
  } finally {
    clearTimeout(timer)
  }
}
