/**
 * @module The registry on a store of bytes that is slow, far away and no file system: pushes, pulls,
 * mounts, deletes, collections, undeletes, mirrors, reconciliation and scrub work as on files. So nothing
 * above the port of the driver counts on files.
 */
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { systemClock } from '../../../src/runtime/clock.ts'
import { runWalk } from '../../../src/storage/reconcile.ts'
import { ReconcileDecisions } from '../../../src/storage/reconcile-decisions.ts'
import { Scrub } from '../../../src/storage/scrub.ts'
import { adminJson, collect } from '../../support/admin.ts'
import { collectorOn, SteppingClock } from '../../support/collector.ts'
import { dispose, type InProcessRegistry, startInProcess } from '../../support/in-process.ts'
import { openTemporaryStorage } from '../../support/open-store.ts'
import { imageManifest, sha256, someBytes } from '../../support/registry-client.ts'
import { openSlowRemote, type SlowRemote } from '../../support/remote/slow-remote.ts'
import { digestOfText, putBlob, REPOSITORY } from '../../support/store.ts'

let remote: SlowRemote
let registry: InProcessRegistry
let upstream: InProcessRegistry

beforeAll(async () => {
  remote = await openSlowRemote()
  upstream = await startInProcess({ engine: 'node' })
  registry = await startInProcess({
    engine: 'node',
    openDriver: () => remote.driver,
    config: { storage: { gc: { grace: '0s', undelete_window: '1h', keep_recent: 0 } } },
    mirrors: [{ name: 'hub', upstream: `http://127.0.0.1:${upstream.port}` }],
  })
})

afterAll(async () => {
  await dispose(registry)
  await dispose(upstream)
})

const large = someBytes(1_000_000)
const digest = sha256(large)

/** Names of plain files that the server has below `blobs/`, `uploads/` and `trash/`. */
async function localFiles(): Promise<string[]> {
  const found = ['blobs', 'uploads', 'trash'].map((name) =>
    readdir(join(registry.folder, name), { recursive: true, withFileTypes: true }),
  )
  return (await Promise.all(found)).flat().flatMap((it) => (it.isFile() ? [it.name] : []))
}

/** Quicker than a comparison that could show each difference. */
function expectBytes(actual: Buffer | undefined, expected: Buffer): void {
  expect(actual?.equals(expected)).toBe(true)
}

async function pushImageWith(repository: string, tag: string, layerBytes: Uint8Array) {
  const { client } = registry
  const config = { ...(await client.pushBlob(repository, '{}')), mediaType: 'application/x.config' }
  const layer = await client.pushBlob(repository, layerBytes)
  const manifest = imageManifest(config, [layer])
  expect((await client.putManifest(repository, tag, manifest)).status).toBe(201)
  return { layer, digest: sha256(JSON.stringify(manifest)) }
}

describe('a registry on a slow store of objects', () => {
  test('takes pushes in one piece and in chunks, and refuses other bytes', async () => {
    const { client } = registry
    await client.pushBlob('far/app', large)
    let location = await client.open('far/app')
    for (let at = 0; at < large.length; at += 400_000) {
      const body = large.subarray(at, at + 400_000)
      const headers = { 'Content-Range': `${at}-${at + body.length - 1}` }
      const answer = await client.request('PATCH', location, { headers, body })
      expect(answer.status, answer.text).toBe(202)
      location = answer.headers['location']!
    }
    const done = await client.request('PUT', `${location}?digest=${digest}`)
    expect(done.status, done.text).toBe(201)
    const wrong = await client.request(
      'PUT',
      `${await client.open('far/app')}?digest=${sha256('other')}`,
      { body: large },
    )
    expect(wrong.status).toBe(400)
    expectBytes(remote.server.get(`blobs/${digest}`), large)
  })

  test('answers pulls, ranges and mounts', async () => {
    const { client } = registry
    const path = `/v2/far/app/blobs/${digest}`
    expectBytes((await client.get(path)).body, large)
    expect((await client.head(path)).headers['content-length']).toBe(String(large.length))
    const range = await client.get(path, { Range: 'bytes=300000-699999' })
    expect(range.status).toBe(206)
    expectBytes(range.body, large.subarray(300_000, 700_000))
    const parts = await client.get(path, { Range: 'bytes=0-9,500000-500009' })
    expect(parts.headers['content-type']).toMatch(/multipart/)
    const mount = await client.request(
      'POST',
      `/v2/far/other/blobs/uploads/?mount=${digest}&from=far/app`,
    )
    expect(mount.status).toBe(201)
    expectBytes((await client.get(`/v2/far/other/blobs/${digest}`)).body, large)
  })

  test('takes a damaged blob out of service, and a push repairs it', async () => {
    const { client } = registry
    const bytes = someBytes(200_000, 7)
    const blob = await client.pushBlob('far/app', bytes)
    remote.server.put(`blobs/${blob.digest}`, bytes.subarray(0, 100))
    expect((await client.get(`/v2/far/app/blobs/${blob.digest}`)).status).toBe(404)
    expect(remote.server.keys('quarantine/')).toContain(`quarantine/${blob.digest}`)
    await client.pushBlob('far/app', bytes)
    expectBytes((await client.get(`/v2/far/app/blobs/${blob.digest}`)).body, bytes)
  })

  test('collects to the trash, and restores from it', async () => {
    const { client } = registry
    const bytes = someBytes(300_000, 9)
    const image = await pushImageWith('far/gone', 'v1', bytes)
    const key = image.layer.digest
    const manifest = `/v2/far/gone/manifests/${image.digest}`
    expect((await client.delete(manifest)).status).toBe(202)
    await collect(client)
    expect(remote.server.get(`blobs/${key}`)).toBeUndefined()
    expectBytes(remote.server.get(`trash/${key}`), bytes)
    await adminJson(client, 'POST', '/admin/undelete', { repository: 'far/gone', tag: 'v1' })
    expect(remote.server.get(`trash/${key}`)).toBeUndefined()
    expectBytes((await client.get(`/v2/far/gone/blobs/${key}`)).body, bytes)
  })

  test('fills a mirror, and answers from what it filled', async () => {
    const bytes = someBytes(500_000, 11)
    const blob = await upstream.client.pushBlob('team/app', bytes)
    const path = `/v2/hub/team/app/blobs/${blob.digest}`
    expectBytes((await registry.client.get(path)).body, bytes)
    await expect.poll(() => remote.server.get(`blobs/${blob.digest}`)?.equals(bytes)).toBe(true)
    const again = await registry.client.get(path, { Range: 'bytes=10-19' })
    expectBytes(again.body, bytes.subarray(10, 20))
  })

  test('leaves no byte of a blob in a file', async () => {
    expect(await localFiles()).toEqual([])
    expect(remote.server.requests).toMatchObject({ PUT: expect.any(Number) })
  })
})

describe('threads on a slow store of objects', () => {
  test('sweep and purge what no manifest needs', async () => {
    const far = await openSlowRemote(3)
    const store = await openTemporaryStorage({ openDriver: () => far.driver })
    const { storage } = store
    const garbage = await putBlob({ storage, quarantined: [] }, Buffer.from('gone'), 'elsewhere')
    far.server.put(`blobs/${garbage}`, Buffer.from('gone'))
    const clock = new SteppingClock()
    clock.offsetMs = 1_000
    const job = await collectorOn(storage, clock).run()
    expect(job).toMatchObject({ state: 'done', counts: { 'removed-blob': 1 } })
    expect(far.server.keys('')).toEqual([])
    expect(storage.metadata.count('trash')).toBe(0)
    await store.close()
  })

  test('adopt what has no row, and take out what has no object', async () => {
    const far = await openSlowRemote(2)
    const store = await openTemporaryStorage({ openDriver: () => far.driver })
    const { storage } = store
    const { metadata, setup } = storage
    const put = (text: string, name = digestOfText(text)) => {
      far.server.put(`blobs/${name}`, Buffer.from(text))
      return name
    }
    const kept = await putBlob({ storage, quarantined: [] }, Buffer.from('kept'), 'elsewhere')
    put('kept')
    const lost = await putBlob({ storage, quarantined: [] }, Buffer.from('lost'), 'elsewhere')
    const orphans = Array.from({ length: 20 }, (_, index) => put(`orphan ${index}`))
    const wrong = put('wrong', digestOfText('right'))
    far.server.put('blobs/no digest', Buffer.from('x'))
    far.server.put('uploads/stray', Buffer.from('x'))
    far.catchUp()
    const decisions = new ReconcileDecisions({
      ...storage,
      sessions: { whenIdle: (_id, work) => work(async () => undefined) },
      clock: systemClock,
      startedAt: Number.POSITIVE_INFINITY,
      log: { info: () => undefined, warn: () => undefined },
    })
    const walk = { setup, checksUploads: true, blobsSince: 0, checksRows: true, isPaced: false }
    await runWalk(walk, decisions)
    expect(decisions.counts).toEqual({
      adopted: 20,
      trashed: 1,
      missing: 1,
      sessionsDropped: 0,
      uploadsRemoved: 1,
      foreign: 1,
      unreadable: 0,
    })
    for (const name of [kept, ...orphans]) expect(metadata.get('blobs', name)).toBeDefined()
    expect(metadata.get('blobs', lost)).toBeUndefined()
    expect(metadata.get('links', [REPOSITORY, lost])).toBeDefined()
    expect(far.server.get(`quarantine/${wrong}`)).toBeDefined()
    expect(far.server.keys('uploads/')).toEqual([])

    far.server.put(`blobs/${kept}`, Buffer.from('rots'))
    const { quarantine } = storage
    const scrub = new Scrub({ setup, metadata, quarantine, clock: systemClock })
    const report = await scrub.run(0, true)
    expect(report).toMatchObject({ entries: 21, isComplete: true, damaged: [{ digest: kept }] })
    expect(metadata.get('blobs', kept)).toBeUndefined()
    await store.close()
  })
})
