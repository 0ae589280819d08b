/**
 * @module Opens everything below `storage.path` and starts the threads that serve it; closes them
 * in reverse. The one place where the parts of storage are put together.
 */
import { mkdirSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { type BlobPaths, blobPath, blobPaths, uploadPath } from '../blobs/files/layout.ts'
import { BlobMap } from '../blobs/files/mapped-reader.ts'
import { Pager } from '../blobs/files/pager.ts'
import { BlobFiles, type VerifyBlob } from '../blobs/files/plain-reader.ts'
import { ReadSlots } from '../blobs/files/slots.ts'
import { FileBlobWriter } from '../blobs/files/writer.ts'
import type { BlobReader, BlobWriter, GrowingBlobs } from '../blobs/port.ts'
import { Quarantine } from '../blobs/quarantine.ts'
import { LmdbEnvironment } from '../metadata/lmdb/environment.ts'
import { metadataFolder } from '../metadata/lmdb/folder.ts'
import { LmdbMetadataStore } from '../metadata/lmdb/store.ts'
import { checkSchemaVersion } from '../metadata/migrations.ts'
import type { Digest } from '../registry/digest.ts'
import { adoptedSessionsMax } from '../registry/limits.ts'
import type { Clock } from '../runtime/clock.ts'
import { KeyedLock } from '../runtime/keyed-lock.ts'
import { type Libc, loadLibc } from '../runtime/libc.ts'
import { LifeCycle } from '../runtime/life-cycle.ts'
import { WorkerError } from '../runtime/worker-failure.ts'
import { boundedHeapMiB, WorkerPool } from '../runtime/worker-pool.ts'
import { DiskSpace } from './disk-space.ts'
import { lockStore } from './lock.ts'

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
}

export interface Storage {
  /** `storage.path`. */
  readonly path: string
  readonly paths: BlobPaths
  readonly metadata: LmdbMetadataStore
  readonly blobs: BlobReader
  readonly writer: BlobWriter
  readonly growing: GrowingBlobs
  /** Whether a pull of the blob is under way, as far as that is known. */
  readonly isRead: (digest: Digest) => boolean
  /** `map`, or `file` with the reason why files are not mapped. */
  readonly reader: { readonly kind: 'map' | 'file'; readonly reason: string | undefined }
  readonly mappedBytes: () => number
  /** Serialises what is done to one blob's file. */
  readonly digestLock: KeyedLock
  readonly quarantine: Quarantine
  readonly space: DiskSpace
  /** Forgets what is cached of a blob whose file was replaced or removed. */
  readonly forget: (digest: Digest) => void
  close: () => Promise<void>
}

/** The folders of rows and bytes below `storage.path`: opening the store makes them. */
export function storeFolders(path: string): readonly string[] {
  return [...Object.values(blobPaths(path)), metadataFolder(path)]
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
  const paths = blobPaths(options.path)
  const metadataPath = metadataFolder(options.path)
  const isRelaxed = options.durability === 'relaxed'
  const starting = watchStart()
  const { onError } = starting
  const writers = new WorkerPool({
    worker: 'metadata-writer',
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
  const startWriter = () => writers.start({ path: metadataPath, isRelaxed })
  const metadata = new LmdbMetadataStore(environment, startWriter, pager)
  life.opened('metadata', metadata, (one) => one.close())
  // The first answer of the writer: by then a thread that cannot start has said so.
  await Promise.race([starting.failed, checkSchemaVersion(metadata).catch(starting.explain)])
  starting.end()

  const digestLock = new KeyedLock()
  const space = new DiskSpace(options.path, options.reserveBytes)
  life.opened('space', space, (one) => one.stop())
  await space.start()
  const mapping = options.reader === 'file' ? { unavailable: 'storage.reader: file' } : loaded
  const { blobs, reason } = makeReader(options, paths, pager, slots, mapping)
  const forget = (digest: Digest) => {
    if (blobs instanceof BlobMap) blobs.forget(digest)
  }
  const { onQuarantined } = options
  const writer = new FileBlobWriter(paths, ingest, !isRelaxed)
  return {
    path: options.path,
    paths,
    digestLock,
    quarantine: new Quarantine({ paths, metadata, digestLock, forget, onQuarantined }),
    space,
    metadata,
    blobs,
    writer,
    growing: {
      grow: (...of) => writer.grow(...of),
      openGrowing: (id, sizeBytes) => blobs.openPath(uploadPath(paths, id), sizeBytes),
    },
    isRead: (digest) => blobs instanceof BlobMap && blobs.isRead(digest),
    reader: { kind: blobs instanceof BlobMap ? 'map' : 'file', reason },
    mappedBytes: () => (blobs instanceof BlobMap ? blobs.mappedBytes : 0),
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

function makeReader(
  options: StorageOptions,
  paths: BlobPaths,
  pager: Pager,
  slots: ReadSlots,
  loaded: Libc | { readonly unavailable: string },
): { blobs: BlobMap | BlobFiles; reason: string | undefined } {
  const { cacheBytes, clock } = options
  if ('unavailable' in loaded) {
    if (options.reader === 'map') {
      throw new Error(`storage.reader is map, but files cannot be mapped: ${loaded.unavailable}`)
    }
    const verify: VerifyBlob = (digest, row) => pager.verify(blobPath(paths, digest), digest, row)
    return { blobs: new BlobFiles(paths, cacheBytes, verify), reason: loaded.unavailable }
  }
  const blobs = new BlobMap({ paths, pager, slots, libc: loaded, clock, cacheBytes })
  return { blobs, reason: undefined }
}
