/**
 * @module Puts a file that has arrived on as many members as an acknowledged blob needs, and commits its rows with
 * their promises:
 *
 *   row is there ─► the file becomes a copy of the cache, the row is touched
 *   else         ─► group whose owners run ─► each other owner has it, or gets it ─► in place here ─► rows + `held`
 *
 * Most have got it while it arrived (`arrivals.ts`): then they are told which blob it is.
 * The other owners have it first: when they do not take it, the upload stands where it stood. A promise is for one
 * transaction: when one was refused each member is asked for another. After an outcome that nobody knows promises
 * are not given back, as the transaction may be in the log.
 */

import type { OpenFile } from '../../../blobs/port.ts'
import type { ArrivedFile, Arriving, Placed } from '../../../blobs/shared-port.ts'
import type { CopyRow } from '../../../metadata/rows/mesh.ts'
import type { BlobRow } from '../../../metadata/schema.ts'
import type { CommitOutcome, HeldCopy } from '../../../metadata/transaction.ts'
import type { Algorithm, Digest } from '../../../registry/digest.ts'
import { RegistryError } from '../../../registry/errors.ts'
import type { Clock } from '../../../runtime/clock.ts'
import type { Random } from '../../../runtime/random.ts'
import type { AskPeers } from '../ask.ts'
import type { Choice, Owners } from '../owners.ts'
import { copiesShort } from '../refusals.ts'
import type { Arrivals } from './arrivals.ts'

/** Groups that are tried for a file, and transactions. */
const groupsMax = 4
const commitsMax = 4
/** After so long no other group is begun with, ms. */
const triesMs = 10_000

export type Commit = (placed: Placed) => Promise<CommitOutcome>

export interface SpreadParts {
  readonly owners: Owners
  readonly ask: Pick<AskPeers, 'keep' | 'send' | 'release' | 'mend'>
  readonly arrivals: Pick<Arrivals, 'begin' | 'finish' | 'drop'>
  readonly random: Random
  readonly clock: Pick<Clock, 'monotonic'>
  /** The file for one who reads it: that of the upload, or in place. */
  readonly open: (file: ArrivedFile, isInPlace: boolean) => Promise<OpenFile>
  readonly rowOf: (digest: Digest) => BlobRow | undefined
  /** Puts the file in place on this node, and promises to keep it. */
  readonly keepHere: (file: ArrivedFile, role: CopyRow['role']) => Promise<HeldCopy>
  readonly keepMoreHere: (digest: Digest) => Promise<HeldCopy | undefined>
  readonly releaseHere: (copy: HeldCopy) => void
  /** A member has not taken a copy. */
  readonly onRefused: (member: number, digest: Digest, error: unknown) => void
}

export class Spread {
  readonly #parts: SpreadParts

  constructor(parts: SpreadParts) {
    this.#parts = parts
  }

  /** See `SharedBlobs`. */
  begin(uploadId: string, algorithm: Algorithm, expected?: Digest): Arriving | undefined {
    const { arrivals, rowOf } = this.#parts
    if (expected !== undefined && rowOf(expected) !== undefined) return undefined
    return arrivals.begin(uploadId, algorithm)
  }

  /** See `SharedBlobs`. */
  async store(file: ArrivedFile, commit: Commit): Promise<void> {
    const { rowOf, keepHere, owners, arrivals } = this.#parts
    const { digest } = file
    const row = rowOf(digest)
    let mine: HeldCopy | undefined
    if (row !== undefined) {
      arrivals.drop(file.uploadId)
      const isOwner = owners.ofBlob(digest, row).includes(owners.self)
      mine = await keepHere(file, isOwner ? 'owner' : 'cache')
      const { applied } = await this.#commit(commit, 'there', [mine])
      // It keeps nothing by itself: the row does.
      if (applied) return this.#release(mine)
    }
    const choice = await this.#spread(file, mine)
    const isOwner = choice.owners.includes(owners.self)
    mine ??= await keepHere(file, isOwner ? 'owner' : 'cache')
    const { group, copies } = choice
    await this.#commitHeld(digest, commit, group, isOwner ? [mine, ...copies] : copies)
    if (!isOwner) this.#release(mine)
    for (const member of choice.owners) this.#complete(member, digest, [mine, ...copies])
  }

  /** Owners beyond those that an acknowledged blob needs fetch it behind the answer. */
  #complete(member: number, digest: Digest, copies: readonly HeldCopy[]): void {
    if (copies.some((copy) => copy.member === member)) return
    this.#parts.ask.mend(member, digest).catch(() => undefined)
  }

  /** Copies at the other owners of a group, as many as are missing beside the one here. */
  async #spread(
    file: ArrivedFile,
    mine: HeldCopy | undefined,
  ): Promise<Choice & { readonly copies: HeldCopy[] }> {
    const { owners, random, arrivals, clock } = this.#parts
    const startedAt = clock.monotonic()
    const arrived = await arrivals.finish(file.uploadId, file.digest, file.sizeBytes)
    const without = new Set(arrived?.without)
    let choice = arrived?.choice
    let copies = [...(arrived?.copies ?? [])]
    for (let tries = 0; tries < groupsMax; tries += 1) {
      choice ??= owners.choose(random, without)
      if (choice === undefined) break
      const isWhole = await this.#complement(file, choice, copies, without, mine !== undefined)
      if (isWhole) return { ...choice, copies }
      for (const copy of copies) this.#release(copy)
      copies = []
      choice = undefined
      if (clock.monotonic() - startedAt >= triesMs) break
    }
    for (const copy of copies) this.#release(copy)
    if (mine !== undefined) this.#release(mine)
    throw copiesShort(file.digest)
  }

  /** Adds the copies that are missing at the owners of a group, one after the other in its order; false: too few. */
  async #complement(
    file: ArrivedFile,
    { owners: all }: Choice,
    copies: HeldCopy[],
    without: Set<number>,
    isInPlace: boolean,
  ): Promise<boolean> {
    const { self, writeCopies } = this.#parts.owners
    const wanted = writeCopies - Number(all.includes(self))
    const has = (member: number) => copies.some((copy) => copy.member === member)
    const others = all.filter((it) => it !== self && !without.has(it) && !has(it))
    while (copies.length < wanted) {
      const next = others.splice(0, wanted - copies.length)
      if (next.length === 0) return false
      const found = await Promise.all(next.map((member) => this.#copyTo(member, file, isInPlace)))
      for (const [at, copy] of found.entries()) {
        if (copy === undefined) without.add(next[at]!)
        else copies.push(copy)
      }
    }
    return true
  }

  /** Undefined: it does not take it now. */
  async #copyTo(
    member: number,
    file: ArrivedFile,
    isInPlace: boolean,
  ): Promise<HeldCopy | undefined> {
    const { ask, open, onRefused } = this.#parts
    try {
      const kept = await ask.keep(member, file.digest)
      if (kept !== undefined) return kept
      const upload = await open(file, isInPlace)
      try {
        const source = await upload.lend()
        try {
          return await ask.send(member, file.digest, source)
        } finally {
          source.close()
        }
      } finally {
        upload.close()
      }
    } catch (error) {
      onRefused(member, file.digest, error)
      return undefined
    }
  }

  async #commitHeld(
    digest: Digest,
    commit: Commit,
    group: number,
    first: readonly HeldCopy[],
  ): Promise<void> {
    let copies = first
    for (let tries = 0; tries < commitsMax; tries += 1) {
      const held = { check: 'held', in: 'sessions', copies, atLeast: copies.length } as const
      const { applied } = await this.#commit(commit, { group, held }, copies)
      if (applied) return
      // The old ones go behind: without any the file would.
      const again = await Promise.all(copies.map(({ member }) => this.#keepMore(member, digest)))
      for (const copy of copies) this.#release(copy)
      const found = again.filter((copy) => copy !== undefined)
      if (found.length < copies.length) {
        for (const copy of found) this.#release(copy)
        break
      }
      copies = found
    }
    throw copiesShort(digest)
  }

  /** Gives the promises back when the transaction will never be applied. */
  async #commit(
    commit: Commit,
    placed: Placed,
    copies: readonly HeldCopy[],
  ): Promise<CommitOutcome> {
    try {
      return await commit(placed)
    } catch (error) {
      const isVoid = error instanceof RegistryError && error.kind === 'NOT_DONE'
      if (isVoid) for (const copy of copies) this.#release(copy)
      throw error
    }
  }

  #keepMore(member: number, digest: Digest): Promise<HeldCopy | undefined> {
    const { owners, ask, keepMoreHere } = this.#parts
    if (member === owners.self) return keepMoreHere(digest)
    return ask.keep(member, digest).catch(() => undefined)
  }

  /** Of another member by a message: when that is lost the pin ends by itself, later. */
  #release(copy: HeldCopy): void {
    const { owners, ask, releaseHere } = this.#parts
    if (copy.member === owners.self) releaseHere(copy)
    else ask.release(copy).catch(() => undefined)
  }
}
