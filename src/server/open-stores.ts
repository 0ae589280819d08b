/**
 * @module Opens the stores of a registry as its configuration says, and looks after what a crash left in them.
 */
import type { Config } from '../config/config.ts'
import type { Peers } from '../mesh/peers/peers.ts'
import type { Logger } from '../observability/logger.ts'
import { systemClock } from '../runtime/clock.ts'
import type { LifeCycle } from '../runtime/life-cycle.ts'
import { type MeshOfStore, type OpenDriver, openStorage, type Storage } from '../storage/open.ts'
import { Reconciliation } from '../storage/reconcile.ts'
import type { UseCases } from './use-cases.ts'

/** What makes a registry a node of a mesh. */
export interface MeshNode extends MeshOfStore {
  readonly peers: Peers
}

export interface HowToOpen {
  /** Opens another driver for the bytes of blobs than files; for tests, as no setting chooses one. */
  readonly openDriver?: OpenDriver
  /** Makes it a node of a mesh; for tests, as no setting chooses it yet. */
  readonly mesh?: MeshNode
}

export function makeReconciliation(
  { storage: { durability } }: Config,
  { driver, metadata, digestLock, quarantine, setup }: Storage,
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
  })
}

export function openStores(
  { storage, workers }: Config,
  { openDriver, mesh }: HowToOpen,
  logger: Logger,
  life: LifeCycle,
): Promise<Storage> {
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
    ...(mesh !== undefined && { mesh }),
  }
  return openStorage(settings, life)
}
