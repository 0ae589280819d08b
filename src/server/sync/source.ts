/**
 * @module One source of a sync, put together: its upstream, what copies from there, and what may be linked.
 */
import type { SyncSourceConfig } from '../../config/config.ts'
import { ManifestPushes } from '../../distribution/push-manifest.ts'
import type { RepositoryName } from '../../registry/name.ts'
import { systemClock } from '../../runtime/clock.ts'
import { systemRandom } from '../../runtime/random.ts'
import { Semaphore } from '../../runtime/semaphore.ts'
import { Rate } from '../../runtime/token-bucket.ts'
import { openGate } from '../../signing/gate.ts'
import { TagCopier } from '../../sync/copy/copier.ts'
import { writerOf } from '../../sync/journal.ts'
import { rulesOf, type SourceParts } from '../../sync/runs/engine.ts'
import { PruneRun } from '../../sync/runs/prune-step.ts'
import { isEchoOf } from '../../sync/sources/echo.ts'
import type { PeerEvent } from '../../sync/sources/fastregistry.ts'
import { openSource } from '../../sync/sources/open.ts'
import { HttpClient } from '../../upstream/client.ts'
import { sleep } from '../../upstream/sleep.ts'
import type { Credential } from '../../upstream/tokens.ts'
import { Upstream, type UpstreamOptions } from '../../upstream/upstream.ts'
import { judgeBy } from './judge.ts'
import type { SharedParts } from './parts.ts'

/** What upstream itself lacks of an index may be missing here; nothing else may. */
const syncPolicy = {
  allowsSparseIndex: true,
  allowsMissingBlobs: false,
  checksSizes: true,
  allowsDelete: true,
}

const timeouts = { connectMs: 10_000, firstByteMs: 30_000, stallMs: 60_000 }

/** Requests under way to one host. */
const connections = 32

/** Throws when its certificates or secrets cannot be read. */
export async function openSyncSource(
  config: SyncSourceConfig,
  shared: SharedParts,
): Promise<SourceParts> {
  const { storage, useCases, owners, journal, logger, life, counters, prune } = shared
  const { writer } = storage
  const { tagLocks, protection, readBlob, flights, jobs, shared: mesh } = useCases.writes
  const clock = systemClock
  const { caFile, proxy } = config
  const opened = await HttpClient.open({ caFile, proxy, ...timeouts })
  // Closed after the engine: a start that fails closes it, too.
  const http = life.opened(`sync ${config.name}`, opened, (one) => one.close())
  const rules = rulesOf(config)
  // Of all that the source asks for: lists, tokens, manifests and blobs.
  const ownRate = new Rate(config.requestsPerSecond, clock, 'all')
  // What lists and compares costs little, and would not come to its end at such a rate.
  const rates = { requestRate: ownRate, contentRate: shared.courtesy }
  const by = writerOf(config.name)
  const metadata = jobs.storeOf(by)
  const isEcho = (event: PeerEvent) =>
    isEchoOf({ metadata, mapping: config, source: config.name }, event)
  const { source, registry } = openSource({
    config,
    listing: rules.selection.listing,
    clock,
    isEcho,
    open: (url, credential) => {
      const sending = { http, ...rates }
      return upstreamOf(config, url, credential, sending, shared)
    },
  })
  const { readManifest } = shared
  const writing = { clock, tagLocks, protection, readBlob, readManifest, gate: openGate }
  const common = { metadata, journal, clock, space: writer.room }
  const copier = new TagCopier({
    ...common,
    ...writing,
    pushes: new ManifestPushes(metadata, syncPolicy, clock, writing),
    upstream: registry,
    flights,
    source: config.name,
    by,
    slots: [new Semaphore(config.concurrency), shared.slots],
    byteRates: [new Rate(config.bytesPerSecond, clock, 'all')],
    mayLinkFrom: linksOf(config, registry.realm, shared),
    judge: judgeBy(shared.gate, metadata, clock, by),
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
    ticks: mesh?.ticks,
    random: systemRandom,
    budgets: () => registry.budgets,
    metrics: counters,
    ...(config.type === 'fastregistry' ? { isEcho } : {}),
    prune: config.prune.isEnabled
      ? new PruneRun({ prune, config, fingerprint: rules.fingerprint, journal, logger })
      : undefined,
  }
}

function upstreamOf(
  { caFile, proxy, name }: SyncSourceConfig,
  url: string,
  credential: Credential | undefined,
  sending: Pick<UpstreamOptions, 'http' | 'requestRate' | 'contentRate'>,
  { accounts, logger, counters }: SharedParts,
): Upstream {
  return new Upstream({
    bases: [url],
    credentials: credential === undefined ? [] : [credential],
    limits: { connections, bytesPerSecond: 0, requestsPerSecond: 0 },
    caFile,
    proxy,
    accounts,
    ...sending,
    clock: systemClock,
    random: Math.random,
    onRequest: () => undefined,
    onAnswer: (of, status) => counters.request(name, of, status),
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
  { owners, mirrors, isForAll }: SharedParts,
): (holder: RepositoryName) => boolean {
  return (holder) =>
    owners.ownerOf(holder)?.source === name ||
    mirrors?.find(holder)?.upstream.realm === realm ||
    isForAll(holder)
}
