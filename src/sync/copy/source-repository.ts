/**
 * @module One repository of a source as a copy asks it: at the source's rates, counted, until the caller
 * gives up. Manifests come whole, verbatim and with the digest that was asked for, or not at all.
 */
import type { FillAnswer, FillBody, FillSource } from '../../blobs/fill/source.ts'
import type { ManifestReader } from '../../distribution/manifest-reader.ts'
import type { Digest } from '../../registry/digest.ts'
import { RegistryError } from '../../registry/errors.ts'
import { manifestBytesMax } from '../../registry/limits.ts'
import type { Manifest } from '../../registry/manifest.ts'
import { isSchema1, manifestTypeOf, manifestTypes } from '../../registry/media-type.ts'
import type { Reference } from '../../registry/reference.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { Rate } from '../../runtime/token-bucket.ts'
import type { Ask } from '../../upstream/ask.ts'
import { blobAnswerOf } from '../../upstream/blob-answer.ts'
import { type Answer, headerOf, lengthOf } from '../../upstream/client.ts'
import { toUpstreamError, UpstreamError } from '../../upstream/error.ts'
import { ratedBody } from '../../upstream/rated-body.ts'
import type { AskedRepository } from '../../upstream/referrer-lists.ts'
import type { Upstream } from '../../upstream/upstream.ts'
import { SyncError } from '../port.ts'
import { pastGarbage } from '../sources/asking.ts'
import type { CopyCounts } from './outcome.ts'
import { CorruptError } from './reasons.ts'

/** How long upstream has for an answer, or for the head of a blob's, ms. */
const answerMs = 37_000

/** How soon a blob that is held to a rate notices that a client waits for it, ms. */
const hurryMs = 250

/** Bodies that break off or are wrong are asked for so often. */
const attemptsMax = 2

export interface SourceRepositoryParts {
  readonly upstream: Upstream
  /** Upstream's name. */
  readonly name: string
  /** Of the source, and of all sources: all of them are kept. */
  readonly byteRates: readonly Rate[]
  readonly clock: Clock
  readonly readManifest: ManifestReader['read']
  readonly counts: CopyCounts
  readonly signal: AbortSignal
}

export interface SourceManifest {
  readonly digest: Digest
  readonly bytes: Uint8Array
  readonly manifest: Manifest
}

export class SourceRepository implements AskedRepository {
  readonly #parts: SourceRepositoryParts
  /** One for each image that is looked at for its platform. */
  readonly #small = new Map<Digest, Uint8Array>()

  constructor(parts: SourceRepositoryParts) {
    this.#parts = parts
  }

  /** Until when an answer has to come, ms on the monotonic clock. */
  get deadline(): number {
    return this.#parts.clock.monotonic() + answerMs
  }

  /** Throws an `UpstreamError`, and the signal's reason. */
  async ask(it: Omit<Ask, 'repository'>): Promise<Answer> {
    const { upstream, name, signal } = this.#parts
    this.#count()
    const wanted = { ...it, repository: name, by: 'sync', signal } as const
    const asking = pastGarbage(signal, () => upstream.ask(wanted))
    return unlessAborted(asking, signal, (answer) => answer.body.abort())
  }

  async fetch(
    it: Omit<Ask, 'repository' | 'method'>,
    bytesMax: number,
  ): Promise<Answer & { readonly bytes: Buffer }> {
    const { upstream, name, signal } = this.#parts
    this.#count()
    const wanted = { ...it, repository: name, by: 'sync', signal } as const
    return unlessAborted(
      pastGarbage(signal, () => upstream.fetch(wanted, bytesMax)),
      signal,
    )
  }

  /**
   * A manifest by its digest, or what a tag means now. Throws a `SyncError` for one that is too large, of
   * schema 1, no manifest, or twice not what its digest says; an `UpstreamError` for what is not given.
   */
  async manifest(reference: Reference): Promise<SourceManifest> {
    const { readManifest } = this.#parts
    const claimed = reference.kind === 'digest' ? reference.digest : undefined
    const name = reference.kind === 'digest' ? reference.digest : reference.tag
    for (let attempt = 1; ; attempt += 1) {
      const { bytes, contentType } = await this.#bytes(name)
      if (isSchema1(contentType ?? '')) throw schema1()
      try {
        const { digest, manifest } = await readManifest({ bytes, contentType, claimed })
        return { digest, bytes, manifest }
      } catch (error) {
        if (!(error instanceof RegistryError)) throw error
        if (error.kind === 'DIGEST_MISMATCH') {
          if (attempt < attemptsMax) continue
          throw new SyncError('corrupt-upstream', `upstream sends other bytes as ${name}`, true)
        }
        if (saysSchema1(bytes)) throw schema1()
        throw error
      }
    }
  }

  /**
   * A small blob in memory, as it came: nobody has looked at its digest. Where it is copied later it is not
   * asked for again.
   */
  async smallBlob(digest: Digest, bytesMax: number): Promise<Uint8Array> {
    const { deadline } = this
    const headers = { Accept: '*/*' }
    const { bytes } = await this.fetch({ tail: `blobs/${digest}`, headers, deadline }, bytesMax)
    this.#small.set(digest, bytes)
    return bytes
  }

  /** Where the bytes of a blob come from. `isHurried`: somebody else waits, so the rates do not. */
  blob(digest: Digest, isHurried: () => boolean): FillSource {
    const small = this.#small.get(digest)
    // Once: if these are other bytes, the next attempt asks.
    this.#small.delete(digest)
    return new SourceBlob(this.#parts, digest, isHurried, small)
  }

  async #bytes(
    name: string,
  ): Promise<{ readonly bytes: Uint8Array; readonly contentType: string | undefined }> {
    for (let attempt = 1; ; attempt += 1) {
      const { deadline } = this
      const headers = { Accept: manifestTypes }
      const tail = `manifests/${name}`
      const answer = await this.ask({ method: 'GET', tail, headers, deadline })
      const contentType = manifestTypeOf(headerOf(answer.headers, 'content-type'))
      try {
        const bytes = await unlessAborted(readWhole(answer), this.#parts.signal)
        return { bytes, contentType }
      } catch (error) {
        answer.body.abort()
        if (error instanceof SyncError || this.#parts.signal.aborted) throw error
        if (attempt === attemptsMax) throw toUpstreamError(error, 'upstream')
      }
    }
  }

  #count(): void {
    const { signal, counts } = this.#parts
    signal.throwIfAborted()
    counts.requests += 1
  }
}

class SourceBlob implements FillSource {
  readonly #parts: SourceRepositoryParts
  readonly #digest: Digest
  readonly #isHurried: () => boolean
  readonly #small: Uint8Array | undefined

  constructor(
    parts: SourceRepositoryParts,
    digest: Digest,
    isHurried: () => boolean,
    small: Uint8Array | undefined,
  ) {
    this.#parts = parts
    this.#digest = digest
    this.#isHurried = isHurried
    this.#small = small
  }

  /** Not ended by the signal: what has begun keeps its bytes, and others may wait for it. */
  async open(offset: number, deadline: number): Promise<FillAnswer> {
    const { upstream, name, byteRates, counts, signal } = this.#parts
    const small = this.#small
    if (small !== undefined && offset === 0) {
      return { offset: 0, sizeBytes: small.byteLength, body: bodyOf(small) }
    }
    counts.requests += 1
    const answer = await upstream.ask({
      method: 'GET',
      repository: name,
      tail: `blobs/${this.#digest}`,
      headers: { Accept: '*/*', ...(offset === 0 ? {} : { Range: `bytes=${offset}-` }) },
      deadline,
      isBulk: true,
      by: this.#isHurried() ? 'pull' : 'sync',
      isHurried: this.#isHurried,
      waitSignal: signal,
    })
    let { body } = answer
    for (const rate of byteRates) {
      const take = (count: number) => {
        const ms = rate.take(count)
        return this.#isHurried() ? 0 : ms
      }
      body = ratedBody(body, { take }, () => undefined, hurryMs)
    }
    return blobAnswerOf(answer, body)
  }

  async size(): Promise<undefined> {
    return undefined
  }

  fault(kind: 'garbage' | 'reset', message: string): UpstreamError {
    return kind === 'garbage' ? new CorruptError(message) : new UpstreamError(kind, message)
  }

  judge(error: unknown): { readonly error: UpstreamError; readonly isPassing: boolean } {
    const known = toUpstreamError(error, 'upstream')
    // Nobody waits for it any more.
    const isOver = this.#parts.signal.aborted && !this.#isHurried()
    return { error: known, isPassing: known.isPassing && !isOver }
  }
}

function bodyOf(bytes: Uint8Array): FillBody {
  const nothing = () => undefined
  return {
    read: async (onChunk) => onChunk(bytes),
    pause: nothing,
    resume: nothing,
    abort: nothing,
  }
}

/** Throws a `SyncError` past the bound. */
async function readWhole(answer: Answer): Promise<Uint8Array> {
  requireSmall(lengthOf(answer) ?? 0)
  const chunks: Buffer[] = []
  let total = 0
  await answer.body.read((bytes) => {
    total += bytes.byteLength
    requireSmall(total)
    chunks.push(Buffer.from(bytes))
  })
  // A copy of its own: the network's buffers are larger than what they hold.
  return new Uint8Array(Buffer.concat(chunks, total))
}

function requireSmall(bytes: number): void {
  if (bytes <= manifestBytesMax) return
  throw new SyncError('too-large', `a manifest of more than ${manifestBytesMax} bytes`)
}

function schema1(): SyncError {
  return new SyncError('schema-1', 'a manifest of Docker schema 1')
}

/** Looked at in the beginning alone, where it stands. */
function saysSchema1(bytes: Uint8Array): boolean {
  const text = Buffer.from(bytes.subarray(0, 256)).toString('latin1')
  return /"schemaVersion"\s{0,8}:\s{0,8}1\b/.test(text)
}

/** Rejects with the signal's reason when that comes first; `drop` takes what comes too late. */
export function unlessAborted<T>(
  work: Promise<T>,
  signal: AbortSignal,
  drop: (late: T) => void = () => undefined,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = () => {
      work.then(drop, () => undefined)
      reject(signal.reason as Error)
    }
    if (signal.aborted) return onAbort()
    signal.addEventListener('abort', onAbort, { once: true })
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort))
  })
}
