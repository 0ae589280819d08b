/**
 * @module Puts a file that has arrived on as many members as an acknowledged blob needs, and commits its rows with
 * their promises:
 *
 *   row is there ─► the file becomes a copy of the cache, the row is touched
 *   else         ─► group whose owners run ─► each other owner has it, or gets it ─► in place here ─► rows + `held`
 *
 * Most have got it while it arrived (`arrivals.ts`): then they are told which blob it is.
 * Where that is allowed (`mesh.degraded_writes`) a blob gets fewer copies when owners are away for ten seconds; they
 * are told of it when they are back, and fetch it.
 *
 * The other owners have it first: when they do not take it, the upload stands where it stood. A promise is for one
 * transaction: when one was refused each member is asked for another. After an outcome that nobody knows promises
 * are not given back, as the transaction may be in the log.
 */

import type { OpenFile } from '../../../blobs/port.ts'
import type { ArrivedFile, Arriving, Placed } from '../../../blobs/shared-port.ts'
import type { Time } from '../../../metadata/log/etcd/time.ts'
import type { CopyRow } from '../../../metadata/rows/mesh.ts'
import type { BlobRow } from '../../../metadata/schema.ts'
import type { CommitOutcome, HeldCopy } from '../../../metadata/transaction.ts'
import type { Algorithm, Digest } from '../../../registry/digest.ts'
import { RegistryError } from '../../../registry/errors.ts'
import type { Random } from '../../../runtime/random.ts'
import type { AskPeers } from '../ask.ts'
import type { Choice, Owners } from '../owners.ts'
import { copiesShort } from '../refusals.ts'
import type { Arrivals, Arrived } from './arrivals.ts'

/** Groups that are tried for a file, and transactions. */
const groupsMax = 4
const commitsMax = 4
/** After so long no other group is begun with, ms. */
const triesMs = 10_000
/** How often owners are asked while they are away, ms. */
const againMs = 500
/** Copies that members lack and will be told of; more are found by their repair. */
const owedMax = 10_000

export type Commit = (placed: Placed) => Promise<CommitOutcome>

export interface SpreadParts {
  readonly owners: Owners
  readonly ask: Pick<AskPeers, 'keep' | 'send' | 'release' | 'mend'>
  readonly arrivals: Pick<Arrivals, 'begin' | 'finish' | 'drop'>
  readonly random: Random
  readonly time: Time
  /** Whether fewer copies than wanted will do while owners are away. */
  readonly mayDegrade: boolean
  /** For so long they have to be, ms. */
  readonly shortMs: number
  /** The file for one who reads it: that of the upload, or in place. */
  readonly open: (file: ArrivedFile, isInPlace: boolean) => Promise<OpenFile>
  readonly rowOf: (digest: Digest) => BlobRow | undefined
  /** Puts the file in place on this node, and promises to keep it. */
  readonly keepHere: (file: ArrivedFile, role: CopyRow['role']) => Promise<HeldCopy>
  readonly keepMoreHere: (digest: Digest) => Promise<HeldCopy | undefined>
  readonly releaseHere: (copy: HeldCopy) => void
  /** A member has not taken a copy. */
  readonly onRefused: (member: number, digest: Digest, error: unknown) => void
  /** What has become of a blob that a client has pushed. */
  readonly onPlaced: (outcome: Placement) => void
}

/** Its row was there; others had it while it arrived, or when it was whole; it has too few copies, or none at all. */
export type Placement = 'there' | 'streamed' | 'sent' | 'degraded' | 'refused'

type Spreading = Choice & { readonly copies: HeldCopy[]; readonly outcome: Placement }

export class Spread {
  readonly #parts: SpreadParts
  /** Since when too few owners take copies. */
  #shortSince: number | undefined
  /** What each member lacks. */
  readonly #owed = new Map<number, Set<Digest>>()
  #isPaying = false

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
    const { rowOf, keepHere, owners, arrivals, onPlaced } = this.#parts
    const { digest } = file
    const row = rowOf(digest)
    let mine: HeldCopy | undefined
    if (row !== undefined) {
      arrivals.drop(file.uploadId)
      const isOwner = owners.ofBlob(digest, row).includes(owners.self)
      mine = await keepHere(file, isOwner ? 'owner' : 'cache')
      const { applied } = await this.#commit(commit, 'there', [mine])
      // It keeps nothing by itself: the row does.
      if (applied) {
        onPlaced('there')
        return this.#release(mine)
      }
    }
    const found = await this.#spread(file, mine)
    const { group, copies, outcome } = found
    const isOwner = found.owners.includes(owners.self)
    try {
      mine ??= await keepHere(file, isOwner ? 'owner' : 'cache')
    } catch (error) {
      for (const copy of copies) this.#release(copy)
      throw error
    }
    const isHeld = isOwner || copies.length === 0
    await this.#commitHeld(digest, commit, group, isHeld ? [mine, ...copies] : copies)
    if (!isHeld) this.#release(mine)
    onPlaced(outcome)
    for (const member of found.owners) this.#complete(member, digest, [mine, ...copies])
  }

  /** Tells members that are back what they lack. To be called about once a second. */
  tick(): void {
    if (this.#parts.owners.away.length === 0) this.#shortSince = undefined
    if (this.#isPaying || this.#owed.size === 0) return
    this.#isPaying = true
    void this.#pay().finally(() => {
      this.#isPaying = false
    })
  }

  async #pay(): Promise<void> {
    const { owners, ask } = this.#parts
    for (const [member, digests] of this.#owed) {
      if (!owners.members.some(({ number }) => number === member)) digests.clear()
      for (const digest of digests) {
        if (!owners.isPresent(member)) break
        const isTold = await ask.mend(member, digest).then(
          () => true,
          () => false,
        )
        if (!isTold) break
        digests.delete(digest)
      }
      if (digests.size === 0) this.#owed.delete(member)
    }
  }

  /** Owners beyond those that an acknowledged blob needs fetch it behind the answer. */
  #complete(member: number, digest: Digest, copies: readonly HeldCopy[]): void {
    if (copies.some((copy) => copy.member === member)) return
    this.#parts.ask.mend(member, digest).catch(() => this.#owe(member, digest))
  }

  #owe(member: number, digest: Digest): void {
    const digests = this.#owed.get(member) ?? new Set()
    if (digests.size < owedMax) this.#owed.set(member, digests.add(digest))
  }

  /** Copies at the other owners of a group, as many as are missing beside the one here. */
  async #spread(file: ArrivedFile, mine: HeldCopy | undefined): Promise<Spreading> {
    const { arrivals, mayDegrade, onPlaced, time } = this.#parts
    const startedAt = time.monotonic()
    const arrived = await arrivals.finish(file.uploadId, file.digest, file.sizeBytes)
    const found = await this.#tryGroups(file, mine !== undefined, startedAt, arrived)
    if (found !== undefined) return found
    const short = mayDegrade ? await this.#spreadShort(file, mine !== undefined) : undefined
    if (short !== undefined) return short
    if (mine !== undefined) this.#release(mine)
    onPlaced('refused')
    throw copiesShort(file.digest)
  }

  /** Undefined: too few members take it now. Members that do not run are asked, unless that is known for long. */
  async #tryGroups(
    file: ArrivedFile,
    isInPlace: boolean,
    startedAt: number,
    arrived?: Arrived,
  ): Promise<Spreading | undefined> {
    const { owners, random, time } = this.#parts
    const without = new Set(arrived?.without ?? [])
    if (this.#isShort) for (const member of owners.away) without.add(member)
    let choice = arrived?.choice
    let copies = [...(arrived?.copies ?? [])]
    for (let tries = 0; tries < groupsMax; tries += 1) {
      choice ??= owners.choose(random, without)
      if (choice === undefined) break
      const arrivedCount = copies.length
      if (await this.#complement(file, choice, copies, without, isInPlace)) {
        this.#shortSince = undefined
        const outcome = copies.length > 0 && copies.length === arrivedCount ? 'streamed' : 'sent'
        return { ...choice, copies, outcome }
      }
      for (const copy of copies) this.#release(copy)
      copies = []
      choice = undefined
      if (time.monotonic() - startedAt >= triesMs) break
    }
    for (const copy of copies) this.#release(copy)
    return undefined
  }

  /** Whether too few members took copies for so long that fewer will do. */
  get #isShort(): boolean {
    const { time, shortMs } = this.#parts
    return this.#shortSince !== undefined && time.monotonic() - this.#shortSince >= shortMs
  }

  /** When owners are away for long: with as many copies as there can be, at least the one here. Undefined: no group. */
  async #spreadShort(file: ArrivedFile, isInPlace: boolean): Promise<Spreading | undefined> {
    const { owners, random, time, shortMs } = this.#parts
    const startedAt = time.monotonic()
    while (!this.#isShort && time.monotonic() - startedAt < shortMs) {
      this.#shortSince ??= time.monotonic()
      await new Promise<void>((resolve) => time.after(againMs, resolve))
      const found = await this.#tryGroups(file, isInPlace, time.monotonic())
      if (found !== undefined) return found
    }
    const choice = owners.choose(random, new Set(), 1)
    if (choice === undefined) return undefined
    const copies: HeldCopy[] = []
    await this.#complement(file, choice, copies, new Set(owners.away), isInPlace)
    return { ...choice, copies, outcome: 'degraded' }
  }

  /** Adds the copies that are missing at the owners of a group, one after the other in its order; false: too few. */
  async #complement(
    file: ArrivedFile,
    { owners: all }: Choice,
    copies: HeldCopy[],
    without: Set<number>,
    isInPlace: boolean,
  ): Promise<boolean> {
    const { owners } = this.#parts
    const { self, writeCopies } = owners
    const wanted = writeCopies - Number(all.includes(self))
    const has = (member: number) => copies.some((copy) => copy.member === member)
    const others = all
      .filter((it) => it !== self && !without.has(it) && !has(it))
      // One without room may have the blob all the same.
      .sort((one, other) => Number(owners.hasRoom(other)) - Number(owners.hasRoom(one)))
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
