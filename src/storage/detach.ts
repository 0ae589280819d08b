/**
 * @module Takes a stopped store out of its mesh: it is a store of its own again, from which a mesh can be founded; or
 * it is ready to join one as a new member, with the files of blobs that it has. Nothing is removed: what is not needed
 * any more lies beside, under `.before`.
 */
import { existsSync } from 'node:fs'
import { rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { hasObject, openInventory } from '../blobs/driver.ts'
import { LmdbEnvironment, prefixRange } from '../metadata/lmdb/environment.ts'
import { metadataFolder } from '../metadata/lmdb/folder.ts'
import { viewFile } from '../metadata/lmdb/snapshot/format.ts'
import type { MemberRow, PlaceRow } from '../metadata/rows/mesh.ts'
import type { BlobRow, DatabaseName, Databases } from '../metadata/schema.ts'
import type { Digest } from '../registry/digest.ts'
import { loadLibc } from '../runtime/libc.ts'
import { bootFileName, tailFolder } from './commits.ts'
import type { MemberPlace, OpenFileSource } from './file-source.ts'
import { lockStore } from './lock.ts'
import { storeSetup } from './setup.ts'

/** What a store says of its mesh; secrets are files as well, and stay. */
const meshTables: readonly DatabaseName[] = [
  'members',
  'cluster',
  'sessions',
  'endedPins',
  'parts',
  'leads',
  'ticks',
  'secrets',
  'copies',
  'places',
]

const rowsPerStep = 500
const membersMax = 10_000

export interface DetachReport {
  /** The last entry of the log that is in it. */
  readonly index: number
  /** Blobs whose files are on other nodes only. */
  readonly missing: readonly Digest[]
  /** False: files are missing, and `evenSo` was not given. */
  readonly isDone: boolean
}

/**
 * Takes the store at `path` out of its mesh. Throws when a process has it open, and when it is none of a mesh. With
 * `evenSo` blobs that are on other nodes only are given up: their pulls answer 404. Before, `openSource` gives those that
 * the other nodes have; what came stays when it is not done. On the disk when it resolves.
 */
export async function detach(
  path: string,
  evenSo: boolean,
  openSource?: OpenFileSource,
): Promise<DetachReport> {
  return whileLocked(path, async (environment) => {
    const { index } = requirePlace(path, environment)
    const missing: Digest[] = []
    const lacking = await missingFiles(path, environment)
    const members = membersIn(environment)
    const others = lacking.length === 0 ? undefined : await openSource?.(path, members)
    try {
      for (const { digest, sizeBytes } of lacking) {
        if (!((await others?.bring(path, digest, sizeBytes)) ?? false)) missing.push(digest)
      }
    } finally {
      others?.close()
    }
    if (missing.length > 0 && !evenSo) return { index, missing, isDone: false }
    // The identity first: with it alone the store would be refused, without it the rest is done again.
    await setAside(join(path, 'mesh'))
    clearMesh(environment)
    await forgetRun(path)
    return { index, missing, isDone: true }
  })
}

/**
 * Lets the store at `path` join a mesh as a new member: its rows lie beside, the files of blobs stay where they are.
 * Throws as `detach`. Resolves with the last entry of the log that was in it.
 */
export async function rejoin(path: string): Promise<number> {
  return whileLocked(
    path,
    async (environment) => requirePlace(path, environment).index,
    async () => {
      await setAside(join(path, 'mesh'))
      await forgetRun(path)
      await setAside(metadataFolder(path))
    },
  )
}

/** Removes what rows say of a mesh, in small steps. The environment is not pinned. */
export function clearMesh(environment: LmdbEnvironment): void {
  for (const name of meshTables) {
    for (;;) {
      const keys = environment.firstKeys(name, [], rowsPerStep)
      if (keys.length === 0) break
      environment.writeSync(() => {
        for (const key of keys) environment.delete(name, key as Databases[typeof name]['key'])
      })
    }
  }
}

/** Undefined: the store is of no mesh. */
export function placeIn(environment: Pick<LmdbEnvironment, 'get'>): PlaceRow | undefined {
  return environment.get('places', 'applied') as PlaceRow | undefined
}

/** Of the mesh that the rows are of; none where they are of none. */
export function membersIn(environment: LmdbEnvironment): readonly MemberPlace[] {
  if (placeIn(environment) === undefined) return []
  const rows = environment.entries('members', { ...prefixRange([], undefined), limit: membersMax })
  return [...rows]
    .map(({ key, value }) => ({ number: Number(key), ...(value as MemberRow) }))
    .filter(({ state }) => state !== 'left')
    .map(({ number, address }) => ({ number, address }))
}

function requirePlace(path: string, environment: LmdbEnvironment): PlaceRow {
  const place = placeIn(environment)
  if (place === undefined) throw new Error(`${path} is no store of a mesh`)
  return place
}

async function whileLocked<T>(
  path: string,
  work: (environment: LmdbEnvironment) => Promise<T>,
  whenClosed: () => Promise<void> = async () => undefined,
): Promise<T> {
  const metadata = metadataFolder(path)
  if (!existsSync(join(metadata, viewFile))) throw new Error(`${path} is no store`)
  const loaded = loadLibc()
  const lock = lockStore(path, 'unavailable' in loaded ? undefined : loaded)
  try {
    const environment = new LmdbEnvironment(metadata, false)
    const result = await work(environment).finally(() => environment.close())
    await whenClosed()
    return result
  } finally {
    lock.release()
  }
}

interface Lacking {
  readonly digest: Digest
  readonly sizeBytes: number
}

async function missingFiles(path: string, environment: LmdbEnvironment): Promise<Lacking[]> {
  const inventory = await openInventory(storeSetup(path).driver)
  const missing: Lacking[] = []
  let last: string | undefined
  for (;;) {
    const rows = [...environment.entries('blobs', { ...prefixRange([], last), limit: rowsPerStep })]
    if (rows.length === 0) return missing
    for (const { key, value } of rows) {
      const digest = key as Databases['blobs']['key']
      const row = value as BlobRow
      const isHere = !hasObject(row) || (await inventory.stat(digest)) !== undefined
      if (!isHere) missing.push({ digest, sizeBytes: row.sizeBytes })
    }
    last = rows.at(-1)!.key as string
  }
}

async function forgetRun(path: string): Promise<void> {
  await rm(join(path, bootFileName), { force: true })
  await rm(tailFolder(path), { recursive: true, force: true })
}

async function setAside(folder: string): Promise<void> {
  if (!existsSync(folder)) return
  await rm(`${folder}.before`, { recursive: true, force: true })
  await rename(folder, `${folder}.before`)
}
