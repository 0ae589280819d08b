/**
 * @module The copies of blobs on this node: put in place, promised, read for peers, taken out of service. What removes
 * them is `mesh/copies.ts`; a run of the log has promises of its own.
 */

import { hasObject, type Promised } from '../../blobs/driver.ts'
import {
  type BlobSource,
  isDamage,
  isMissing,
  type PendingBlob,
  type Room,
} from '../../blobs/port.ts'
import type { ArrivedFile, SharedStore } from '../../blobs/shared-port.ts'
import type { RunOfLog } from '../../metadata/lmdb/log-commits.ts'
import type { CopyNews } from '../../metadata/log/copy-news.ts'
import type { CopyRow } from '../../metadata/rows/mesh.ts'
import type { BlobRow } from '../../metadata/schema.ts'
import type { HeldCopy } from '../../metadata/transaction.ts'
import type { Algorithm, Digest } from '../../registry/digest.ts'
import type { Clock } from '../../runtime/clock.ts'
import { type Random, randomHexId } from '../../runtime/random.ts'
import { BlobCopies } from '../copies.ts'
import type { Traffic } from '../standing/traffic.ts'
import { DriverFiles, digestIn } from './files.ts'
import type { CopyLedger } from './ledger.ts'
import { type CopyIs, Proofs } from './proofs.ts'
import { copiesShort } from './refusals.ts'
import type { LocalCopies } from './serve.ts'

export interface LocalFilesParts {
  readonly store: SharedStore
  readonly ledger: CopyLedger
  readonly member: number
  readonly clock: Clock
  readonly random: Random
  readonly traffic: Traffic
  /** Copies that are read as a whole in a second, bytes; 0: no bound. Default 64 MiB. */
  readonly bytesPerSecond?: number
  /** Whether this node owns the blob. */
  readonly isOwner: (digest: Digest, row: BlobRow) => boolean
  readonly onFailure: (digest: string, error: unknown) => void
  /** A copy that should be here is not, or it went because it was damaged. Without a reason: it may be missing. */
  readonly onLost: (digest: Digest, reason: string | undefined) => void
}

export class LocalFiles implements LocalCopies {
  readonly #parts: LocalFilesParts
  readonly #files: DriverFiles
  readonly #proofs: Proofs
  #copies: BlobCopies | undefined
  #isClosed = false

  constructor(parts: LocalFilesParts) {
    this.#parts = parts
    this.#files = new DriverFiles(parts.store.driver, parts.ledger)
    this.#proofs = new Proofs({
      ...parts,
      isolate: (digest, reason) => this.isolate(digest, reason),
      onMissing: (digest) => this.#missing(digest),
    })
  }

  /** Promises that are not over. */
  get pinCount(): number {
    return this.#copies?.pinCount ?? 0
  }

  /** Whether no promise is made any more: this node leaves, and others are asked instead. */
  setClosed(isClosed: boolean): void {
    this.#isClosed = isClosed
  }

  /** A run has begun: promises of the one before are over. */
  onRun({ boot, submit }: RunOfLog): void {
    this.#copies?.close()
    const { store, ledger, member, clock, onFailure } = this.#parts
    const { metadata, digestLock } = store
    const copies = new BlobCopies({
      member,
      boot,
      now: () => clock.monotonic(),
      submit,
      files: this.#files,
      locks: digestLock,
      hasRow: (digest) => {
        const row = metadata.get('blobs', digestIn(digest))
        return row !== undefined && hasObject(row)
      },
      isTrash: (digest) => metadata.get('trash', digestIn(digest)) !== undefined,
      onCopy: (digest) => this.#onCopy(digestIn(digest)),
      onFailure,
    })
    ledger.forgetAll()
    ledger.load().catch((error: unknown) => onFailure('', error))
    copies.cleanUp().catch((error: unknown) => onFailure('', error))
    this.#copies = copies
  }

  onNews(news: readonly CopyNews[]): void {
    for (const it of news) this.#copies?.onNews(it)
  }

  tick(): void {
    this.#copies?.tick()
  }

  close(): void {
    this.#proofs.stop()
    this.#copies?.close()
    this.#copies = undefined
  }

  /** What the copy here must be; undefined: nothing is known of one. */
  promised(digest: Digest, row: BlobRow | undefined): Promised | undefined {
    const { ledger } = this.#parts
    const copy = ledger.get(digest)
    if (copy === undefined) return row
    ledger.touch(digest)
    if (row === undefined) return { sizeBytes: copy.bytes, createdAt: copy.addedAt }
    return { sizeBytes: row.sizeBytes, createdAt: Math.max(row.createdAt, copy.addedAt) }
  }

  async open(digest: Digest): Promise<BlobSource | undefined> {
    const { metadata, driver } = this.#parts.store
    const row = metadata.get('blobs', digest)
    const promised = this.promised(digest, row !== undefined && hasObject(row) ? row : undefined)
    if (promised === undefined) return undefined
    try {
      return this.#parts.traffic.sending(await driver.reader.open(digest, promised))
    } catch (error) {
      if (!isDamage(error)) throw error
      if (isMissing(error)) await this.#missing(digest)
      else await this.isolate(digest, String(error))
      return undefined
    }
  }

  receive(algorithm: Algorithm): PendingBlob {
    const { store, random } = this.#parts
    this.#requireOpen()
    this.requireRoom()
    return store.driver.writer.adopt(randomHexId(random), algorithm, 0)
  }

  get room(): Room {
    return this.#parts.store.driver.writer.room
  }

  requireRoom(): void {
    this.room.require()
  }

  keep(digest: Digest, sizeBytes: number, pending: PendingBlob): Promise<HeldCopy> {
    const seal = () => pending.commit(digest)
    this.#parts.traffic.received(sizeBytes)
    return this.keepFile({ digest, sizeBytes, uploadId: '', seal }, 'owner')
  }

  /** Puts a file in place, and promises to keep it. Rejects with what `seal` does. */
  keepFile(file: ArrivedFile, role: CopyRow['role']): Promise<HeldCopy> {
    const { digest, sizeBytes } = file
    return this.#requireOpen().keep(digest, () => this.#place(digest, sizeBytes, role, file.seal))
  }

  /** Brings a copy for a blob that has a row; false: it has none. */
  async add(digest: Digest, place: () => Promise<void>): Promise<boolean> {
    return this.#requireRun().add(digest, place)
  }

  keepMore(digest: Digest): Promise<HeldCopy | undefined> {
    return this.#requireOpen().keepMore(digest)
  }

  async restore(digest: Digest, sizeBytes: number): Promise<HeldCopy | undefined> {
    const { bin } = this.#parts.store.driver
    let isHere = false
    const restore = async () => {
      isHere = await bin.restore(digest, sizeBytes)
      if (!isHere) throw new Error('there is none')
    }
    try {
      return await this.#requireOpen().keep(digest, () =>
        this.#place(digest, sizeBytes, 'owner', restore),
      )
    } catch (error) {
      if (isHere) throw error
      return undefined
    }
  }

  release(copy: HeldCopy): void {
    this.#copies?.release(copy)
  }

  async has(digest: Digest, sizeBytes: number): Promise<boolean> {
    return (await this.#parts.store.driver.inventory.stat(digest))?.sizeBytes === sizeBytes
  }

  look(digest: Digest, isWanted: () => boolean): Promise<CopyIs> {
    return this.#proofs.look(digest, isWanted)
  }

  mend(digest: Digest): void {
    const { onLost, onFailure } = this.#parts
    // Missing or not: whether it should be here is for the repair to say.
    this.isolate(digest, 'a peer was sent wrong bytes').then(
      (isIsolated) => {
        if (!isIsolated) onLost(digest, undefined)
      },
      (error: unknown) => onFailure(digest, error),
    )
  }

  /** Takes the copy out of service when it is damaged: false when it is not, as it may be another one by now. */
  async isolate(digest: Digest, reason: string): Promise<boolean> {
    const { store, ledger, onLost } = this.#parts
    const { bin, inventory, reader } = store.driver
    return store.digestLock.run(digest, async () => {
      reader.forget(digest)
      if ((await inventory.check(digest)).is !== 'damaged') return false
      this.#copies?.disown(digest)
      await bin.quarantine(digest)
      await ledger.remove(digest)
      onLost(digest, reason)
      return true
    })
  }

  /** Removes a copy that no other node counts on, if no upload does. */
  async evict(digest: Digest): Promise<boolean> {
    const isGone = await this.#requireRun().remove(digest, () =>
      this.#files.discard(digest, 'nowhere'),
    )
    if (!isGone) this.#parts.ledger.hold(digest)
    return isGone
  }

  async #place(
    digest: Digest,
    sizeBytes: number,
    role: CopyRow['role'],
    place: () => Promise<void>,
  ): Promise<void> {
    await place()
    this.#parts.store.driver.reader.forget(digest)
    await this.#parts.ledger.put(digest, sizeBytes, role)
  }

  /** Of a copy that was never here nothing is known. */
  async #missing(digest: Digest): Promise<void> {
    const { store, ledger, onLost } = this.#parts
    await store.digestLock.run(digest, async () => {
      if (ledger.get(digest) === undefined) return onLost(digest, undefined)
      if ((await store.driver.inventory.stat(digest)) !== undefined) return
      await ledger.remove(digest)
      onLost(digest, 'it is not on the disk')
    })
  }

  /** A row rests on the copy: whatever it was here for. */
  #onCopy(digest: Digest): void {
    const { ledger, onFailure } = this.#parts
    ledger.hold(digest)
    ledger.turn(digest, 'owner').catch((error: unknown) => onFailure(digest, error))
  }

  /** Throws BUSY, too, when no promise is made any more. */
  #requireOpen(): BlobCopies {
    if (this.#isClosed) throw copiesShort(undefined)
    return this.#requireRun()
  }

  /** Throws BUSY while this node does not know which run it is. */
  #requireRun(): BlobCopies {
    if (this.#copies !== undefined) return this.#copies
    throw copiesShort(undefined)
  }
}
