/**
 * @module Pulls beside everything that changes what they rest on: after a change was acknowledged, no answer is as
 * it was before.
 */
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { adminJson } from '../../support/admin.ts'
import { attach, bundleManifest } from '../../support/attach-signatures.ts'
import { image, named, put } from '../../support/attached.ts'
import { describeRegistry } from '../../support/in-process.ts'
import { imageIndex, type RegistryClient } from '../../support/registry-client.ts'
import { makeSigner, signedBundle, simpleSigning } from '../../support/signing.ts'

const release = makeSigner()
const folder = mkdtempSync(join(tmpdir(), 'fastregistry-races-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
const keyFile = join(folder, 'release.pub')
writeFileSync(keyFile, release.pem)
const config = {
  signing: {
    keys: [{ name: 'release', path: keyFile }],
    policies: [
      {
        name: 'prod',
        repositories: ['prod/**'],
        mode: 'enforce',
        gates: ['pull'],
        require: [{ signature: { by: [{ key: 'release' }] } }],
      },
    ],
  },
}

const rounds = 25
const pullersAtOnce = 6

/** Pulls all the time while `work` runs. */
async function besidePulls(
  client: RegistryClient,
  paths: readonly string[],
  work: () => Promise<void>,
): Promise<Set<number>> {
  const seen = new Set<number>()
  let isDone = false
  const pullers = Array.from({ length: pullersAtOnce }, async (_, at) => {
    while (!isDone) seen.add((await client.get(paths[at % paths.length]!)).status)
  })
  try {
    await work()
  } finally {
    isDone = true
    await Promise.all(pullers)
  }
  return seen
}

describeRegistry('pulls', { config }, (registry) => {
  const path = (reference: string) => `/v2/prod/app/manifests/${reference}`
  const expectPulls = async (references: readonly string[], status: number, round: number) => {
    for (const reference of references) {
      const answer = await registry().client.get(path(reference))
      expect(answer.status, `${reference}, round ${round}`).toBe(status)
    }
  }

  test('beside signatures that come and go', async () => {
    const { client } = registry()
    const member = await image(client, 'prod/app', 'races')
    const index = await put(client, 'prod/app', imageIndex([member]), 'v1')
    const all = ['v1', index.digest, member.digest]
    const seen = await besidePulls(client, all.map(path), async () => {
      for (let round = 0; round < rounds; round += 1) {
        const tag = `${named(index.digest)}.sig`
        await attach(client, 'prod/app', [simpleSigning(release, index.digest)], { tag })
        await expectPulls(all, 200, round)
        await client.delete(path(tag))
        await expectPulls(all, 403, round)
        const bundle = await attach(client, 'prod/app', [signedBundle(release, index.digest)], {
          subject: index,
          artifactType: bundleManifest,
        })
        await expectPulls(all, 200, round)
        await client.delete(path(bundle.digest))
        await expectPulls(all, 403, round)
      }
    })
    expect([...seen].sort()).toEqual([200, 403])
  })

  test('beside a tag that moves between what is signed and what is not', async () => {
    const { client } = registry()
    const good = await image(client, 'prod/app', 'good', 'moving')
    const tag = `${named(good.digest)}.sig`
    await attach(client, 'prod/app', [simpleSigning(release, good.digest)], { tag })
    await besidePulls(client, [path('moving')], async () => {
      for (let round = 0; round < rounds; round += 1) {
        await image(client, 'prod/app', `bad ${round}`, 'moving')
        await expectPulls(['moving'], 403, round)
        await image(client, 'prod/app', 'good', 'moving')
        await expectPulls(['moving'], 200, round)
      }
    })
  })

  test('beside a digest that is revoked and allowed', async () => {
    const { client } = registry()
    const member = await image(client, 'prod/app', 'killed')
    const index = await put(client, 'prod/app', imageIndex([member]), 'killed')
    const tag = `${named(index.digest)}.sig`
    await attach(client, 'prod/app', [simpleSigning(release, index.digest)], { tag })
    const all = ['killed', index.digest, member.digest]
    await besidePulls(client, all.map(path), async () => {
      for (let round = 0; round < rounds; round += 1) {
        await adminJson(client, 'POST', '/admin/signatures/revoke', { digest: index.digest })
        await expectPulls(all, 403, round)
        await adminJson(client, 'DELETE', `/admin/signatures/revoke/${index.digest}`)
        await expectPulls(all, 200, round)
      }
    })
  })

  test('beside a key that is replaced', async () => {
    const { client } = registry()
    const app = await image(client, 'prod/app', 'key', 'key')
    const tag = `${named(app.digest)}.sig`
    await attach(client, 'prod/app', [simpleSigning(release, app.digest)], { tag })
    await expectPulls(['key'], 200, 0)
    const replace = (pem: string) => {
      writeFileSync(`${keyFile}.new`, pem)
      renameSync(`${keyFile}.new`, keyFile)
    }
    await besidePulls(client, [path('key')], async () => {
      replace(makeSigner().pem)
      const status = async () => (await client.get(path('key'))).status
      await expect.poll(status, { timeout: 5_000 }).toBe(403)
      for (let round = 0; round < rounds; round += 1) await expectPulls(['key'], 403, round)
      replace(release.pem)
      await expect.poll(status, { timeout: 5_000 }).toBe(200)
    })
  })

  test('a recheck finds what is tagged, and waits for nobody', async () => {
    const { client } = registry()
    const { job } = await adminJson<{ job: { state: string; counts: Record<string, number> } }>(
      client,
      'POST',
      '/admin/signatures/recheck',
      { wait: true },
    )
    expect(job).toMatchObject({ state: 'done', counts: { failed: 0 } })
    expect(job.counts['verified']).toBeGreaterThan(0)
    expect(job.counts['notVerified']).toBeGreaterThan(0)
    await expectPulls(['moving', 'key'], 200, 0)
    const elsewhere = await adminJson<{ job: object }>(
      client,
      'POST',
      '/admin/signatures/recheck',
      { repository: 'dev/app', wait: true },
    )
    expect(elsewhere.job).toMatchObject({ counts: { images: 0 } })
  })
})
