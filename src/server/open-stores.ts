/**
 * @module Opens the stores of a registry as its configuration says, and looks after what a crash left in them.
 */
import { mkdirSync, statfsSync } from 'node:fs'
import type { Config } from '../config/config.ts'
import type { MeshBlobs } from '../mesh/blobs/mesh-blobs.ts'
import type { LoginsOfMesh } from '../mesh/peers/logins.ts'
import { SharedWork } from '../mesh/shared-work.ts'
import type { CopyCare } from '../mesh/standing/care.ts'
import { systemTime } from '../metadata/log/etcd/time.ts'
import type { Logger } from '../observability/logger.ts'
import { systemClock } from '../runtime/clock.ts'
import type { LifeCycle } from '../runtime/life-cycle.ts'
import { systemRandom } from '../runtime/random.ts'
import { type MeshOfStore, type OpenDriver, openStorage, type Storage } from '../storage/open.ts'
import { Reconciliation } from '../storage/reconcile.ts'
import type { Facts } from './mesh/facts.ts'
import type { MeshNode, MeshRun } from './mesh/node.ts'
import type { UseCases } from './use-cases.ts'

export type { MeshNode, MeshRun } from './mesh/node.ts'

export interface HowToOpen {
  /** The start is given up while a node of a mesh waits for the others: it rejects. */
  readonly signal?: AbortSignal
  /** Opens another driver for the bytes of blobs than files; for tests, as no setting chooses one. */
  readonly openDriver?: OpenDriver
  /** Makes it a node of a mesh; for tests, as no setting chooses it yet. */
  readonly mesh?: MeshNode
}

export function makeReconciliation(
  { storage: { durability } }: Config,
  { driver, metadata, digestLock, quarantine, setup, shared }: Storage,
  useCases: () => UseCases,
  logger: Logger,
): Reconciliation {
  return new Reconciliation({
    driver,
    metadata,
    digestLock,
    quarantine,
    setup,
    sessions: { whenIdle: (...of) => useCases().writes.uploads.whenIdle(...of) },
    clock: systemClock,
    log: logger,
    isRelaxed: durability === 'relaxed',
    filesFollow: shared !== undefined,
  })
}

/** `redirects` and `factsOf`: undefined where a test has made the node. */
export interface OpenedMesh extends MeshNode, Partial<Facts> {}

export interface Stores {
  readonly storage: Storage
  /** Undefined: one node alone. */
  readonly mesh: OpenedMesh | undefined
  /** The node itself; undefined where a test has made it. */
  readonly run: MeshRun | undefined
  /** What its nodes share beside rows. */
  readonly work: SharedWork | undefined
  /** How copies of blobs stand on its nodes. */
  readonly care: CopyCare | undefined
  /** How its nodes share what they judge of passwords. */
  readonly logins: LoginsOfMesh | undefined
}

/** One node alone loads nothing of what speaks with etcd and peers. */
async function makeRun(...of: ConstructorParameters<typeof MeshRun>): Promise<MeshRun> {
  const node = await import('./mesh/node.ts')
  return new node.MeshRun(...of)
}

/** Resolves when rows and bytes can be read and written; a node of a mesh waits for the others before. */
export async function openStores(
  config: Config,
  { openDriver, mesh, signal }: HowToOpen,
  logger: Logger,
  life: LifeCycle,
): Promise<Stores> {
  const { storage, workers } = config
  const run = config.mesh && (await makeRun(config, config.mesh, logger, signal))
  // Closed after the store, whose last words are for the log.
  if (run !== undefined) life.opened('mesh', run, (one) => one.close())
  let node: OpenedMesh | undefined = mesh
  let work: SharedWork | undefined
  let blobs: MeshBlobs | undefined
  const openMesh = async (): Promise<MeshOfStore> => {
    node ??= await run!.open()
    blobs = await makeBlobs(node, config, logger)
    work = new SharedWork(withBlobs(node, blobs), systemClock)
    return work.mesh
  }
  const settings = {
    path: storage.path,
    cacheBytes: storage.cacheSizeMb * 1024 * 1024,
    durability: storage.durability,
    reader: storage.reader,
    ingestThreads: workers.ingestThreads,
    clock: systemClock,
    reserveBytes: storage.reserveMb * 1024 * 1024,
    onQuarantined: (digest: string, reason: string) =>
      logger.error({ digest, reason }, 'blob quarantined'),
    ...(openDriver !== undefined && { openDriver }),
    ...((run !== undefined || mesh !== undefined) && { openMesh }),
  }
  const opened = await openStorage(settings, life)
  if (run !== undefined) {
    life.opened('upkeep of the mesh', run, (one) => one.detach())
    const care = blobs!.care!
    await run.attach(opened, care)
    const { startFacts } = await import('./mesh/facts.ts')
    const { member, peers } = node!
    const parts = { member, peers, care, metadata: opened.metadata, seals: run.seals }
    node = { ...node!, ...(await startFacts(config, parts, life)) }
  }
  const logins = node && (await makeLogins(node, life))
  const care = (blobs as MeshBlobs | undefined)?.care
  return { storage: opened, mesh: node, run, work, care, logins }
}

async function makeLogins({ peers }: MeshNode, life: LifeCycle): Promise<LoginsOfMesh> {
  const { LoginsOfMesh } = await import('../mesh/peers/logins.ts')
  return life.opened('logins of peers', new LoginsOfMesh(peers, systemTime), (one) => one.close())
}

/** Bytes of copies that were fetched for pulls, at most. */
function cacheBytesOf(config: Config): number {
  const { path } = config.storage
  const share = config.mesh?.cacheMax ?? { percent: 10 }
  if ('bytes' in share) return share.bytes
  mkdirSync(path, { recursive: true, mode: 0o750 })
  const { blocks, bsize } = statfsSync(path)
  return (blocks * bsize * share.percent) / 100
}

async function makeBlobs(mesh: MeshNode, config: Config, log: Logger): Promise<MeshBlobs> {
  const { MeshBlobs } = await import('../mesh/blobs/mesh-blobs.ts')
  const { member, peers } = mesh
  const { replicationFactor = 2, rebalanceRate = mesh.rebalanceRate } = config.mesh ?? {}
  const cacheBytesMax = mesh.cacheBytesMax ?? cacheBytesOf(config)
  const parts = { member, peers, clock: systemClock, time: systemTime, random: systemRandom, log }
  const pushes = mesh.pushes ?? config.mesh ?? {}
  return new MeshBlobs({
    ...{ ...parts, cacheBytesMax, replicationFactor, pushes },
    ...(rebalanceRate !== undefined && { bytesPerSecond: rebalanceRate }),
  })
}

function withBlobs(mesh: MeshNode, blobs: MeshBlobs): MeshOfStore {
  return {
    ...mesh,
    blobs,
    onRun: (run) => {
      blobs.onRun(run)
      mesh.onRun?.(run)
    },
    onCopies: (news) => {
      blobs.onNews(news)
      mesh.onCopies?.(news)
    },
  }
}
