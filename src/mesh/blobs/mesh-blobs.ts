/**
 * @module Files of blobs on the nodes of a mesh, put together: the copies of this node, what its peers ask, what it
 * asks of them.
 */
import type { Promised } from '../../blobs/driver.ts'
import type { BlobSource } from '../../blobs/port.ts'
import type {
  ArrivedFile,
  Arriving,
  Placed,
  SharedBlobs,
  SharedBlobsMaker,
  SharedCounts,
  SharedStore,
} from '../../blobs/shared-port.ts'
import { dropBlob } from '../../metadata/edits.ts'
import type { RunOfLog } from '../../metadata/lmdb/log-commits.ts'
import type { CopyNews } from '../../metadata/log/copy-news.ts'
import type { Time } from '../../metadata/log/etcd/time.ts'
import type { BlobRow, TrashRow } from '../../metadata/schema.ts'
import type { CommitOutcome, HeldCheck, HeldCopy } from '../../metadata/transaction.ts'
import type { Algorithm, Digest } from '../../registry/digest.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { Random } from '../../runtime/random.ts'
import type { Peers } from '../peers/peers.ts'
import { CopyCare } from '../standing/care.ts'
import { Traffic } from '../standing/traffic.ts'
import { AskPeers } from './ask.ts'
import { Fetches } from './fetches.ts'
import { CopyLedger } from './ledger.ts'
import { LocalFiles } from './local.ts'
import { Owners } from './owners.ts'
import { Pushes, type PushRules } from './push/pushes.ts'
import { Repair } from './repair.ts'
import { blobRoutes } from './serve.ts'

const tickMs = 1_000
/** Ticks between two looks at what was read. */
const flushTicks = 60
const defaultFactor = 2

export interface MeshBlobsParts {
  readonly member: number
  readonly peers: Peers
  readonly clock: Clock
  readonly time: Time
  readonly random: Random
  /** Files of a blob, where there are as many members: for a mesh that has no number of its own. Default 2. */
  readonly replicationFactor?: number
  readonly pushes?: PushRules
  /** Of copies that were fetched for pulls. */
  readonly cacheBytesMax: number
  /** What is fetched in a second to have what this node owns, bytes; 0: no bound. Default 64 MiB. */
  readonly bytesPerSecond?: number
  readonly log: MeshBlobsLog
}

export interface MeshBlobsLog {
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
}

/** Bytes of a blob's last copy are gone, or a disk refuses: the run of the log comes before the store is open. */
export class MeshBlobs implements SharedBlobsMaker {
  readonly #parts: MeshBlobsParts
  #attached: AttachedBlobs | undefined
  #run: RunOfLog | undefined
  #isPresent = false

  constructor(parts: MeshBlobsParts) {
    this.#parts = parts
  }

  /** Undefined: no store is open yet. */
  get care(): CopyCare | undefined {
    return this.#attached?.care
  }

  attach(store: SharedStore): SharedBlobs {
    const attached = new AttachedBlobs(this.#parts, store)
    this.#attached = attached
    if (this.#run !== undefined) attached.local.onRun(this.#run)
    // All else that was told is found by the look at all files with which a run begins.
    const news = { isPresent: true, pinsUsed: [], pinsRevoked: [], blobsLoose: [] }
    if (this.#isPresent) attached.local.onNews([news])
    return attached
  }

  onRun(run: RunOfLog): void {
    this.#run = run
    this.#isPresent = false
    this.#attached?.local.onRun(run)
  }

  onNews(news: readonly CopyNews[]): void {
    if (news.some(({ isPresent }) => isPresent)) this.#isPresent = true
    this.#attached?.local.onNews(news)
  }
}

class AttachedBlobs implements SharedBlobs {
  readonly local: LocalFiles
  readonly care: CopyCare
  readonly #parts: MeshBlobsParts
  readonly #store: SharedStore
  readonly #owners: Owners
  readonly #ask: AskPeers
  readonly #ledger: CopyLedger
  readonly #fetches: Fetches
  readonly #pushes: Pushes
  readonly #repair: Repair
  readonly #timer: NodeJS.Timeout
  readonly #paths: readonly string[]
  #ticks = 0
  #sharedFactor: number | undefined
  #isCompared = false
  #evicting: Promise<void> | undefined

  constructor(parts: MeshBlobsParts, store: SharedStore) {
    const { member, peers, clock, time, random, log, pushes = {} } = parts
    const { metadata, driver } = store
    this.#parts = parts
    this.#store = store
    this.#owners = new Owners({
      self: member,
      members: () => peers.members,
      present: () => peers.links.open,
      replicationFactor: () => this.#factor,
      hasRoom: (it) => this.#pushes.hasRoom(it),
      burdenOf: (it) => this.#pushes.burdenOf(it),
      onChosen: (others) => this.#pushes.give(others),
      ...(pushes.writeCopies !== undefined && { writeCopies: pushes.writeCopies }),
    })
    this.#ask = new AskPeers({ peers, time })
    this.#ledger = new CopyLedger(metadata, clock)
    const ledger = this.#ledger
    const onFailure = (digest: string, error: unknown) =>
      log.warn({ digest, error: String(error) }, 'a file of a blob could not be changed')
    const onLost = (digest: Digest, reason: string | undefined) => {
      if (reason !== undefined) log.error({ digest, reason }, 'a copy of a blob is gone')
      this.#repair.want(digest)
    }
    const isOwner = (digest: Digest, row: BlobRow) =>
      this.#owners.ofBlob(digest, row).includes(member)
    const traffic = new Traffic()
    const { bytesPerSecond } = parts
    const rate = bytesPerSecond === undefined ? {} : { bytesPerSecond }
    const own = { store, ledger, member, clock, random, traffic, isOwner, ...rate }
    this.local = new LocalFiles({ ...own, onFailure, onLost })
    const local = this.local
    const shared = { ask: this.#ask, owners: this.#owners, ledger, clock, time, random, traffic }
    this.#fetches = new Fetches({
      ...shared,
      writer: driver.writer,
      reader: driver.reader,
      add: (...of) => local.add(...of),
      onCached: () => this.#evict(),
      onNone: (digest, row) => this.#onNone(digest, row).catch(() => undefined),
    })
    this.#pushes = new Pushes({ ...shared, member, peers, store, local, log, rules: pushes })
    this.#repair = new Repair({
      ...{ ...shared, ...rate },
      metadata,
      inventory: driver.inventory,
      fetch: (...of) => this.#fetches.fetch(...of),
      onHandedOver: () => this.#evict(),
      onError: (error) => log.warn({ error: String(error) }, 'repair of copies failed'),
    })
    this.care = new CopyCare({
      ...{ ...shared, member, peers, metadata, inventory: driver.inventory, repair: this.#repair },
      pins: () => local.pinCount,
      setClosed: (isClosed) => local.setClosed(isClosed),
    })
    const routes = new Map([
      ...blobRoutes(local, this.#pushes.received, time),
      ...this.care.routes(),
    ])
    for (const [path, route] of routes) peers.addRoute(path, route)
    this.#paths = [...routes.keys()]
    this.#timer = setInterval(() => this.#tick(), tickMs)
    this.#timer.unref()
  }

  get counts(): SharedCounts {
    return this.#pushes.placements
  }

  get roomElsewhere(): number | undefined {
    return this.#pushes.roomElsewhere
  }

  begin(uploadId: string, algorithm: Algorithm, expected?: Digest): Arriving | undefined {
    return this.#pushes.begin(uploadId, algorithm, expected)
  }

  store(file: ArrivedFile, commit: (placed: Placed) => Promise<CommitOutcome>): Promise<void> {
    return this.#pushes.store(file, commit)
  }

  async restore(
    digest: Digest,
    trashed: TrashRow,
    commit: (held: HeldCheck) => Promise<CommitOutcome>,
  ): Promise<boolean> {
    const { sizeBytes } = trashed
    const others = this.#owners.sources(digest, trashed) ?? []
    const found = await Promise.all([
      this.local.restore(digest, sizeBytes),
      ...others.map((member) =>
        this.#ask.restore(member, digest, sizeBytes).catch(() => undefined),
      ),
    ])
    const copies = found.filter((copy) => copy !== undefined)
    if (copies.length === 0) return false
    const { applied } = await commit({ check: 'held', in: 'sessions', copies, atLeast: 1 })
    if (!applied) for (const copy of copies) this.#release(copy)
    return applied
  }

  promised(digest: Digest, row: BlobRow): Promised {
    return this.local.promised(digest, row)!
  }

  fetch(digest: Digest, row: BlobRow, isWhole: boolean): Promise<BlobSource> {
    return this.#fetches.open(digest, row, isWhole)
  }

  isolate(digest: Digest, reason: string): Promise<boolean> {
    return this.local.isolate(digest, reason)
  }

  async close(): Promise<void> {
    clearInterval(this.#timer)
    for (const path of this.#paths) this.#parts.peers.dropRoute(path)
    this.#repair.stop()
    await this.#pushes.close()
    await this.#fetches.close()
    await this.#repair.stopped
    await this.#evicting
    this.local.close()
  }

  /** Of the mesh, as it was founded; in a mesh that was founded without one each configuration counts. */
  get #factor(): number {
    this.#sharedFactor ??= this.#store.metadata.get('cluster', 'settings')?.replicationFactor
    return this.#sharedFactor ?? this.#parts.replicationFactor ?? defaultFactor
  }

  /** Warns once when the configuration says another number than the mesh. */
  #compare(): void {
    const { log, replicationFactor: configured } = this.#parts
    const factor = this.#factor
    if (this.#sharedFactor === undefined) return
    this.#isCompared = true
    if (configured === undefined || configured === factor) return
    log.warn(
      { configured, founded: factor },
      `mesh.replication_factor is ${configured} on this node, but the mesh was founded with ${factor}, which counts: set it to ${factor} here`,
    )
  }

  #tick(): void {
    if (!this.#isCompared) this.#compare()
    this.local.tick()
    this.#pushes.tick()
    this.#repair.tick()
    this.#ticks += 1
    if (this.#ticks % flushTicks !== 0) return
    this.#ledger.flush().catch(() => undefined)
    this.#evict()
  }

  /** Makes room for what is pulled now. */
  #evict(): void {
    this.#evicting ??= this.#evictOldest()
      .catch(() => undefined)
      .finally(() => {
        this.#evicting = undefined
      })
  }

  async #evictOldest(): Promise<void> {
    const { metadata, driver } = this.#store
    const ledger = this.#ledger
    while (ledger.cacheBytes > this.#parts.cacheBytesMax) {
      const digest = ledger.oldest
      if (digest === undefined) return
      const row = metadata.get('blobs', digest)
      const isOwn =
        row !== undefined && this.#owners.ofBlob(digest, row).includes(this.#parts.member)
      if (isOwn) await ledger.turn(digest, 'owner')
      else if (driver.reader.isRead(digest)) return ledger.touch(digest)
      else await this.local.evict(digest)
    }
  }

  /**
   * Every other member has said that it has no copy, and the one here could not be read. When all look once more, by
   * reading what there is, and find none, the blob is one that the registry does not have: a push brings it back.
   */
  async #onNone(digest: Digest, row: BlobRow): Promise<void> {
    const { metadata } = this.#store
    if (!(await this.#isNowhere(digest, row))) return
    this.#parts.log.error({ digest }, 'no member has a copy of the blob: it is lost')
    await metadata.commit({
      checks: [{ check: 'unchanged', in: 'blobs', key: digest, row }],
      changes: [...dropBlob(digest)],
    })
  }

  /** Rejects when a member does not answer. */
  async #isNowhere(digest: Digest, row: BlobRow): Promise<boolean> {
    const others = this.#owners.sources(digest, row)
    if (others === undefined) return false
    const found = await Promise.all([
      this.local.look(digest, () => true),
      ...others.map((member) => this.#ask.prove(member, digest, row.sizeBytes)),
    ])
    return found.every((is) => is === 'none')
  }

  #release(copy: HeldCopy): void {
    if (copy.member === this.#parts.member) this.local.release(copy)
    else this.#ask.release(copy).catch(() => undefined)
  }
}
