/**
 * @module Opens everything below `storage.path` and starts the threads that serve it; closes them
 * in reverse. The one place where the parts of storage are put together.
 */
import { mkdirSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import type { BlobDriver, DriverWriter } from '../blobs/driver.ts'
import { openFileDriver } from '../blobs/files/driver.ts'
import { fileFolders } from '../blobs/files/open.ts'
import { Pager } from '../blobs/files/pager.ts'
import { ReadSlots } from '../blobs/files/slots.ts'
import { Quarantine } from '../blobs/quarantine.ts'
import type { SharedBlobs } from '../blobs/shared-port.ts'
import { BlobStore } from '../blobs/store.ts'
import { LmdbEnvironment } from '../metadata/lmdb/environment.ts'
import { metadataFolder } from '../metadata/lmdb/folder.ts'
import { LmdbMetadataStore } from '../metadata/lmdb/store.ts'
import { checkSchemaVersion } from '../metadata/migrations.ts'
import type { Digest } from '../registry/digest.ts'
import { adoptedSessionsMax } from '../registry/limits.ts'
import type { Clock } from '../runtime/clock.ts'
import { KeyedLock } from '../runtime/keyed-lock.ts'
import { loadLibc } from '../runtime/libc.ts'
import { LifeCycle } from '../runtime/life-cycle.ts'
import { WorkerError } from '../runtime/worker-failure.ts'
import { boundedHeapMiB, WorkerPool } from '../runtime/worker-pool.ts'
import { commitsOf, enterMesh, type MeshOfStore } from './commits.ts'
import { lockStore } from './lock.ts'
import type { StoreSetup } from './setup.ts'

export { type MeshOfStore, tailFolder } from './commits.ts'

/** Opens the driver of a store, which closes it. */
export type OpenDriver = () => BlobDriver | Promise<BlobDriver>

export interface StorageOptions {
  readonly path: string
  readonly cacheBytes: number
  readonly durability: 'full' | 'relaxed'
  readonly reader: 'auto' | 'map' | 'file'
  /** 0: one a core. */
  readonly ingestThreads: number
  readonly clock: Clock
  /** Free bytes below which pushes are refused. */
  readonly reserveBytes: number
  readonly onQuarantined: (digest: Digest, reason: string) => void
  /** Opens another driver for the bytes of blobs than files below `path`. */
  readonly openDriver?: OpenDriver
  /**
   * Says how the rows are those of a mesh, when the store is this process's and before its rows are opened. Undefined:
   * they are this node's own.
   */
  readonly openMesh?: (() => Promise<MeshOfStore>) | undefined
}

export interface Storage {
  /** `storage.path`. */
  readonly path: string
  /** Opens rows and bytes in another thread. */
  readonly setup: StoreSetup
  readonly metadata: LmdbMetadataStore
  /** Reads of blobs by their rows, wherever their bytes are. */
  readonly blobs: BlobStore
  /** Where the bytes of blobs are that the metadata has not. */
  readonly driver: BlobDriver
  readonly writer: DriverWriter
  /** Whether a pull of the blob is under way, as far as that is known. */
  readonly isRead: (digest: Digest) => boolean
  /** Serialises what is done to one blob's object. */
  readonly digestLock: KeyedLock
  readonly quarantine: Quarantine
  /** Undefined: the files of all blobs are here, and of no other node's concern. */
  readonly shared: SharedBlobs | undefined
  /** Forgets what is cached of a blob whose object was replaced or removed. */
  readonly forget: (digest: Digest) => void
  close: () => Promise<void>
}

/** The folders of rows and bytes below `storage.path`: opening the store makes them. */
export function storeFolders(path: string): readonly string[] {
  return [...fileFolders(path), metadataFolder(path)]
}

/**
 * Opens a store that no other process has open. Throws with its pid when one has; then nothing stays
 * open. It is closed by its `close`, or with `around`.
 */
export async function openStorage(
  options: StorageOptions,
  around: LifeCycle = new LifeCycle(),
): Promise<Storage> {
  for (const folder of storeFolders(options.path)) {
    mkdirSync(folder, { recursive: true, mode: 0o750 })
  }
  const loaded = loadLibc()
  const life = around.within()
  return life.guard(async () => {
    // Before LMDB opens: two writers on one environment would undo each other's promises.
    const lock = lockStore(options.path, 'unavailable' in loaded ? undefined : loaded)
    life.opened('lock', lock, (one) => one.release())
    return openLocked(options, loaded, life)
  })
}

async function openLocked(
  options: StorageOptions,
  loaded: ReturnType<typeof loadLibc>,
  life: LifeCycle,
): Promise<Storage> {
  const metadataPath = metadataFolder(options.path)
  const mesh = options.openMesh && (await enterMesh(options.openMesh, metadataPath))
  // The log of a mesh has what a loss of power takes from one node.
  const isRelaxed = options.durability === 'relaxed' || mesh !== undefined
  const starting = watchStart()
  const { onError } = starting
  const writers = new WorkerPool({
    worker: mesh === undefined ? 'metadata-writer' : 'log-writer',
    threads: 1,
    tasksPerThread: 1,
    // Transactions come and go, and little of them stays: more room would only take memory (measured
    // beside a collection of a million blobs: 10 MiB less than with 12 and no bound).
    youngMiB: 6,
    heapMiB: boundedHeapMiB,
    onError,
  })
  const pagers = new WorkerPool({ worker: 'pager', threads: 1, tasksPerThread: 1, onError })
  const ingest = new WorkerPool({
    worker: 'ingest',
    threads: options.ingestThreads === 0 ? availableParallelism() : options.ingestThreads,
    tasksPerThread: adoptedSessionsMax,
    onError,
  })
  life.opened('threads', [ingest, writers, pagers], async (pools) => {
    await Promise.all(pools.map((pool) => pool.close()))
  })
  const slots = new ReadSlots()
  const pager = new Pager(() => pagers.start({ metadataPath, slots: slots.memory }))
  life.opened('pager', pager, (one) => one.close())
  const environment = new LmdbEnvironment(metadataPath, isRelaxed)
  const startCommits = commitsOf(
    { ...options, ...(mesh && { mesh }) },
    writers,
    metadataPath,
    environment,
  )
  // Reads show what the front end has heard of, and nothing newer.
  if (mesh !== undefined) environment.pin()
  const metadata = new LmdbMetadataStore(environment, startCommits, pager)
  life.opened('metadata', metadata, (one) => one.close())
  // The first answer of the writer: by then a thread that cannot start has said so.
  await Promise.race([starting.failed, checkSchemaVersion(metadata).catch(starting.explain)])
  starting.end()

  const openFiles = () =>
    openFileDriver({
      ...options,
      isFlushed: options.durability !== 'relaxed',
      libc: loaded,
      pager,
      slots,
      ingest,
    })
  const driver = await (options.openDriver ?? openFiles)()
  life.opened('driver', driver, (one) => one.close())
  const { reader, writer, bin } = driver
  const digestLock = new KeyedLock()
  const forget = (digest: Digest) => reader.forget(digest)
  const { path, onQuarantined } = options
  const shared = mesh?.blobs?.attach({ metadata, driver, digestLock })
  if (shared !== undefined) life.opened('shared blobs', shared, (one) => one.close())
  const isolateCopy = shared && ((...of: [Digest, string]) => shared.isolate(...of))
  const quarantine = new Quarantine({
    bin,
    metadata,
    digestLock,
    forget,
    isolateCopy,
    onQuarantined,
  })
  return {
    path,
    setup: { metadata: metadataPath, driver: driver.setup },
    digestLock,
    quarantine,
    metadata,
    shared,
    blobs: new BlobStore({ metadata, driver, quarantine, shared }),
    driver,
    writer,
    isRead: (digest) => reader.isRead(digest),
    forget,
    close: () => life.close(),
  }
}

/** How `SupervisedTask` begins the sentence. */
const workerDied = 'worker died: Error: '

/**
 * While the store is opened a thread that cannot start ends the opening. Later it is a fault of ours
 * that nothing supervises (tasks are): the process ends with it rather than go on without.
 */
function watchStart() {
  let hasStarted = false
  let refuse: (error: Error) => void = () => undefined
  const failed = new Promise<never>((_, reject) => {
    refuse = reject
  })
  failed.catch(() => undefined)
  return {
    failed,
    onError: (error: Error) => {
      if (hasStarted) throw error
      refuse(new Error(`a worker thread cannot start: ${error.message}`))
    },
    /** A commit that failed because its thread has died: the cause says why, the answer would not. */
    explain: (error: unknown): never => {
      const { cause } = error as { cause?: unknown }
      if (!(cause instanceof WorkerError) || !cause.message.startsWith(workerDied)) throw error
      throw new Error(`a worker thread cannot start: ${cause.message.slice(workerDied.length)}`, {
        cause: error,
      })
    },
    end: () => {
      hasStarted = true
    },
  }
}
