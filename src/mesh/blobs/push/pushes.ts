/**
 * @module What a push does on the nodes of a mesh, put together: where there is room, copies that are made while the
 * bytes arrive, those that other nodes send here, and the rows of a file that is whole.
 */
import { hasObject } from '../../../blobs/driver.ts'
import type { ArrivedFile, Arriving, Placed, SharedStore } from '../../../blobs/shared-port.ts'
import type { Time } from '../../../metadata/log/etcd/time.ts'
import type { BlobRow } from '../../../metadata/schema.ts'
import type { CommitOutcome } from '../../../metadata/transaction.ts'
import type { Algorithm, Digest } from '../../../registry/digest.ts'
import type { Clock } from '../../../runtime/clock.ts'
import type { Random } from '../../../runtime/random.ts'
import type { Peers } from '../../peers/peers.ts'
import type { Traffic } from '../../standing/traffic.ts'
import type { AskPeers } from '../ask.ts'
import type { LocalFiles } from '../local.ts'
import type { Owners } from '../owners.ts'
import { Arrivals } from './arrivals.ts'
import { Placements } from './placements.ts'
import { ReceivedFiles } from './receive.ts'
import { type Burden, Rooms } from './rooms.ts'
import { Spread } from './spread.ts'

export interface PushRules {
  /** Copies that an acknowledged blob has, where there are as many members. Default, and for 0: two. */
  readonly writeCopies?: number
  /** Whether a blob is acknowledged with fewer while owners are away. Default refuse. */
  readonly degradedWrites?: 'refuse' | 'allow'
  /** For so long they have to be, ms. Default ten seconds. */
  readonly shortMs?: number
}

export interface PushesParts {
  readonly member: number
  readonly peers: Peers
  readonly store: SharedStore
  readonly local: LocalFiles
  readonly ask: AskPeers
  readonly owners: Owners
  readonly clock: Clock
  readonly time: Time
  readonly random: Random
  readonly traffic: Traffic
  readonly rules: PushRules
  readonly log: { warn(fields: object, message: string): void }
}

export class Pushes {
  /** Files that other nodes send here. */
  readonly received: ReceivedFiles
  readonly placements: Placements
  readonly #parts: PushesParts
  readonly #rooms: Rooms
  readonly #arrivals: Arrivals
  readonly #spread: Spread

  constructor(parts: PushesParts) {
    const { member, peers, store, local, ask, clock, time, traffic, log, rules } = parts
    const { metadata, driver } = store
    this.#parts = parts
    this.received = new ReceivedFiles(local, time)
    this.placements = new Placements(clock, log)
    this.#rooms = new Rooms({
      self: member,
      own: driver.writer.room,
      present: () => peers.links.open,
      ask: (other) => ask.room(other),
      time,
    })
    const onRefused = (other: number, digest: Digest | undefined, error: unknown) =>
      log.warn({ member: other, digest, error: String(error) }, 'a member takes no copy')
    const { writer } = driver
    const openTail =
      writer.openTail && (async (id: string) => traffic.sendingTail(await writer.openTail!(id)))
    this.#arrivals = new Arrivals({ ...parts, openTail, onRefused })
    this.#spread = new Spread({
      ...parts,
      arrivals: this.#arrivals,
      open: (file, isInPlace) => this.#open(file, isInPlace),
      rowOf: (digest) => fileRow(metadata.get('blobs', digest)),
      keepHere: (...of) => local.keepFile(...of),
      keepMoreHere: (digest) => local.keepMore(digest),
      releaseHere: (copy) => local.release(copy),
      onRefused,
      mayDegrade: rules.degradedWrites === 'allow',
      shortMs: rules.shortMs ?? 10_000,
      onPlaced: (outcome) => this.placements.count(outcome),
    })
  }

  hasRoom(member: number): boolean {
    return this.#rooms.has(member)
  }

  /** See `Rooms`. */
  burdenOf(member: number): Burden {
    return this.#rooms.burdenOf(member)
  }

  /** See `Rooms`. */
  give(members: readonly number[]): void {
    this.#rooms.give(members)
  }

  /** See `SharedBlobs`. */
  get roomElsewhere(): number | undefined {
    const { store, owners } = this.#parts
    if (store.driver.writer.room.hasRoom) return undefined
    return this.#rooms.roomiest(owners.active)
  }

  /** See `SharedBlobs`. */
  begin(uploadId: string, algorithm: Algorithm, expected?: Digest): Arriving | undefined {
    return this.#spread.begin(uploadId, algorithm, expected)
  }

  /** See `SharedBlobs`. */
  store(file: ArrivedFile, commit: (placed: Placed) => Promise<CommitOutcome>): Promise<void> {
    return this.#spread.store(file, commit)
  }

  /** Once a second. */
  tick(): void {
    this.#rooms.tick()
    this.#spread.tick()
  }

  async close(): Promise<void> {
    this.#arrivals.close()
    await this.received.close()
  }

  async #open({ digest, sizeBytes, uploadId }: ArrivedFile, isInPlace: boolean) {
    const { store, local, traffic } = this.#parts
    const { driver } = store
    if (!isInPlace) {
      const file = await driver.writer.openGrowing(uploadId, sizeBytes)
      const lend = async () => traffic.sending(await file.lend())
      return { lend, close: () => file.close() }
    }
    const promised = local.promised(digest, undefined)!
    const lend = async () => traffic.sending(await driver.reader.open(digest, promised))
    return { lend, close: () => undefined }
  }
}

function fileRow(row: BlobRow | undefined): BlobRow | undefined {
  return row !== undefined && hasObject(row) ? row : undefined
}
