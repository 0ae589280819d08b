/**
 * @module A disk that is really full: a small tmpfs holds the storage. Skipped, loudly, where it
 * cannot be mounted.
 */
import { spawnSync } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { RegistryClient } from '../support/registry-client.ts'
import { startRegistry } from '../support/start-registry.ts'

const MiB = 1024 * 1024

async function mountSmallDisk(sizeMiB: number): Promise<string | undefined> {
  const folder = await mkdtemp(join(tmpdir(), 'fastregistry-small-'))
  const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${sizeMiB}m`, 'tmpfs', folder])
  onTestFinished(async () => {
    if (mounted.status === 0) spawnSync('umount', [folder])
    await rm(folder, { recursive: true, force: true })
  })
  return mounted.status === 0 ? folder : undefined
}

async function startOn(storage: string, reserveMb: number) {
  const registry = await startRegistry({ storage, config: { storage: { reserve_mb: reserveMb } } })
  onTestFinished(async () => {
    await registry.stop()
  })
  const client = new RegistryClient(registry.port)
  const push = async (body: Buffer) => {
    const digest = `sha256:${createHash('sha256').update(body).digest('hex')}`
    const answer = await client.request('POST', `/v2/d/a/blobs/uploads/?digest=${digest}`, { body })
    return { digest, answer }
  }
  return { registry, client, push }
}

test('a disk that runs full refuses pushes with 507, serves pulls, and recovers', async (context) => {
  const folder = await mountSmallDisk(64)
  if (folder === undefined) {
    console.log('SKIPPED: a full disk: tmpfs cannot be mounted here')
    return context.skip('tmpfs cannot be mounted here')
  }
  const { registry, client, push } = await startOn(folder, 0)
  const kept: { digest: string; body: Buffer }[] = []
  let refused: Awaited<ReturnType<typeof push>>['answer'] | undefined
  for (let count = 0; count < 40 && refused === undefined; count += 1) {
    const body = randomBytes(4 * MiB)
    const { digest, answer } = await push(body)
    if (answer.status === 201) kept.push({ digest, body })
    else refused = answer
  }
  expect(refused).toMatchObject({ status: 507 })
  expect(kept.length).toBeGreaterThan(5)
  // The first after the disk is full: metadata commits may fail too, and say so.
  const small = await push(randomBytes(1000))
  expect([201, 507]).toContain(small.answer.status)
  for (const { digest, body } of kept) {
    const read = await client.request('GET', `/v2/d/a/blobs/${digest}`)
    expect(read.body.equals(body)).toBe(true)
  }
  expect(await readdir(join(folder, 'uploads'))).toEqual([])
  expect(registry.pid).toBeGreaterThan(0)
  spawnSync('mount', ['-o', 'remount,size=128m', folder])
  expect((await push(randomBytes(4 * MiB))).answer.status).toBe(201)
})

test('below the reserve pushes are refused before the disk is full', async (context) => {
  const folder = await mountSmallDisk(64)
  if (folder === undefined) return context.skip('tmpfs cannot be mounted here')
  const { client, push } = await startOn(folder, 16)
  const { digest } = await push(randomBytes(MiB))
  await writeFile(join(folder, 'ballast'), randomBytes(50 * MiB))
  let status = 0
  for (let attempt = 0; status !== 507 && attempt < 100; attempt += 1) {
    status = (await push(randomBytes(1000))).answer.status
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  expect(status).toBe(507)
  expect((await client.request('GET', `/v2/d/a/blobs/${digest}`)).status).toBe(200)
  const status507 = await client.request('GET', '/admin/status')
  expect(status507.json).toMatchObject({ takesPushes: false })
  await rm(join(folder, 'ballast'))
  for (let attempt = 0; status !== 201 && attempt < 100; attempt += 1) {
    status = (await push(randomBytes(1000))).answer.status
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  expect(status).toBe(201)
})
