/**
 * @module The engine of syncs over a store, as a process has it: it is put together like the server does, with
 * one source, and it can be ended in the middle of anything. Another one goes on over the same store.
 */
import { setMaxListeners } from 'node:events'
import type { SyncSourceConfig } from '../../src/config/config.ts'
import { BlobFlights } from '../../src/distribution/blob-flights.ts'
import { ManifestPushes } from '../../src/distribution/push-manifest.ts'
import { Jobs } from '../../src/jobs/jobs.ts'
import type { MetadataStore } from '../../src/metadata/port.ts'
import type { Transaction } from '../../src/metadata/transaction.ts'
import { createLogger } from '../../src/observability/logger.ts'
import { SyncCounters } from '../../src/observability/metrics/sync.ts'
import type { Clock } from '../../src/runtime/clock.ts'
import { randomHexId, systemRandom } from '../../src/runtime/random.ts'
import { Semaphore } from '../../src/runtime/semaphore.ts'
import { Rate } from '../../src/runtime/token-bucket.ts'
import type { Storage } from '../../src/storage/open.ts'
import { TagCopier } from '../../src/sync/copy/copier.ts'
import { SyncJournal } from '../../src/sync/journal.ts'
import { Prune } from '../../src/sync/prune/prune.ts'
import { rulesOf, SyncEngine } from '../../src/sync/runs/engine.ts'
import { PruneRun } from '../../src/sync/runs/prune-step.ts'
import { NameOwners } from '../../src/sync/selection/names.ts'
import { openSource } from '../../src/sync/sources/open.ts'
import type { SyncRequest, SyncStatus } from '../../src/sync/syncs.ts'
import { Accounts } from '../../src/upstream/accounts.ts'
import { HttpClient } from '../../src/upstream/client.ts'
import { sleep } from '../../src/upstream/sleep.ts'
import type { Credential } from '../../src/upstream/tokens.ts'
import { Upstream } from '../../src/upstream/upstream.ts'
import { until } from './in-process.ts'
import { repositoryParts } from './repository-parts.ts'
import { withCommit } from './with-commit.ts'

const policy = {
  allowsSparseIndex: true,
  allowsMissingBlobs: false,
  checksSizes: true,
  allowsDelete: true,
}

/** Longest real pause of what waits by the clock of the test, ms. */
const pauseMsMax = 20

/** Blobs above it are files. */
const inlineLimitBytes = 1_024

export interface SyncNodeOptions {
  readonly storage: Storage
  readonly config: SyncSourceConfig
  readonly clock: Clock
  /** Every write of the node passes here: `apply` writes it. */
  readonly commit: (
    it: Transaction,
    apply: MetadataStore['commit'],
  ) => ReturnType<MetadataStore['commit']>
}

/** A process has ended: nothing of it is written any more. */
class Killed extends Error {
  override readonly message = 'the process was killed'
}

export class SyncNode {
  readonly engine: SyncEngine
  readonly journal: SyncJournal
  readonly prune: Prune
  /** Lines of the log that say that something of ours is wrong. */
  readonly faults: string[] = []
  readonly #options: SyncNodeOptions
  readonly #http: HttpClient
  readonly #flights: BlobFlights
  readonly #jobs: Jobs
  readonly #died = new AbortController()
  #isKilled = false

  private constructor(options: SyncNodeOptions, http: HttpClient) {
    const { storage, config, clock } = options
    this.#options = options
    this.#http = http
    setMaxListeners(0, this.#died.signal)
    const metadata = withCommit(storage.metadata, (it) => this.#commit(it))
    const { tagLocks, protection, readBlob, readManifest, gate } = repositoryParts()
    const shared = { tagLocks, protection, readBlob, readManifest, gate }
    this.journal = new SyncJournal(metadata)
    this.#jobs = new Jobs(metadata, clock)
    this.#flights = new BlobFlights({
      metadata,
      growing: storage.writer,
      digestLock: storage.digestLock,
      clock,
      inlineLimitBytes,
      newUploadId: () => randomHexId(systemRandom),
      onFileReplaced: storage.forget,
      onFileInDoubt: () => undefined,
    })
    const owners = new NameOwners([config.name])
    const rules = rulesOf(config)
    const accounts = new Accounts(clock)
    const { source, registry } = openSource({
      config,
      listing: rules.selection.listing,
      clock,
      isEcho: () => false,
      open: (url, credential) => upstreamOf(url, credential, { accounts, clock, http }),
    })
    const common = {
      metadata,
      journal: this.journal,
      clock,
      space: { freeBytes: Number.POSITIVE_INFINITY, reserveBytes: 0 },
    }
    const copier = new TagCopier({
      ...common,
      ...shared,
      pushes: new ManifestPushes(metadata, policy, clock, shared),
      upstream: registry,
      flights: this.#flights,
      source: config.name,
      by: `sync:${config.name}`,
      slots: [new Semaphore(config.concurrency), new Semaphore(10)],
      byteRates: [new Rate(0, clock, 'all')],
      mayLinkFrom: (holder) => owners.ownerOf(holder)?.source === config.name,
    })
    this.prune = new Prune({
      ...common,
      tagLocks,
      protection,
      jobs: this.#jobs,
      sourceOf: () => config,
      upstreamOf: () => source,
    })
    const write = (lines: string) => {
      for (const line of lines.split('\n')) if (line.includes('"level":50')) this.faults.push(line)
    }
    const logger = createLogger('info', { write })
    const { prune, journal } = this
    const { fingerprint } = rules
    const parts = {
      ...common,
      ...rules,
      config,
      upstream: source,
      copier,
      owners,
      sleep: (ms: number, signal?: AbortSignal) => sleep(Math.min(ms, pauseMsMax), signal),
      logger,
      jobs: this.#jobs,
      random: systemRandom,
      budgets: () => registry.budgets,
      metrics: new SyncCounters(),
      prune: config.prune.isEnabled
        ? new PruneRun({ prune, config, fingerprint, journal, logger })
        : undefined,
    }
    this.engine = new SyncEngine([parts], systemRandom)
  }

  /** What a crash has left is taken up. */
  static async open(options: SyncNodeOptions): Promise<SyncNode> {
    const http = await HttpClient.open({
      caFile: undefined,
      proxy: undefined,
      connectMs: 5_000,
      firstByteMs: 10_000,
      stallMs: 10_000,
    })
    const node = new SyncNode(options, http)
    await node.#jobs.recover(() => false)
    await node.engine.start()
    return node
  }

  get isKilled(): boolean {
    return this.#isKilled
  }

  get status(): SyncStatus {
    return this.engine.status(this.#options.config.name)!
  }

  /** From now on nothing is written. */
  kill(): void {
    this.#isKilled = true
    this.#died.abort()
  }

  /** A run to its end, or to that of the process. */
  async run(request: Partial<SyncRequest> = {}): Promise<void> {
    const { name } = this.#options.config
    try {
      const started = await this.engine.trigger(name, { by: 'test', ...request })
      if (started.kind !== 'started') throw new Error(`the run is ${started.kind}`)
      await Promise.race([started.ended, this.#death()])
    } catch (error) {
      if (!this.#isKilled) throw error
    }
  }

  /** What was begun before the start, to its end. */
  async idle(): Promise<void> {
    const { name } = this.#options.config
    const isDone = () =>
      this.status.runningJob === undefined && this.journal.state(name)?.running === undefined
    await until(() => this.#isKilled || isDone())
  }

  async close(): Promise<void> {
    await this.engine.stop().catch(() => undefined)
    await this.#jobs.stop().catch(() => undefined)
    await this.#flights.settled()
    await this.#http.close()
  }

  #death(): Promise<void> {
    const { signal } = this.#died
    if (signal.aborted) return Promise.resolve()
    return new Promise((resolve) => {
      signal.addEventListener('abort', () => resolve(), { once: true })
    })
  }

  /** Of a process that ends in the middle of a commit, nobody hears the outcome. */
  async #commit(it: Transaction): ReturnType<MetadataStore['commit']> {
    const { storage, commit } = this.#options
    if (this.#isKilled) throw new Killed()
    const outcome = await commit(it, async (own) => {
      if (this.#isKilled) throw new Killed()
      return storage.metadata.commit(own)
    })
    if (this.#isKilled) throw new Killed()
    return outcome
  }
}

function upstreamOf(
  url: string,
  credential: Credential | undefined,
  shared: { readonly accounts: Accounts; readonly clock: Clock; readonly http: HttpClient },
): Upstream {
  return new Upstream({
    bases: [url],
    credentials: credential === undefined ? [] : [credential],
    limits: { connections: 8, bytesPerSecond: 0, requestsPerSecond: 0 },
    caFile: undefined,
    proxy: undefined,
    random: () => 0,
    onRequest: () => undefined,
    onFailure: () => undefined,
    onBytes: () => undefined,
    ...shared,
  })
}
