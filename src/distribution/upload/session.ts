/**
 * @module One upload session while it is in use: bytes in memory up to the inline limit, beyond it
 * a file that a worker owns. `uploads.ts` drives it, one request at a time.
 *
 *   open ──receive──► open ──commit──► committed
 *     │                │ └─mismatch──► cancelled
 *     └────cancel──────┴─────────────► cancelled        (expired: nobody touched it for a day)
 */

import type { BlobWriter, PendingBlob } from '../../blobs/port.ts'
import type { ArrivedFile, Arriving, SharedBlobs } from '../../blobs/shared-port.ts'
import type { UploadRow } from '../../metadata/schema.ts'
import { type Algorithm, algorithmOf, type Digest } from '../../registry/digest.ts'
import { requireDigest } from '../../registry/digest-mismatch.ts'
import { RegistryError } from '../../registry/errors.ts'
import { digestOf } from '../../registry/hasher.ts'
import { lentBytesMin } from '../../registry/limits.ts'
import type { ByteSpan } from '../../registry/range.ts'
import type { LentSocket } from '../../runtime/lent-socket.ts'
import type { PerTurn } from '../../runtime/per-turn.ts'
import type { ArrivedBlob } from '../commit-blob.ts'
import { Gathered, type UploadBody } from './body.ts'
import { outOfOrder, type SessionPlace, wrongLength } from './refusals.ts'

/** What all sessions share. */
export interface UploadSessionParts {
  readonly writer: BlobWriter
  readonly inlineLimitBytes: number
  readonly adoptions: PerTurn
  /** Undefined: the files of all blobs are here. */
  readonly shared?: Pick<SharedBlobs, 'begin'> | undefined
}

export class UploadSession {
  readonly id: string
  readonly row: UploadRow
  readonly #parts: UploadSessionParts
  #algorithm: Algorithm
  #expected: Digest | undefined
  /** Other nodes get its bytes from the file. */
  #arriving: Arriving | undefined
  #inline = new Gathered()
  #pending: PendingBlob | undefined
  /** Set while too many go to a file at once: the bytes stay in memory, the socket waits. */
  #adopting: { readonly done: Promise<void>; failure?: unknown } | undefined
  #mayLend = false
  /** The socket whose bytes a worker takes by itself, and when it is through. */
  #lent: { readonly socket: LentSocket; readonly done: Promise<void> } | undefined
  /** Once its bytes went to a file they stay there, whatever a rollback leaves of them. */
  #isInFile: boolean
  /** Bytes acknowledged or about to be. */
  #offsetBytes: number

  constructor(id: string, row: UploadRow, parts: UploadSessionParts) {
    this.id = id
    this.row = row
    this.#parts = parts
    this.#algorithm = row.algorithm
    this.#offsetBytes = row.offsetBytes
    this.#isInFile = row.bytes === undefined
    if (row.bytes !== undefined) this.#inline.append(row.bytes)
  }

  get offsetBytes(): number {
    return this.#offsetBytes
  }

  /** Where it stands, for answers. */
  get place(): SessionPlace {
    return { repository: this.row.repository, id: this.id, offsetBytes: this.#offsetBytes }
  }

  /** Whether a worker holds a file for it. */
  get isAdopted(): boolean {
    return this.#pending !== undefined
  }

  /** The row as it is now. */
  rowNow(touchedAt: number): UploadRow {
    const { bytes: _bytes, ...rest } = this.row
    const row = { ...rest, algorithm: this.#algorithm, offsetBytes: this.#offsetBytes, touchedAt }
    return this.#isInFile ? row : { ...row, bytes: this.#inline.whole() }
  }

  /** The digest that it will have, when it is told before its last bytes. */
  expect(digest: Digest): void {
    this.#expected = digest
    if (this.#offsetBytes === 0 && this.#pending === undefined) {
      this.#algorithm = algorithmOf(digest)
    }
  }

  /**
   * Takes a request's body. Resolves when every byte has reached the operating system. When it
   * rejects, the session stands where it stood before, unless `keepsPrefix` (a ranged chunk): then
   * it stands behind the bytes that did arrive. `lengthBytes` is what the chunk must have.
   */
  async receive(
    body: UploadBody,
    lengthBytes: number | undefined,
    keepsPrefix: boolean,
  ): Promise<void> {
    const offsetBefore = this.#offsetBytes
    // A body that says it is large is in memory at first too: a client that promises much and sends
    // little costs no worker.
    if (this.#isInFile && this.#pending === undefined) await this.#adoptInTurn()
    this.#pending?.mark()
    // A worker does not know how long a chunk of the session must be.
    this.#mayLend = lengthBytes === undefined || body.bodyBytes !== undefined
    if (this.#parts.writer.isOverBudget) this.#pauseUntilDrained(body)
    try {
      await body.readBody((bytes) => {
        if (
          lengthBytes !== undefined &&
          this.#offsetBytes - offsetBefore + bytes.byteLength > lengthBytes
        ) {
          throw wrongLength(lengthBytes)
        }
        this.#take(bytes, body, offsetBefore)
      })
      await this.#adopting?.done
      await this.#lent?.done
      if (lengthBytes !== undefined && this.#offsetBytes - offsetBefore !== lengthBytes) {
        throw wrongLength(lengthBytes)
      }
      await this.#settle()
    } catch (error) {
      await this.#adopting?.done.catch(() => undefined)
      const failure = (await this.#recall()) ?? error
      const isRefused = failure instanceof RegistryError
      if (!keepsPrefix || isRefused) await this.#rollback(offsetBefore)
      else await this.#keepPrefix(offsetBefore)
      throw failure
    } finally {
      this.#adopting = undefined
      this.#lent = undefined
    }
  }

  /** What has arrived counts, unless the disk did not take all of it. */
  async #keepPrefix(offsetBefore: number): Promise<void> {
    try {
      await this.#settle()
    } catch (error) {
      await this.#rollback(offsetBefore)
      throw error
    }
  }

  /** Resolves when all that came is in the file. */
  async #settle(): Promise<void> {
    if (this.#pending === undefined) return
    await this.#pending.settle()
    this.#arriving?.reached(this.#offsetBytes)
  }

  /** Stops the worker that reads from a socket; resolves to what kept it from reading. */
  async #recall(): Promise<unknown> {
    if (this.#lent === undefined) return undefined
    const { socket, done } = this.#lent
    socket.cut()
    return done.then(
      () => undefined,
      (error: unknown) => error,
    )
  }

  #take(bytes: Uint8Array, body: UploadBody, offsetBefore: number): void {
    if (this.#pending === undefined) {
      if (this.#adopting?.failure !== undefined) throw this.#adopting.failure
      const isSmall = this.#offsetBytes + bytes.byteLength <= this.#parts.inlineLimitBytes
      const mustWait = this.#adopting !== undefined || !(isSmall || this.#parts.adoptions.tryPass())
      if (isSmall || mustWait) {
        this.#inline.append(bytes)
        this.#offsetBytes += bytes.byteLength
        if (mustWait) this.#adopting ??= this.#adoptLater(body, offsetBefore)
        return
      }
      this.#adoptAt(offsetBefore)
    }
    this.#pending!.append(bytes)
    this.#offsetBytes += bytes.byteLength
    if (!this.#mayLend || !this.#lend(body, this.#pending!)) this.#pauseUntilDrained(body)
  }

  /** Lets the worker that owns the file read the rest of a long body by itself. */
  #lend(body: UploadBody, pending: PendingBlob): boolean {
    const socket = pending.receive === undefined ? undefined : body.lend?.(lentBytesMin)
    if (socket === undefined) return false
    const take = async () => {
      try {
        const { bytes, end } = await pending.receive!(socket)
        this.#offsetBytes += bytes
        socket.ended(end)
      } catch (error) {
        socket.ended('cut')
        throw error
      }
    }
    const done = take()
    done.catch(() => undefined)
    this.#lent = { socket, done }
    return true
  }

  /** Reads no more until its bytes may go to a file. What fails is told to the next chunk. */
  #adoptLater(body: UploadBody, markBytes: number): { done: Promise<void>; failure?: unknown } {
    body.pause()
    const done = this.#parts.adoptions.wait().then(() => {
      try {
        this.#adoptAt(markBytes)
        body.resume()
        this.#pauseUntilDrained(body)
      } catch (error) {
        adopting.failure = error
        body.resume()
        throw error
      }
    })
    // Somebody looks at it when the body has ended.
    done.catch(() => undefined)
    const adopting: { done: Promise<void>; failure?: unknown } = { done }
    return adopting
  }

  async #adoptInTurn(): Promise<void> {
    const { adoptions } = this.#parts
    if (!adoptions.tryPass()) await adoptions.wait()
    this.#adopt()
  }

  #pauseUntilDrained(body: UploadBody): void {
    if (this.#pending?.mustPause(() => body.resume()) === true) body.pause()
  }

  /** Moves from memory to a file, with the mark where this request began. */
  #adoptAt(markBytes: number): void {
    const inline = this.#inline.whole()
    const pending = this.#parts.writer.adopt(this.id, this.#algorithm, 0)
    pending.append(inline.subarray(0, markBytes))
    pending.mark()
    // What came before this request is in the row that was written down: only a copy may go.
    if (markBytes === 0) pending.give(inline)
    else pending.append(inline.subarray(markBytes))
    this.#becomeFile(pending)
    this.#begin(pending)
  }

  #adopt(): void {
    if (this.#pending !== undefined) return
    const isInMemory = this.#inline.lengthBytes === this.#offsetBytes
    const offsetBytes = isInMemory ? 0 : this.#offsetBytes
    const pending = this.#parts.writer.adopt(this.id, this.#algorithm, offsetBytes)
    if (isInMemory) pending.append(this.#inline.whole())
    this.#becomeFile(pending)
  }

  #becomeFile(pending: PendingBlob): void {
    this.#pending = pending
    this.#isInFile = true
    this.#inline = new Gathered()
  }

  /** Of a session that goes on after a while the others get nothing before it is whole: not all of it again and again. */
  #begin(pending: PendingBlob): void {
    if (pending.follow === undefined) return
    const arriving = this.#parts.shared?.begin(this.id, this.#algorithm, this.#expected)
    if (arriving === undefined) return
    this.#arriving = arriving
    pending.follow((writtenBytes) => arriving.reached(writtenBytes))
  }

  #stopArriving(): void {
    this.#arriving?.stop()
    this.#arriving = undefined
  }

  async #rollback(offsetBytes: number): Promise<void> {
    // They may have bytes that are taken back here.
    this.#stopArriving()
    this.#offsetBytes = offsetBytes
    if (this.#pending === undefined) {
      if (!this.#isInFile) this.#inline.cut(offsetBytes)
      return
    }
    // A worker that cannot roll back is let go: its row still says what was acknowledged, and the
    // next request hashes that prefix anew.
    await this.#pending.rollback().catch(() => this.park())
  }

  /**
   * Its file, all of it written, whose bytes have this digest, while it is no blob yet; undefined: the bytes are
   * in memory. Throws DIGEST_INVALID on other bytes.
   */
  async verified(digest: Digest): Promise<ArrivedFile | undefined> {
    if (!this.#isInFile || this.#offsetBytes === 0) return undefined
    this.#adopt()
    const pending = this.#pending!
    await this.#settle()
    await pending.verify(digest)
    const seal = () => pending.commit(digest)
    return { digest, sizeBytes: this.#offsetBytes, uploadId: this.id, seal }
  }

  /**
   * Verifies the digest and makes the bytes durable. Throws DIGEST_INVALID on other bytes. What is
   * left is the rows: `commitBlob`.
   */
  async seal(digest: Digest): Promise<ArrivedBlob> {
    const sizeBytes = this.#offsetBytes
    // Nothing at all cannot be mapped, so it is never a file.
    if (this.#isInFile && sizeBytes > 0) {
      this.#adopt()
      await this.#pending!.commit(digest)
      return { digest, sizeBytes, inlineBytes: undefined }
    }
    const inlineBytes = this.#inline.whole()
    requireDigest(digest, digestOf(algorithmOf(digest), inlineBytes))
    return { digest, sizeBytes, inlineBytes }
  }

  /** Lets go of worker and memory; the row and the file go on. */
  park(): void {
    this.#stopArriving()
    this.#pending?.park()
    this.#pending = undefined
  }

  /** Removes the file that a commit left behind: one of no bytes, after a rollback. */
  async discardLeftover(): Promise<void> {
    if (this.#isInFile && this.#offsetBytes === 0) await this.discard()
  }

  /** Removes the bytes, wherever they are. */
  async discard(): Promise<void> {
    this.#stopArriving()
    if (this.#pending !== undefined) this.#pending.discard()
    // Also where the row says that there is no file: a request that failed may have left one.
    else await this.#parts.writer.discardFile(this.id)
    this.#pending = undefined
  }
}

/** Throws when a chunk does not start where the session stands, or is not as long as it says. */
export function checkSpan(session: UploadSession, span: ByteSpan, body: UploadBody): void {
  if (span.offset !== session.offsetBytes) throw outOfOrder(session.place)
  if (body.bodyBytes !== undefined && body.bodyBytes !== span.length) {
    throw new RegistryError('SIZE_INVALID', {
      message: 'Content-Length is not the length that Content-Range says',
      detail: { contentRangeBytes: span.length, contentLength: body.bodyBytes },
    })
  }
}
