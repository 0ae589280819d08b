/**
 * @module Brings the files of this node in line with its rows, in the background: fetches copies that it owns and
 * lacks, after members have changed and once an hour; copies that others own by now become those of a cache, once
 * each owner has read all of its own and found it right.
 */
import { type BlobInventory, hasObject } from '../../blobs/driver.ts'
import type { MetadataStore } from '../../metadata/port.ts'
import { inTurns } from '../../metadata/scan.ts'
import type { BlobRow } from '../../metadata/schema.ts'
import type { Digest } from '../../registry/digest.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { AskPeers } from './ask.ts'
import type { CopyLedger } from './ledger.ts'
import type { Owners } from './owners.ts'
import { Pace } from './pace.ts'
import type { CopyIs } from './proofs.ts'
import { digestsMax } from './protocol.ts'

const everyMs = 3_600_000
/** Until the first walk, and until the next one where owners were not ready, ms. */
const firstMs = 60_000
/** Copies that are wanted at once, besides those that a walk finds. */
const wantedMax = 10_000

export interface RepairParts {
  readonly metadata: MetadataStore
  readonly inventory: Pick<BlobInventory, 'stat'>
  readonly owners: Owners
  readonly ledger: CopyLedger
  readonly ask: Pick<AskPeers, 'copies' | 'prove'>
  readonly clock: Clock
  /** Brings a copy here; false when that did not work out. */
  readonly fetch: (digest: Digest, row: BlobRow) => Promise<boolean>
  /** Copies are of the cache from now on. */
  readonly onHandedOver: () => void
  readonly onError: (error: unknown) => void
}

export class Repair {
  readonly #parts: RepairParts
  readonly #pace: Pace
  readonly #wanted = new Set<Digest>()
  #members: unknown
  #walkedAt: number
  #running: Promise<void> | undefined
  #isStopped = false
  /** Ends the wait for an owner that reads. */
  #giveUp: () => void = () => undefined

  constructor(parts: RepairParts) {
    this.#parts = parts
    this.#pace = new Pace(parts.clock, 'nothing', () => !this.#isStopped)
    this.#members = parts.owners.members
    this.#walkedAt = parts.clock.monotonic() + firstMs - everyMs
  }

  /** Settles when nothing is under way any more. */
  get stopped(): Promise<void> {
    return this.#running ?? Promise.resolve()
  }

  /** A copy that is owned here is gone. */
  want(digest: Digest): void {
    if (this.#wanted.size < wantedMax) this.#wanted.add(digest)
  }

  /** To be called about once a second. */
  tick(): void {
    if (this.#running !== undefined || this.#isStopped) return
    const { owners, clock, onError } = this.#parts
    const isOther = owners.members !== this.#members
    const isDue = isOther || clock.monotonic() - this.#walkedAt >= everyMs
    if (!isDue && this.#wanted.size === 0) return
    if (isDue) {
      this.#members = owners.members
      this.#walkedAt = clock.monotonic()
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
      if (row !== undefined) await this.#mend(digest, row)
      if (this.#isStopped) return
    }
  }

  async #walk(): Promise<void> {
    for await (const { key: digest, row } of inTurns(this.#parts.metadata, 'blobs', [])) {
      if (this.#isStopped) return
      await this.#mend(digest, row)
    }
    await this.#handOver()
  }

  /** Fetches the copy if it is owned here and missing; what is here is written down. */
  async #mend(digest: Digest, row: BlobRow): Promise<void> {
    const { owners, inventory, fetch, ledger } = this.#parts
    if (!hasObject(row)) return
    const isOwner = owners.ofBlob(digest, row).includes(owners.self)
    const isKnown = ledger.get(digest) !== undefined
    if (!isOwner && isKnown) return
    const isHere = (await inventory.stat(digest)) !== undefined
    if (isHere && !isKnown) return ledger.adopt(digest, row)
    if (isHere) return ledger.turn(digest, 'owner')
    if (isOwner && (await fetch(digest, row))) await this.#pace.pay(row.sizeBytes)
  }

  /** What is known of owners is old, or nothing more is to be done. */
  get #mustEnd(): boolean {
    return this.#isStopped || this.#parts.owners.members !== this.#members
  }

  async #handOver(): Promise<void> {
    const { metadata, owners } = this.#parts
    let some: Handed[] = []
    for await (const { key: digest, row: copy } of inTurns(metadata, 'copies', [])) {
      if (this.#mustEnd) return
      const row = metadata.get('blobs', digest)
      if (copy.role !== 'owner' || row === undefined) continue
      const others = owners.ofBlob(digest, row)
      if (others.includes(owners.self) || others.length === 0) continue
      some.push({ digest, size: row.sizeBytes, others })
      if (some.length < digestsMax) continue
      await this.#askFor(some)
      some = []
    }
    await this.#askFor(some)
  }

  /** Of what all owners seem to have each reads its copy: what is right at all of them is theirs from now on. */
  async #askFor(some: readonly Handed[]): Promise<void> {
    const { ledger, clock, onHandedOver } = this.#parts
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
      if (isProven) await ledger.turn(it.digest, 'cache')
      if (isProven) handed += 1
      else missing.add(it.digest)
    }
    if (handed > 0) onHandedOver()
    if (missing.size > 0) this.#walkedAt = clock.monotonic() + firstMs - everyMs
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

interface Handed {
  readonly digest: Digest
  readonly size: number
  readonly others: readonly number[]
}
