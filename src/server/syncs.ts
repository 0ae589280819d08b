/**
 * @module The syncs of the configuration, put together with the stores. Nothing runs when there are none.
 */
import type { Config, SyncSourceConfig } from '../config/config.ts'
import type { ManifestReader } from '../distribution/manifest-reader.ts'
import { ManifestPushes } from '../distribution/push-manifest.ts'
import type { Mirrors } from '../mirror/mirrors.ts'
import type { Logger } from '../observability/logger.ts'
import type { RepositoryName } from '../registry/name.ts'
import { systemClock } from '../runtime/clock.ts'
import type { LifeCycle } from '../runtime/life-cycle.ts'
import { systemRandom } from '../runtime/random.ts'
import { Semaphore } from '../runtime/semaphore.ts'
import { Rate } from '../runtime/token-bucket.ts'
import type { Storage } from '../storage/open.ts'
import { TagCopier } from '../sync/copy/copier.ts'
import { SyncJournal } from '../sync/journal.ts'
import { rulesOf, type SourceParts, SyncEngine } from '../sync/runs/engine.ts'
import { NameOwners } from '../sync/selection/names.ts'
import { openSource } from '../sync/sources/open.ts'
import type { Accounts } from '../upstream/account.ts'
import { HttpClient } from '../upstream/client.ts'
import { sleep } from '../upstream/sleep.ts'
import type { Credential } from '../upstream/tokens.ts'
import { Upstream } from '../upstream/upstream.ts'
import type { UseCases } from './use-cases.ts'

/** What upstream itself lacks of an index may be missing here; nothing else may. */
const syncPolicy = {
  allowsSparseIndex: true,
  allowsMissingBlobs: false,
  checksSizes: true,
  allowsDelete: true,
}

const timeouts = { connectMs: 10_000, firstByteMs: 30_000, stallMs: 60_000 }

/** Longest wait of a stop for what is on its way, ms. */
const settleMs = 5_000

/** Requests under way to one host. */
const connections = 32

export interface SyncParts {
  readonly storage: Storage
  readonly useCases: UseCases
  readonly readManifest: ManifestReader['read']
  readonly mirrors: Mirrors | undefined
  /** Shared with the mirrors: what a host counts of us is counted once. */
  readonly accounts: Accounts
  /** Whether everybody may pull it. */
  readonly isForAll: (repository: string) => boolean
  readonly logger: Logger
  readonly life: LifeCycle
}

export async function openSyncs(config: Config, parts: SyncParts): Promise<SyncEngine | undefined> {
  const { sources } = config.sync
  if (sources.length === 0) return undefined
  const owners = new NameOwners(sources.map(({ name }) => name))
  const journal = new SyncJournal(parts.storage.metadata)
  const slots = new Semaphore(config.sync.concurrency)
  const { flights } = parts.useCases.writes
  // Closed after the connections: then they end. Nobody waits for those of clients for long.
  parts.life.opened('sync flights', flights, (all) =>
    Promise.race([all.settled(), sleep(settleMs)]),
  )
  const opened: SourceParts[] = []
  for (const source of sources) {
    const one = await openOne(source, { ...parts, owners, journal, slots })
    opened.push(one)
  }
  return parts.life.opened('syncs', new SyncEngine(opened, systemRandom), (one) => one.stop())
}

interface Shared extends SyncParts {
  readonly owners: NameOwners
  readonly journal: SyncJournal
  /** Blobs in flight of all sources. */
  readonly slots: Semaphore
}

async function openOne(config: SyncSourceConfig, shared: Shared): Promise<SourceParts> {
  const { storage, useCases, owners, journal, logger, life } = shared
  const { metadata, writer } = storage
  const { tagLocks, protection, readBlob, flights, jobs } = useCases.writes
  const clock = systemClock
  const { caFile, proxy } = config
  const opened = await HttpClient.open({ caFile, proxy, ...timeouts })
  // Closed after the engine: a start that fails closes it, too.
  const http = life.opened(`sync ${config.name}`, opened, (one) => one.close())
  const rules = rulesOf(config)
  const { source, registry } = openSource({
    config,
    listing: rules.selection.listing,
    clock,
    open: (url, credential) => upstreamOf(config, url, credential, http, shared),
  })
  const { readManifest } = shared
  const writing = { clock, tagLocks, protection, readBlob, readManifest }
  const common = { metadata, journal, clock, space: writer.room }
  const copier = new TagCopier({
    ...common,
    ...writing,
    pushes: new ManifestPushes(metadata, syncPolicy, clock, writing),
    upstream: registry,
    flights,
    source: config.name,
    by: `sync:${config.name}`,
    slots: [new Semaphore(config.concurrency), shared.slots],
    rates: [
      {
        requests: new Rate(config.requestsPerSecond, clock, 'all'),
        bytes: new Rate(config.bytesPerSecond, clock, 'all'),
      },
    ],
    mayLinkFrom: linksOf(config, registry.realm, shared),
  })
  return {
    ...common,
    config,
    ...rules,
    upstream: source,
    copier,
    owners,
    sleep,
    logger,
    jobs,
    random: systemRandom,
    budgets: () => registry.budgets,
  }
}

function upstreamOf(
  { caFile, proxy, name }: SyncSourceConfig,
  url: string,
  credential: Credential | undefined,
  http: HttpClient,
  { accounts, logger }: Shared,
): Upstream {
  return new Upstream({
    bases: [url],
    credentials: credential === undefined ? [] : [credential],
    limits: { connections, bytesPerSecond: 0, requestsPerSecond: 0 },
    caFile,
    proxy,
    accounts,
    http,
    clock: systemClock,
    random: Math.random,
    onRequest: () => undefined,
    onFailure: ({ kind, message }) => {
      if (kind === 'auth')
        logger.debug({ sync: name, message }, 'credentials of a sync are refused')
    },
    onBytes: () => undefined,
  })
}

/**
 * What the source's word may link: what it has copied itself, what a mirror has of the same registry, and
 * what everybody may pull anyhow.
 */
function linksOf(
  { name }: SyncSourceConfig,
  realm: string,
  { owners, mirrors, isForAll }: Shared,
): (holder: RepositoryName) => boolean {
  return (holder) =>
    owners.ownerOf(holder)?.source === name ||
    mirrors?.find(holder)?.upstream.realm === realm ||
    isForAll(holder)
}
