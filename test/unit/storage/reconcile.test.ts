import { existsSync } from 'node:fs'
import { mkdir, readdir, rm, unlink, utimes, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { blobPath, blobPaths, uploadPath } from '../../../src/blobs/files/layout.ts'
import type { UploadRow } from '../../../src/metadata/schema.ts'
import type { Digest } from '../../../src/registry/digest.ts'
import { systemClock } from '../../../src/runtime/clock.ts'
import { Reconciliation } from '../../../src/storage/reconcile.ts'
import { ReconcileDecisions, type UploadKeeper } from '../../../src/storage/reconcile-decisions.ts'
import {
  digestOfText,
  type OpenStore,
  openStore,
  putBlob,
  REPOSITORY,
  temporaryFolder,
} from '../../support/store.ts'

const longAgo = new Date(Date.now() - 3_600_000)

interface Run {
  readonly store: OpenStore
  readonly reconciliation: Reconciliation
  readonly warnings: string[]
}

/** Starts a store as the server does. */
async function start(
  folder: string,
  options: { readonly sessions?: UploadKeeper; readonly isRelaxed?: boolean } = {},
): Promise<Run> {
  const store = await openStore(folder)
  const { metadata } = store.storage
  const warnings: string[] = []
  const sessions: UploadKeeper = {
    whenIdle: (id, work) =>
      work(async () => {
        await metadata.commit({
          checks: [],
          changes: [{ change: 'delete', in: 'uploads', key: id }],
        })
      }),
  }
  const reconciliation = new Reconciliation({
    ...store.storage,
    sessions,
    clock: systemClock,
    log: { info: () => undefined, warn: (_fields, message) => warnings.push(message) },
    isRelaxed: false,
    ...options,
  })
  await reconciliation.begin()
  return { store, reconciliation, warnings }
}

async function settled({ reconciliation }: Run): Promise<void> {
  reconciliation.start()
  while (reconciliation.status.state === 'running') {
    await new Promise((resolve) => setTimeout(resolve, 2))
  }
}

async function stop({ store, reconciliation }: Run): Promise<void> {
  await reconciliation.stop()
  await store.storage.close()
}

/** A folder with a store that ran before and ended without a stop, or in order. */
async function earlierRun(ending: 'crash' | 'stop', prepare?: (store: OpenStore) => Promise<void>) {
  const folder = await temporaryFolder()
  const run = await start(folder)
  await settled(run)
  await prepare?.(run.store)
  if (ending === 'stop') await stop(run)
  else await run.store.storage.close()
  return folder
}

async function putFile(folder: string, digest: Digest, text: string): Promise<string> {
  const path = join(folder, 'blobs', 'sha256', digest.slice(7, 9), digest.slice(7))
  await mkdir(dirname(path), { recursive: true })
  await writeFile(path, text)
  return path
}

function uploadRow(offsetBytes: number, bytes?: Uint8Array): UploadRow {
  return {
    repository: REPOSITORY,
    algorithm: 'sha256',
    offsetBytes,
    startedAt: 1,
    touchedAt: Date.now(),
    client: '::1',
    ...(bytes === undefined ? {} : { bytes }),
  }
}

describe('reconciliation after a crash', () => {
  test('gives a file without a row its row, without a repository', async () => {
    const folder = await earlierRun('crash')
    const digest = digestOfText('left behind')
    await putFile(folder, digest, 'left behind')
    const run = await start(folder)
    await settled(run)
    const { metadata } = run.store.storage
    expect(metadata.get('blobs', digest)).toMatchObject({ place: 'file', sizeBytes: 11 })
    expect(metadata.keys('holders', [digest], undefined, 1)).toEqual([])
    expect(run.reconciliation.status).toMatchObject({ state: 'done', adopted: 1, trashed: 0 })
  })

  test('moves a file with other content to the trash', async () => {
    const folder = await earlierRun('crash')
    const digest = digestOfText('whole')
    const path = await putFile(folder, digest, 'who')
    const run = await start(folder)
    await settled(run)
    expect(run.store.storage.metadata.get('blobs', digest)).toBeUndefined()
    expect(existsSync(path)).toBe(false)
    expect(await readdir(join(folder, 'trash', 'quarantine'))).toEqual([digest.replace(':', '-')])
    expect(run.reconciliation.status).toMatchObject({ adopted: 0, trashed: 1 })
    expect(run.warnings).toHaveLength(1)
  })

  test.each(['no file', 'a short file'])(
    'removes a row with %s, once, with a reason',
    async (what) => {
      let digest!: Digest
      const folder = await earlierRun('crash', async (store) => {
        digest = await putBlob(store, Buffer.from('whole'), 'file')
        await putBlob(store, Buffer.from('its neighbour'), 'file')
        const path = blobPath(blobPaths(store.storage.path), digest)
        if (what === 'no file') await unlink(path)
        else await writeFile(path, 'who')
      })
      const run = await start(folder)
      await settled(run)
      expect(run.store.storage.metadata.get('blobs', digest)).toBeUndefined()
      expect(run.store.storage.metadata.get('links', [REPOSITORY, digest])).toBeDefined()
      expect(run.store.quarantined).toHaveLength(1)
      expect(run.reconciliation.status).toMatchObject({ missing: 1, adopted: 0, trashed: 0 })
    },
  )

  test('takes away a file whose blob lives in the metadata', async () => {
    let path = ''
    const folder = await earlierRun('crash', async (store) => {
      const digest = await putBlob(store, Buffer.from('small'), 'inline')
      path = await putFile(store.storage.path, digest, 'small')
    })
    const run = await start(folder)
    await settled(run)
    expect(existsSync(path)).toBe(false)
    expect(run.reconciliation.status).toMatchObject({ trashed: 1, missing: 0 })
  })

  test('leaves alone what no blob can be called', async () => {
    const folder = await earlierRun('crash')
    const path = await putFile(folder, digestOfText('x'), 'x')
    await writeFile(join(dirname(path), 'README'), 'hello')
    const run = await start(folder)
    await settled(run)
    expect(existsSync(join(dirname(path), 'README'))).toBe(true)
    expect(run.reconciliation.status).toMatchObject({ adopted: 1, foreign: 1 })
  })

  test('looks only into folders that changed since the checkpoint', async () => {
    const folder = await earlierRun('crash', async ({ storage }) => {
      // A folder's change time cannot be set back, so the checkpoint is set on.
      const future = Date.now() + 3_600_000
      await storage.metadata.commit({
        checks: [],
        changes: [{ change: 'put', in: 'system', key: 'checkpointAt', row: future }],
      })
    })
    const digest = digestOfText('not seen')
    await putFile(folder, digest, 'not seen')
    const run = await start(folder)
    await settled(run)
    expect(run.store.storage.metadata.get('blobs', digest)).toBeUndefined()
  })

  test('without flushed files looks for young rows everywhere', async () => {
    let digest!: Digest
    const folder = await earlierRun('crash', async (store) => {
      digest = await putBlob(store, Buffer.from('lost with the power'), 'file')
      await unlink(blobPath(blobPaths(store.storage.path), digest))
      // The folder is gone with the file, as after a power loss.
    })
    const blobs = join(folder, 'blobs', 'sha256')
    await rm(blobs, { recursive: true })
    const flushed = await start(folder)
    await settled(flushed)
    expect(flushed.reconciliation.status.missing).toBe(0)
    await flushed.store.storage.close()
    const run = await start(folder, { isRelaxed: true })
    await settled(run)
    expect(run.store.storage.metadata.get('blobs', digest)).toBeUndefined()
    expect(run.reconciliation.status.missing).toBe(1)
  })

  test('is not done twice', async () => {
    const folder = await earlierRun('crash')
    const first = await start(folder)
    await settled(first)
    await stop(first)
    const digest = digestOfText('came by hand')
    await putFile(folder, digest, 'came by hand')
    const second = await start(folder)
    await settled(second)
    expect(second.store.storage.metadata.get('blobs', digest)).toBeUndefined()
  })

  test('is done at the next start when it was stopped before its end', async () => {
    const folder = await earlierRun('crash')
    const digest = digestOfText('left behind')
    await putFile(folder, digest, 'left behind')
    const interrupted = await start(folder)
    interrupted.reconciliation.start()
    await stop(interrupted)
    const run = await start(folder)
    await settled(run)
    expect(run.store.storage.metadata.get('blobs', digest)).toBeDefined()
  })

  test('is done after a stop in order too, when a file was in doubt', async () => {
    const folder = await temporaryFolder()
    const first = await start(folder)
    await settled(first)
    first.reconciliation.doubt()
    const digest = digestOfText('row refused')
    await putFile(folder, digest, 'row refused')
    await stop(first)
    const run = await start(folder)
    await settled(run)
    expect(run.store.storage.metadata.get('blobs', digest)).toBeDefined()
  })
})

describe('the first start', () => {
  test('on a tree without metadata changes nothing and says what to do', async () => {
    const folder = await temporaryFolder()
    const digest = digestOfText('of the first FastRegistry')
    await putFile(folder, digest, 'of the first FastRegistry')
    const run = await start(folder)
    await settled(run)
    expect(run.store.storage.metadata.get('blobs', digest)).toBeUndefined()
    expect(run.warnings).toEqual(['blob files without metadata: see "fastregistry adopt"'])
  })
})

describe('uploads, even after a stop in order', () => {
  const id = 'a'.repeat(32)

  async function startWithUpload(
    row: UploadRow | undefined,
    fileBytes: number | undefined,
    sessions?: UploadKeeper,
    changedAt = longAgo,
  ): Promise<{ run: Run; path: string }> {
    let path = ''
    const folder = await earlierRun('stop', async ({ storage }) => {
      path = uploadPath(blobPaths(storage.path), id)
      if (row !== undefined) {
        await storage.metadata.commit({
          checks: [],
          changes: [{ change: 'put', in: 'uploads', key: id, row }],
        })
      }
      if (fileBytes === undefined) return
      await writeFile(path, Buffer.alloc(fileBytes))
      await utimes(path, changedAt, changedAt)
    })
    const run = await start(folder, sessions === undefined ? {} : { sessions })
    await settled(run)
    return { run, path }
  }

  test.each([
    ['no session', undefined],
    ['a session that lives in the metadata', uploadRow(2, Buffer.from('hi'))],
  ])('a file of %s goes', async (_what, row) => {
    const { run, path } = await startWithUpload(row, 100)
    expect(existsSync(path)).toBe(false)
    expect(run.store.storage.metadata.get('uploads', id)).toEqual(row)
    expect(run.reconciliation.status).toMatchObject({ uploadsRemoved: 1, sessionsDropped: 0 })
  })

  test('a file that is younger than the process stays', async () => {
    const { path } = await startWithUpload(undefined, 100, undefined, new Date(Date.now() + 60_000))
    expect(existsSync(path)).toBe(true)
  })

  test.each([
    ['missing', undefined],
    ['shorter than what was acknowledged', 99],
  ])('a session ends when its file is %s', async (_what, fileBytes) => {
    const { run } = await startWithUpload(uploadRow(100), fileBytes)
    expect(run.store.storage.metadata.get('uploads', id)).toBeUndefined()
    expect(run.reconciliation.status).toMatchObject({ sessionsDropped: 1 })
  })

  test.each([
    ['all that was acknowledged', uploadRow(100), 100],
    ['more than was acknowledged', uploadRow(100), 300],
    ['nothing, as was acknowledged', uploadRow(0), undefined],
  ])('a session with %s stays', async (_what, row, fileBytes) => {
    const { run, path } = await startWithUpload(row, fileBytes)
    expect(run.store.storage.metadata.get('uploads', id)).toEqual(row)
    expect(existsSync(path)).toBe(fileBytes !== undefined)
    expect(run.reconciliation.status).toMatchObject({ sessionsDropped: 0, uploadsRemoved: 0 })
  })

  test('a session that is in use is left alone', async () => {
    const sessions = { whenIdle: async () => undefined }
    const { run } = await startWithUpload(uploadRow(100), undefined, sessions)
    expect(run.store.storage.metadata.get('uploads', id)).toBeDefined()
    expect(run.reconciliation.status).toMatchObject({ state: 'done', sessionsDropped: 0 })
  })
})

describe('a decision', () => {
  async function decisionsOn(store: OpenStore): Promise<ReconcileDecisions> {
    return new ReconcileDecisions({
      ...store.storage,
      sessions: { whenIdle: async () => undefined },
      clock: systemClock,
      startedAt: Date.now(),
      log: { info: () => undefined, warn: () => undefined },
    })
  }

  test('waits for the push of the same blob, and then leaves its row alone', async () => {
    const store = await openStore(await temporaryFolder())
    const { metadata, digestLock, path: folder } = store.storage
    const decisions = await decisionsOn(store)
    const bytes = Buffer.from('pushed just now')
    const digest = digestOfText(bytes)
    const path = await putFile(folder, digest, 'pushed just now')
    const object = (await store.storage.driver.inventory.stat(digest))!
    let finishPush = () => {}
    const pushing = digestLock.run(digest, async () => {
      await new Promise<void>((resolve) => {
        finishPush = resolve
      })
      await putBlob(store, bytes, 'file')
    })
    const deciding = decisions.decide({ kind: 'orphan', digest, object, isGenuine: false })
    await new Promise((resolve) => setTimeout(resolve, 20))
    expect(metadata.get('blobs', digest)).toBeUndefined()
    finishPush()
    await Promise.all([pushing, deciding])
    expect(metadata.get('blobs', digest)).toBeDefined()
    expect(existsSync(path)).toBe(true)
    expect(decisions.counts).toMatchObject({ adopted: 0, trashed: 0 })
  })

  test('about a file that was replaced meanwhile is dropped', async () => {
    const store = await openStore(await temporaryFolder())
    const decisions = await decisionsOn(store)
    const digest = digestOfText('right')
    const path = await putFile(store.storage.path, digest, 'right')
    const object = { sizeBytes: 3, version: 'another' }
    await decisions.decide({ kind: 'orphan', digest, object, isGenuine: false })
    expect(existsSync(path)).toBe(true)
  })

  test('about a missing file is dropped when the file is there again', async () => {
    const store = await openStore(await temporaryFolder())
    const decisions = await decisionsOn(store)
    const digest = await putBlob(store, Buffer.from('there'), 'file')
    await decisions.decide({ kind: 'missing', digest })
    expect(store.storage.metadata.get('blobs', digest)).toBeDefined()
    expect(decisions.counts.missing).toBe(0)
  })
})
