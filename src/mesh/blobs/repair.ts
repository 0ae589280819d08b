/**
 * @module Brings the files of this node in line with its rows, in the background: fetches copies that it owns and
 * lacks, after members have changed and once an hour, those first of which there is one copy only; copies that others
 * own by now become those of a cache, once each owner has read all of its own and found it right.
 */
import { type BlobInventory, hasObject } from '../../blobs/driver.ts'
import type { MetadataStore } from '../../metadata/port.ts'
import { inTurns } from '../../metadata/scan.ts'
import type { BlobRow } from '../../metadata/schema.ts'
import type { Digest } from '../../registry/digest.ts'
import type { Clock } from '../../runtime/clock.ts'
import { groupOfRow } from '../placement.ts'
import { countCopies, mostInDangerFirst, type SizedBlob } from '../standing/census.ts'
import { Standing } from '../standing/figures.ts'
import type { AskPeers } from './ask.ts'
import type { CopyLedger } from './ledger.ts'
import type { Owners } from './owners.ts'
import { Pace } from './pace.ts'
import type { CopyIs } from './proofs.ts'
import { digestsMax } from './protocol.ts'

const everyMs = 3_600_000
/** From the start to the first walk, ms. */
const firstMs = 60_000
/** Until the next walk where something was not done: twice as long each time, and longer than four walks, ms. */
const againMsMin = 2_000
const againMsMax = 60_000
const walkShare = 4
/** Copies that are wanted at once, besides those that a walk finds; and those that a walk finds. */
const wantedMax = 10_000
const lackingMax = 100_000
/** Copies that a walk fetches at once. */
const fetchesMax = 4

export interface RepairParts {
  readonly metadata: MetadataStore
  readonly inventory: Pick<BlobInventory, 'stat'>
  readonly owners: Owners
  readonly ledger: CopyLedger
  readonly ask: Pick<AskPeers, 'copies' | 'prove'>
  readonly clock: Clock
  /** What is fetched in a second, bytes; 0: no bound. Default 64 MiB. */
  readonly bytesPerSecond?: number
  /** Brings a copy here; false when that did not work out. */
  readonly fetch: (digest: Digest, row: BlobRow) => Promise<boolean>
  /** Copies are of the cache from now on. */
  readonly onHandedOver: () => void
  readonly onError: (error: unknown) => void
}

export class Repair {
  readonly #parts: RepairParts
  readonly #pace: Pace
  readonly #standing: Standing
  readonly #wanted = new Set<Digest>()
  readonly #coming = new Map<Digest, Promise<boolean>>()
  #members: unknown
  /** When the next walk begins, ms of the monotonic clock. */
  #dueAt: number
  /** Walks since the last one that has done all, or anything. */
  #idleWalks = 0
  #begun = 0
  #lastWhole = 0
  #fetchedBytes = 0
  #running: Promise<void> | undefined
  #isStopped = false
  /** Ends the wait for an owner that reads. */
  #giveUp: () => void = () => undefined

  constructor(parts: RepairParts) {
    const { owners, clock, bytesPerSecond } = parts
    this.#parts = parts
    this.#pace = new Pace(clock, 'nothing', () => !this.#isStopped, bytesPerSecond)
    this.#standing = new Standing(() => owners.members)
    this.#members = owners.members
    this.#dueAt = clock.monotonic() + firstMs
  }

  /** Settles when nothing is under way any more. */
  get stopped(): Promise<void> {
    return this.#running ?? Promise.resolve()
  }

  /** How copies stood at the last walk; undefined: not known since members have changed. */
  get figures(): Standing['figures'] {
    return this.#standing.figures
  }

  /** The same of placement groups. */
  groups(from: number, count: number): ReturnType<Standing['groups']> {
    return this.#standing.groups(from, count)
  }

  /** What was fetched since the start. */
  get fetchedBytes(): number {
    return this.#fetchedBytes
  }

  /** A copy that is owned here is gone. */
  want(digest: Digest): void {
    if (this.#wanted.size < wantedMax) this.#wanted.add(digest)
  }

  /** Number of the last walk that was made to its end. */
  get walks(): number {
    return this.#lastWhole
  }

  /** The next walk begins at the next tick, or when the one that is under way has ended. Returns its number. */
  hurry(): number {
    this.#dueAt = Number.NEGATIVE_INFINITY
    return this.#begun + 1
  }

  /** To be called about once a second. */
  tick(): void {
    if (this.#running !== undefined || this.#isStopped) return
    const { owners, clock, onError } = this.#parts
    const isOther = owners.members !== this.#members
    const isDue = isOther || clock.monotonic() >= this.#dueAt
    if (!isDue && this.#wanted.size === 0) return
    if (isDue) {
      if (isOther) this.#idleWalks = 0
      this.#members = owners.members
      this.#dueAt = clock.monotonic() + everyMs
    }
    this.#running = (isDue ? this.#walk() : this.#fetchWanted()).catch(onError).finally(() => {
      this.#running = undefined
    })
  }

  stop(): void {
    this.#isStopped = true
    this.#giveUp()
  }

  async #fetchWanted(): Promise<void> {
    for (const digest of this.#wanted) {
      this.#wanted.delete(digest)
      const row = this.#parts.metadata.get('blobs', digest)
      if (row === undefined) continue
      const lacking: GroupedBlob[] = []
      await this.#look(digest, row, lacking)
      for (const it of lacking) await this.#bring(it)
      if (this.#isStopped) return
    }
  }

  async #walk(): Promise<void> {
    const { metadata, owners, clock, ask } = this.#parts
    const startedAt = clock.monotonic()
    this.#begun += 1
    const number = this.#begun
    const standing = this.#standing
    standing.begin()
    const lacking: GroupedBlob[] = []
    let more = 0
    for await (const { key: digest, row } of inTurns(metadata, 'blobs', [])) {
      if (this.#mustEnd) return
      const kind = await this.#look(digest, row, lacking)
      if (hasObject(row)) standing.count(kind, row.sizeBytes, groupOfRow(digest, row))
      if (lacking.length > lackingMax) more += lacking.splice(lackingMax).length
    }
    if (this.#mustEnd) return
    standing.finish(clock.now())
    const others = owners.members.map(({ number }) => number).filter((it) => it !== owners.self)
    const copies = await countCopies(ask, others, lacking)
    const fetched = await this.#bringAll(mostInDangerFirst(lacking, copies))
    const { handed, left } = await this.#handOver()
    if (this.#mustEnd) return
    this.#lastWhole = number
    const isWhole = fetched === lacking.length && left === 0
    this.#idleWalks = isWhole || fetched + handed > 0 ? 0 : this.#idleWalks + 1
    if (more > 0) this.hurry()
    else if (!isWhole) this.#again(clock.monotonic() - startedAt, left > 0 ? againMsMax : everyMs)
  }

  /** A walk comes sooner than in an hour: owners may have fetched meanwhile, or a peer is back. */
  #again(walkMs: number, msMax: number): void {
    const { clock } = this.#parts
    const ms = Math.max(againMsMin * 2 ** this.#idleWalks, walkShare * walkMs)
    this.#dueAt = Math.min(this.#dueAt, clock.monotonic() + Math.min(msMax, ms))
  }

  /** What the blob is here. What is here is written down; what is missing is added to `lacking`. */
  async #look(
    digest: Digest,
    row: BlobRow,
    lacking: GroupedBlob[],
  ): Promise<'owned' | 'lacking' | 'kept' | 'cached' | undefined> {
    const { owners, inventory, ledger } = this.#parts
    if (!hasObject(row)) return undefined
    const isOwner = owners.ofBlob(digest, row).includes(owners.self)
    const known = ledger.get(digest)
    if (!isOwner && known !== undefined) return known.role === 'owner' ? 'kept' : 'cached'
    const isHere = (await inventory.stat(digest)) !== undefined
    if (isHere && known === undefined) await ledger.adopt(digest, row)
    else if (isHere) await ledger.turn(digest, 'owner')
    if (isHere) return isOwner ? 'owned' : 'kept'
    if (!isOwner) return undefined
    lacking.push({ digest, size: row.sizeBytes, group: groupOfRow(digest, row) })
    return 'lacking'
  }

  /** How many came, some at once. */
  async #bringAll(queue: readonly GroupedBlob[]): Promise<number> {
    let next = 0
    let came = 0
    const one = async (isFirst: boolean) => {
      while (next < queue.length && !this.#mustEnd) {
        // What was lost meanwhile does not wait for all of it.
        if (isFirst) await this.#fetchWanted()
        const it = queue[next]
        next += 1
        if (it === undefined || !(await this.#bring(it))) continue
        came += 1
        this.#standing.move('lacking', 'owned', it.size, it.group)
      }
    }
    await Promise.all(Array.from({ length: fetchesMax }, (_, at) => one(at === 0)))
    return came
  }

  /**
   * Whether the copy is here now, or not needed any more. One that is wanted meanwhile, too, as a peer has asked for it,
   * comes once.
   */
  #bring({ digest }: SizedBlob): Promise<boolean> {
    const running = this.#coming.get(digest)
    if (running !== undefined) return running
    const coming = this.#fetch(digest).finally(() => this.#coming.delete(digest))
    this.#coming.set(digest, coming)
    return coming
  }

  async #fetch(digest: Digest): Promise<boolean> {
    const { metadata, inventory, fetch } = this.#parts
    const row = metadata.get('blobs', digest)
    if (row === undefined || (await inventory.stat(digest)) !== undefined) return true
    if (!(await fetch(digest, row))) return false
    this.#fetchedBytes += row.sizeBytes
    await this.#pace.pay(row.sizeBytes)
    return true
  }

  /** What is known of owners is old, or nothing more is to be done. */
  get #mustEnd(): boolean {
    return this.#isStopped || this.#parts.owners.members !== this.#members
  }

  /** How many copies are those of the cache now, and of how many that has to wait. */
  async #handOver(): Promise<{ readonly handed: number; readonly left: number }> {
    const { metadata, owners } = this.#parts
    let some: Handed[] = []
    let handed = 0
    let all = 0
    const end = async () => {
      all += some.length
      handed += await this.#askFor(some)
      some = []
    }
    for await (const { key: digest, row: copy } of inTurns(metadata, 'copies', [])) {
      if (this.#mustEnd) break
      const row = metadata.get('blobs', digest)
      if (copy.role !== 'owner' || row === undefined) continue
      const others = owners.ofBlob(digest, row)
      if (others.includes(owners.self)) continue
      if (others.length === 0) {
        all += 1
        continue
      }
      const group = groupOfRow(digest, row)
      some.push({ digest, size: row.sizeBytes, group, others })
      if (some.length === digestsMax) await end()
    }
    await end()
    return { handed, left: all - handed }
  }

  /**
   * Of what all owners seem to have each reads its copy: what is right at all of them is theirs from now on. Resolves
   * with how many that are.
   */
  async #askFor(some: readonly Handed[]): Promise<number> {
    const { ledger, onHandedOver } = this.#parts
    const missing = await this.#missingOf(some)
    const silent = new Set<number>()
    let handed = 0
    for (const it of some) {
      if (missing.has(it.digest)) continue
      // Reading takes hours when there is much: copies that are lost meanwhile do not wait for that.
      await this.#fetchWanted()
      if (this.#mustEnd) break
      const isProven = await this.#isProven(it, silent)
      if (this.#mustEnd) break
      if (!isProven) continue
      await ledger.turn(it.digest, 'cache')
      this.#standing.move('kept', 'cached', it.size, it.group)
      handed += 1
    }
    if (handed > 0) onHandedOver()
    return handed
  }

  /** Those that some owner says it lacks, or says nothing of: nothing is read for them. */
  async #missingOf(some: readonly Handed[]): Promise<Set<Digest>> {
    const { ask } = this.#parts
    const missing = new Set<Digest>()
    for (const member of new Set(some.flatMap(({ others }) => others))) {
      const theirs = some.filter(({ others }) => others.includes(member))
      const blobs = theirs.map(({ digest, size }) => ({ digest, size }))
      const here = await ask.copies(member, { blobs }).catch(() => undefined)
      for (const [at, { digest }] of theirs.entries()) {
        if (here?.[at] !== true) missing.add(digest)
      }
    }
    return missing
  }

  /** Whether each owner has a right copy, and keeps it as one. All are asked: each makes its bad copy anew. */
  async #isProven({ digest, size, others }: Handed, silent: Set<number>): Promise<boolean> {
    let right = 0
    for (const member of others) {
      if (silent.has(member)) continue
      const is = await this.#prove(member, digest, size)
      if (is === undefined) silent.add(member)
      if (is === 'owner') right += 1
    }
    return right === others.length
  }

  /** Undefined: it does not say. A stop does not wait for what may take minutes. */
  #prove(member: number, digest: Digest, size: number): Promise<CopyIs | undefined> {
    return new Promise((resolve) => {
      this.#giveUp = () => resolve(undefined)
      if (this.#isStopped) return resolve(undefined)
      this.#parts.ask.prove(member, digest, size).then(resolve, () => resolve(undefined))
    })
  }
}

interface GroupedBlob extends SizedBlob {
  readonly group: number
}

interface Handed extends GroupedBlob {
  readonly others: readonly number[]
}
