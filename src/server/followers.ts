/**
 * @module What follows other registries, put together with the stores: mirrors and syncs, which share what a host
 * counts of us. Nothing runs where none is configured.
 */
import type { Config } from '../config/config.ts'
import type { BlobSharing } from '../mirror/context.ts'
import type { Mirrors } from '../mirror/mirrors.ts'
import { SyncCounters } from '../observability/metrics/sync.ts'
import { systemClock } from '../runtime/clock.ts'
import { systemRandom } from '../runtime/random.ts'
import { Semaphore } from '../runtime/semaphore.ts'
import { Courtesy } from '../sync/copy/courtesy.ts'
import { SyncJournal, writerOf } from '../sync/journal.ts'
import { Prune } from '../sync/prune/prune.ts'
import { type SourceParts, SyncEngine } from '../sync/runs/engine.ts'
import { NameOwners } from '../sync/selection/names.ts'
import { Accounts } from '../upstream/accounts.ts'
import { sleep } from '../upstream/sleep.ts'
import type { shareFills } from './mesh/fills.ts'
import type { MeshNode } from './mesh/node.ts'
import { openMirrors } from './mirrors.ts'
import type { OpenedSignatures } from './signatures.ts'
import type { SyncParts } from './sync/parts.ts'
import { openSyncSource } from './sync/source.ts'

/** Longest wait of a stop for what is on its way, ms. */
const settleMs = 5_000

interface OpenedSyncs {
  readonly engine: SyncEngine
  readonly prune: Prune
}

/** One node alone loads nothing of it. */
async function sharingOf(...of: Parameters<typeof shareFills>): Promise<BlobSharing> {
  const fills = await import('./mesh/fills.ts')
  return fills.shareFills(...of)
}

/** Undefined: no source is configured. */
async function openSyncs(config: Config, parts: SyncParts): Promise<OpenedSyncs | undefined> {
  const { sources } = config.sync
  if (sources.length === 0) return undefined
  const owners = new NameOwners(sources.map(({ name }) => name))
  const { tagLocks, protection, jobs, shared } = parts.useCases.writes
  const storeOf = (source: string) => jobs.storeOf(writerOf(source))
  const journal = new SyncJournal(parts.storage.metadata, shared && storeOf)
  const slots = new Semaphore(config.sync.concurrency)
  const courtesy = new Courtesy(parts.answered, systemClock)
  const { flights } = parts.useCases.writes
  // Closed after the connections: then they end. Nobody waits for those of clients for long.
  parts.life.opened('sync flights', flights, async (all) => {
    const over = new AbortController()
    await Promise.race([all.settled(), sleep(settleMs, over.signal)])
    over.abort()
  })
  const opened: SourceParts[] = []
  const prune = new Prune({
    metadata: parts.storage.metadata,
    storeOf,
    journal,
    protection,
    tagLocks,
    clock: systemClock,
    jobs,
    sourceOf: (name) => sources.find((source) => source.name === name),
    upstreamOf: (name) => opened.find((one) => one.config.name === name)?.upstream,
  })
  for (const source of sources) {
    opened.push(await openSyncSource(source, { ...parts, owners, journal, slots, courtesy, prune }))
  }
  const made = new SyncEngine(opened, systemRandom)
  const engine = parts.life.opened('syncs', made, (one) => one.stop())
  return { engine, prune }
}

/** Each is undefined where none is configured. */
export async function openFollowers(
  config: Config,
  shared: Omit<SyncParts, 'mirrors' | 'accounts' | 'counters'>,
  { mirrorGate, attest }: Pick<OpenedSignatures, 'mirrorGate' | 'attest'>,
  mesh: MeshNode | undefined,
) {
  const { storage, useCases, readManifest, logger, life } = shared
  const { tagLocks, flights, jobs, shared: work } = useCases.writes
  const accounts = new Accounts(systemClock, mesh && (() => 1 + mesh.peers.links.open.length))
  const witness = attest?.attestor
  const mirrorParts = {
    logger,
    tagLocks,
    readManifest,
    flights,
    accounts,
    gate: mirrorGate,
    witness,
    jobs,
    work,
    sharing: mesh && (await sharingOf(mesh, storage, () => mirrors, life)),
  }
  const mirrors: Mirrors | undefined = await openMirrors(config, storage, mirrorParts)
  life.opened('mirrors', mirrors, (one) => one?.close())
  const syncCounters = new SyncCounters()
  const syncParts = { ...shared, accounts, mirrors, counters: syncCounters }
  return { mirrors, syncs: await openSyncs(config, syncParts), syncCounters }
}
