/**
 * @module The copies of blobs on this node's disk: what puts one there, and the one place that removes one. A
 * file follows the rows: when its own goes (by a sweep, an eviction, a quarantine) the file does, unless an upload
 * rests on it.
 *
 *   under the digest's lock: no row here, no pin here ─► the file goes: into the trash, while the blob has a row there
 *                            no row of the trash      ─► the file in the trash goes
 *
 * Why no promised copy is removed. A row that this node does not show yet can count on the file by a pin only.
 * Such a pin was used at a place that this node has not applied, so it still lives here; a pin that was revoked is
 * refused behind that place (`metadata/apply/held.ts`). And a pin of an earlier run may be used until the node's
 * present run has come in: nothing is removed before that is applied here. What an earlier run left then has
 * neither row nor pin.
 */
import type { CopyNews } from '../metadata/log/copy-news.ts'
import type { HeldCopy } from '../metadata/transaction.ts'
import type { KeyedLock } from '../runtime/keyed-lock.ts'
import { Pins, type PinsParts } from './pins.ts'

/** The files of blobs, by digest: in place, and in the trash. What is not there is not removed: fine. */
export interface CopyFiles {
  /** Whether the whole file is in place; then it is flushed with its name when this resolves. */
  confirm(digest: string): Promise<boolean>
  /** Takes the file from its place. Rejects when the disk refuses. */
  discard(digest: string, to: 'trash' | 'nowhere'): Promise<void>
  /** Removes the file from the trash. Rejects when the disk refuses. */
  purge(digest: string): Promise<void>
  /** Every file, of both; what comes or goes meanwhile may be missed. */
  list(): AsyncIterable<string>
}

export interface BlobCopiesParts extends Omit<PinsParts, 'onEnded'> {
  readonly files: CopyFiles
  /** The locks of digests: with all else that touches a blob's file. */
  readonly locks: KeyedLock
  /** Whether the blob's row is in the view: at least as new as the last news. */
  readonly hasRow: (digest: string) => boolean
  /** Whether the view has the blob in the trash. */
  readonly isTrash: (digest: string) => boolean
  /** A row came that rests on the copy here. */
  readonly onCopy: (digest: string) => void
  /** A file could not be removed; it is tried again. */
  readonly onFailure: (digest: string, error: unknown) => void
}

export class BlobCopies {
  readonly #parts: BlobCopiesParts
  readonly #pins: Pins
  /** May have nothing left that keeps them. */
  readonly #loose = new Set<string>()
  #isClosed = false
  #isFollowing = false
  #comeIn!: () => void
  readonly #isIn: Promise<void>

  constructor(parts: BlobCopiesParts) {
    this.#parts = parts
    this.#pins = new Pins({
      ...parts,
      onEnded: (digest, isUsed) => {
        if (isUsed) parts.onCopy(digest)
        this.#loose.add(digest)
        void this.#follow()
      },
    })
    this.#isIn = new Promise((resolve) => {
      this.#comeIn = resolve
    })
  }

  /** Pins that are not over. */
  get pinCount(): number {
    return this.#pins.size
  }

  /** Goes through all files once the run has come in: earlier runs left some. Rejects when they cannot be listed. */
  async cleanUp(): Promise<void> {
    for await (const digest of this.#parts.files.list()) {
      try {
        await this.#judge(digest)
      } catch (error) {
        this.#loose.add(digest)
        this.#parts.onFailure(digest, error)
      }
    }
  }

  /**
   * Runs `place`, which puts the verified file in place and flushes it with its name, and promises to keep it: the
   * copy may be named by one transaction. An upload brings the file, an undelete takes it out of the trash. Rejects with what `place` rejects, with nothing promised.
   */
  keep(digest: string, place: () => Promise<void>): Promise<HeldCopy> {
    return this.#parts.locks.run(digest, async () => {
      await place()
      return this.#pins.make(digest)
    })
  }

  /**
   * Runs `place`, which brings the verified file, when the blob has a row: that keeps it. False: it has none, and
   * nothing was placed. Rejects with what `place` rejects.
   */
  add(digest: string, place: () => Promise<void>): Promise<boolean> {
    return this.#parts.locks.run(digest, async () => {
      if (!this.#parts.hasRow(digest)) return false
      await place()
      return true
    })
  }

  /** Runs `remove`, which takes a copy away that no other node counts on; false: an upload rests on it. */
  remove(digest: string, remove: () => Promise<void>): Promise<boolean> {
    return this.#parts.locks.run(digest, async () => {
      if (this.#isClosed || this.#pins.isPinned(digest)) return false
      await remove()
      return true
    })
  }

  /** Promises to keep the copy that is here, for one more transaction; undefined: there is none. */
  keepMore(digest: string): Promise<HeldCopy | undefined> {
    return this.#parts.locks.run(digest, async () => {
      return (await this.#parts.files.confirm(digest)) ? this.#pins.make(digest) : undefined
    })
  }

  /** The receiver gives a pin back: no transaction that names it is in the log, or will be. */
  release(copy: HeldCopy): void {
    this.#pins.release(copy)
  }

  /** The copy here is damaged: transactions that rest on it are refused soon, and the file goes with its row. */
  disown(digest: string): void {
    this.#pins.disown(digest)
  }

  /** An entry was applied, and reads here show it, or more. To be called for each, in order. */
  onNews(news: CopyNews): void {
    if (news.isPresent) this.#comeIn()
    this.#pins.onNews(news)
    for (const digest of news.blobsLoose) this.#loose.add(digest)
    void this.#follow()
  }

  /** To be called about once a second. */
  tick(): void {
    this.#pins.tick()
    void this.#follow()
  }

  /** The run is over: another one looks after the files. */
  close(): void {
    this.#isClosed = true
  }

  /** Looks at all that is loose, one after the other. What fails waits for the next tick. */
  async #follow(): Promise<void> {
    if (this.#isFollowing) return
    this.#isFollowing = true
    const failed: string[] = []
    for (const digest of this.#loose) {
      this.#loose.delete(digest)
      try {
        await this.#judge(digest)
      } catch (error) {
        failed.push(digest)
        this.#parts.onFailure(digest, error)
      }
    }
    for (const digest of failed) this.#loose.add(digest)
    this.#isFollowing = false
  }

  async #judge(digest: string): Promise<void> {
    await this.#isIn
    await this.#parts.locks.run(digest, async () => {
      const { files, isTrash } = this.#parts
      // Pins of the next run are not known here.
      if (this.#isClosed) return
      if (!this.#isKept(digest)) await files.discard(digest, isTrash(digest) ? 'trash' : 'nowhere')
      if (!isTrash(digest)) await files.purge(digest)
    })
  }

  #isKept(digest: string): boolean {
    if (this.#parts.hasRow(digest)) return true
    return this.#pins.isPinned(digest)
  }
}
