/**
 * @module Blobs on their way here from other members: one fill a digest, whoever asks; a copy stays when the blob
 * still has its row.
 */

import type { DriverReader, DriverWriter } from '../../blobs/driver.ts'
import { Fill } from '../../blobs/fill/fill.ts'
import type { FilledBlob } from '../../blobs/fill/source.ts'
import type { BlobSource } from '../../blobs/port.ts'
import type { Time } from '../../metadata/log/etcd/time.ts'
import type { BlobRow } from '../../metadata/schema.ts'
import type { Digest } from '../../registry/digest.ts'
import { RegistryError } from '../../registry/errors.ts'
import type { Clock } from '../../runtime/clock.ts'
import { type Random, randomHexId } from '../../runtime/random.ts'
import { PassThrough } from '../../upstream/pass-through.ts'
import type { Traffic } from '../standing/traffic.ts'
import type { AskPeers } from './ask.ts'
import type { CopyLedger } from './ledger.ts'
import type { Owners } from './owners.ts'
import { PartSource } from './part-source.ts'
import { PeerSource } from './peer-source.ts'
import { copiesSilent } from './refusals.ts'

/** Until the head of the first answer, ms. */
const headMs = 15_000
/** Fills that one reader sees through: each may leave out one member more. */
const fillsMax = 3
/** Blobs of which it is remembered who has sent wrong bytes. */
const badMax = 1_000

export interface FetchesParts {
  readonly writer: DriverWriter
  readonly reader: Pick<DriverReader, 'open' | 'forget'>
  readonly ask: Pick<AskPeers, 'open' | 'mend'>
  readonly owners: Owners
  readonly ledger: CopyLedger
  readonly clock: Clock
  readonly time: Time
  readonly random: Random
  readonly traffic: Traffic
  /** Runs the work when the blob has a row, which keeps the file from then on; false: it has none. */
  readonly add: (digest: Digest, place: () => Promise<void>) => Promise<boolean>
  /** A copy came for pulls alone. */
  readonly onCached: () => void
  /** No member has the blob. */
  readonly onNone: (digest: Digest, row: BlobRow) => void
}

interface Running {
  readonly fill: Fill
  readonly source: PeerSource
}

export class Fetches {
  readonly #parts: FetchesParts
  readonly #fills = new Map<Digest, Running>()
  readonly #bad = new Map<Digest, Set<number>>()
  #isClosed = false

  constructor(parts: FetchesParts) {
    this.#parts = parts
  }

  /** See `SharedBlobs`. */
  async open(digest: Digest, row: BlobRow, isWhole: boolean): Promise<BlobSource> {
    for (let fills = 1; ; fills += 1) {
      const { fill, source } = this.#fillOf(digest, row)
      // Who wants a part takes what it wants and leaves: the copy is for the next one.
      if (!isWhole) fill.want()
      try {
        if (!fill.isReadable) await fill.opened
        if (fill.isReadable) {
          const aside = (from: number) => source.openAside(from)
          return isWhole ? fill.attach() : new PartSource(fill, row.sizeBytes, aside)
        }
        if (fill.state === 'stored') return await this.#parts.reader.open(digest, this.#young(row))
      } catch (error) {
        if (error instanceof RegistryError) throw error
        if (fills < fillsMax) continue
        throw copiesSilent(digest, error)
      }
      // There is no room for a copy.
      const { offset, sizeBytes, body } = fill.takeUnstored() ?? (await source.open(0))
      if (offset === 0 && sizeBytes === row.sizeBytes) return new PassThrough(body, row.sizeBytes)
      body.abort()
      throw copiesSilent(digest)
    }
  }

  /** Brings a copy here; false when that did not work out. */
  async fetch(digest: Digest, row: BlobRow): Promise<boolean> {
    const { fill } = this.#fillOf(digest, row)
    fill.want()
    await fill.over
    fill.takeUnstored()?.body.abort()
    return fill.state === 'stored'
  }

  /** Resolves when none is under way any more. */
  async close(): Promise<void> {
    this.#isClosed = true
    const running = [...this.#fills.values()]
    for (const { source } of running) source.stop()
    await Promise.all(running.map(({ fill }) => fill.over))
  }

  #fillOf(digest: Digest, row: BlobRow): Running {
    const running = this.#fills.get(digest)
    if (running !== undefined) return running
    const { ask, owners, time, traffic, onNone } = this.#parts
    const source = new PeerSource({
      ask: { open: async (...of) => traffic.receiving(await ask.open(...of)) },
      time,
      digest,
      sizeBytes: row.sizeBytes,
      members: () => (this.#isClosed ? undefined : owners.sources(digest, row)),
      bad: this.#badFor(digest),
      onBad: (member) => ask.mend(member, digest).catch(() => undefined),
      onNone: () => onNone(digest, row),
    })
    const fill = this.#start(digest, row, source)
    const started = { fill, source }
    this.#fills.set(digest, started)
    void fill.over.then(() => this.#fills.delete(digest))
    return started
  }

  #start(digest: Digest, row: BlobRow, source: PeerSource): Fill {
    const { writer, clock, random } = this.#parts
    const { sizeBytes } = row
    return new Fill(
      { digest, promisedBytes: sizeBytes, deadline: clock.monotonic() + headMs },
      source,
      { mayStore: () => this.#hasRoom(sizeBytes), publish: (blob) => this.#publish(blob, row) },
      { growing: writer, uploadId: randomHexId(random), inlineLimitBytes: 0, clock },
    )
  }

  #hasRoom(sizeBytes: number): boolean {
    const { room } = this.#parts.writer
    return room.hasRoom && room.freeBytes - room.reserveBytes > sizeBytes
  }

  async #publish({ digest, sizeBytes, pending }: FilledBlob, row: BlobRow): Promise<void> {
    const { owners, ledger, reader, add, onCached } = this.#parts
    const isOwner = owners.ofBlob(digest, row).includes(owners.self)
    const isKept = await add(digest, async () => {
      await pending!.commit(digest)
      reader.forget(digest)
      await ledger.put(digest, sizeBytes, isOwner ? 'owner' : 'cache')
    })
    if (!isKept) throw new Error('the blob has no row any more')
    this.#bad.delete(digest)
    if (!isOwner) onCached()
  }

  /** The file was written in this moment, not when the row was. */
  #young(row: BlobRow): BlobRow {
    return { ...row, createdAt: this.#parts.clock.now() }
  }

  #badFor(digest: Digest): Set<number> {
    const known = this.#bad.get(digest)
    if (known !== undefined) return known
    const bad = new Set<number>()
    this.#bad.set(digest, bad)
    if (this.#bad.size > badMax) this.#bad.delete(this.#bad.keys().next().value!)
    return bad
  }
}
