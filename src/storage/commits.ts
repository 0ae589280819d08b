/**
 * @module How transactions reach the thread that writes them: on this node's disk, or through the log of a mesh.
 */
import { join } from 'node:path'
import type { SharedBlobsMaker } from '../blobs/shared-port.ts'
import { DirectCommits, type StartCommits } from '../metadata/lmdb/commits.ts'
import type { LmdbEnvironment } from '../metadata/lmdb/environment.ts'
import { LogCommits, type LogCommitsParts } from '../metadata/lmdb/log-commits.ts'
import { installSnapshot } from '../metadata/lmdb/snapshot/install.ts'
import type { LogKept, LogSettings } from '../metadata/lmdb/worker/messages.ts'
import type { WorkerPool } from '../runtime/worker-pool.ts'

/** How the rows of a store are those of a mesh. */
export interface MeshOfStore extends Omit<LogCommitsParts, 'startWriter'> {
  /** The number of this node. */
  readonly member: number
  readonly log: LogSettings
  /** How much the log keeps, and how much of it this node. Default: as `LogWriterSetup`. */
  readonly kept?: LogKept
  /** Undefined: files of blobs are on the node alone that took them. */
  readonly blobs?: SharedBlobsMaker
}

interface CommitOptions {
  readonly path: string
  readonly durability: 'full' | 'relaxed'
  readonly mesh?: MeshOfStore
}

/** Before the rows are opened: a view that a peer has sent is put in their place. */
export async function enterMesh(
  openMesh: () => Promise<MeshOfStore>,
  metadataPath: string,
): Promise<MeshOfStore> {
  const mesh = await openMesh()
  await installSnapshot(metadataPath)
  return mesh
}

/** How transactions reach the thread that writes them. */
export function commitsOf(
  { path, durability, mesh }: CommitOptions,
  writers: WorkerPool,
  metadataPath: string,
  environment: Pick<LmdbEnvironment, 'get'>,
): StartCommits {
  if (mesh === undefined) {
    // What one node writes alone, the others would never have.
    if (environment.get('places', 'applied') !== undefined) {
      throw new Error(
        `${path} is the store of a node of a mesh: start it with mesh.enabled: true, ` +
          'or take it out of the mesh first with "fastregistry mesh detach"',
      )
    }
    const setup = { path: metadataPath, isRelaxed: durability === 'relaxed' }
    return (listener) => new DirectCommits(() => writers.start(setup), listener)
  }
  const { member, log, kept, ...parts } = mesh
  const setup = {
    path: metadataPath,
    log,
    member,
    bootFile: join(path, bootFileName),
    tail: tailFolder(path),
    ...(kept && { kept }),
  }
  return (listener) => {
    return new LogCommits({ ...parts, startWriter: () => writers.start(setup) }, listener)
  }
}

/** What a node of a mesh has applied last, for peers that have fallen behind. */
export function tailFolder(storagePath: string): string {
  return join(storagePath, 'tail')
}

/** Holds the number of a node's last run. */
export const bootFileName = 'run'
