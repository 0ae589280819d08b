/**
 * @module A blob of a mirrored repository as upstream has it: what a fill is fed from, and ranges of it
 * that go to one client.
 */
import type { FillAnswer, FillSource } from '../blobs/fill/source.ts'
import type { Digest } from '../registry/digest.ts'
import { blobAnswerOf } from '../upstream/blob-answer.ts'
import { type Answer, type AnswerBody, partOf } from '../upstream/client.ts'
import { toUpstreamError, UpstreamError } from '../upstream/error.ts'
import type { MirroredRepository } from './mirrored-repository.ts'

export interface UpstreamBlobParts {
  readonly repository: MirroredRepository
  readonly digest: Digest
  /** Its size, where it is known. */
  readonly sizeBytes?: number | undefined
  /** Its size by a request of its own. */
  readonly askSize?: () => Promise<number | undefined>
  /** The head of an answer from the first byte on has come. */
  readonly onOpened?: () => void
}

export class UpstreamBlob implements FillSource {
  readonly #parts: UpstreamBlobParts

  constructor(parts: UpstreamBlobParts) {
    this.#parts = parts
  }

  async open(offset: number, deadline: number): Promise<FillAnswer> {
    const answer = await this.#get(offset === 0 ? {} : { Range: `bytes=${offset}-` }, deadline)
    if (offset === 0) this.#parts.onOpened?.()
    return blobAnswerOf(answer)
  }

  async size(): Promise<number | undefined> {
    return this.#parts.askSize?.()
  }

  fault(kind: 'garbage' | 'reset', message: string): UpstreamError {
    return new UpstreamError(kind, message)
  }

  judge(error: unknown): { readonly error: UpstreamError; readonly isPassing: boolean } {
    const known = toUpstreamError(error, 'upstream')
    this.#parts.repository.mirror.stats.failures[known.kind] += 1
    return { error: known, isPassing: known.isPassing }
  }

  /**
   * So many bytes from `offset` on. Throws when upstream does not answer exactly that, or says that they
   * are of a blob of another size.
   */
  async range(offset: number, length: number, deadline: number): Promise<AnswerBody> {
    const last = offset + length - 1
    const answer = await this.#get({ Range: `bytes=${offset}-${last}` }, deadline)
    const part = partOf(answer)
    const isExact = answer.status === 206 && part?.first === offset && part.last === last
    const total = part?.totalBytes
    const known = this.#parts.sizeBytes
    const isSame = total === undefined || known === undefined || total === known
    if (isExact && isSame) return answer.body
    answer.body.abort()
    throw this.fault('garbage', 'upstream does not answer the range that was asked for')
  }

  #get(headers: Record<string, string>, deadline: number): Promise<Answer> {
    const { repository, digest } = this.#parts
    return repository.ask({
      method: 'GET',
      tail: `blobs/${digest}`,
      headers: { Accept: '*/*', ...headers },
      deadline,
      isBulk: true,
    })
  }
}
