/**
 * @module Collection through the front door: what goes, what stays, what a plan says, that applying
 * it does exactly that.
 */
import { expect, test } from 'vitest'
import { mediaTypes } from '../../../src/registry/media-type.ts'
import { describeRegistry, type InProcessRegistry } from '../../support/in-process.ts'
import {
  imageIndex,
  imageManifest,
  type RegistryClient,
  sha256,
} from '../../support/registry-client.ts'

interface Job {
  readonly id: string
  readonly state: string
  readonly message?: string
  readonly counts: Readonly<Record<string, number>>
}

interface Run {
  readonly message: string
  readonly job: Job
  readonly plan: string
}

async function post(registry: InProcessRegistry, target: string, body: object = {}) {
  return registry.client.request('POST', target, {
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify(body),
  })
}

async function collect(registry: InProcessRegistry, body: object = {}): Promise<Run> {
  const answer = await post(registry, '/admin/gc', { wait: true, ...body })
  expect(answer.status, answer.text).toBe(200)
  const run = answer.json as Run
  expect(run.job.state, run.job.message).toBe('done')
  return run
}

/** An image of its own config and layer; its digest. */
async function pushImage(client: RegistryClient, repository: string, tag: string, seed: string) {
  const config = await client.pushBlob(repository, `{"seed":"${seed}"}`)
  const layer = await client.pushBlob(repository, `layer ${seed} `.repeat(10_000))
  const body = JSON.stringify(imageManifest(config, [layer]))
  const answer = await client.putManifest(repository, tag, body, {
    'Content-Type': mediaTypes.ociManifest,
  })
  expect(answer.status, answer.text).toBe(201)
  return { digest: sha256(body), config, layer, size: Buffer.byteLength(body) }
}

const config = { storage: { gc: { grace: '0s', undelete_window: '0s', keep_recent: 10 } } }

describeRegistry('collection without grace', { config }, (registry) => {
  test('an image without a tag goes, with what only it used', async () => {
    const { client } = registry()
    const gone = await pushImage(client, 'team/a', 'v1', 'gone')
    const kept = await pushImage(client, 'team/a', 'v2', 'kept')
    const paths = [gone.digest, gone.config.digest, gone.layer.digest].map((digest, index) => {
      return `/v2/team/a/${index === 0 ? 'manifests' : 'blobs'}/${digest}`
    })
    expect((await client.delete('/v2/team/a/manifests/v1')).status).toBe(202)
    // Asked for again and again, so that answers to them are prepared: those go with what they show.
    for (const path of [...paths, ...paths]) expect((await client.get(path)).status).toBe(200)
    const { message, job } = await collect(registry())
    for (const path of paths) expect((await client.get(path)).status).toBe(404)
    expect(message).toBe('GC triggered')
    expect(job.counts).toMatchObject({
      'removed-manifest': 1,
      'removed-link': 2,
      'removed-blob': 2,
    })
    expect((await client.get(`/v2/team/a/manifests/${gone.digest}`)).status).toBe(404)
    expect((await client.get(`/v2/team/a/blobs/${gone.layer.digest}`)).status).toBe(404)
    expect((await client.get(`/v2/team/a/manifests/v2`)).status).toBe(200)
    expect((await client.get(`/v2/team/a/blobs/${kept.layer.digest}`)).status).toBe(200)
    expect(await registry().blobFiles()).toEqual([kept.layer.digest.slice(7)])
  })

  test('what is gone can be pushed again', async () => {
    const { client } = registry()
    await pushImage(client, 'team/a', 'v1', 'gone')
    await collect(registry())
    const answer = await client.get('/v2/team/a/manifests/v1')
    expect(answer.status).toBe(200)
  })

  test('a second run finds nothing', async () => {
    const { job } = await collect(registry())
    expect(job.counts['removed-blob'] ?? 0).toBe(0)
    expect(job.counts['removed-manifest'] ?? 0).toBe(0)
  })

  test('children of an index, referrers and their blobs stay with their subject', async () => {
    const { client } = registry()
    const child = await pushImage(client, 'team/index', 'child', 'child')
    const index = JSON.stringify(
      imageIndex([{ mediaType: mediaTypes.ociManifest, digest: child.digest, size: child.size }]),
    )
    await client.putManifest('team/index', 'multi', index, { 'Content-Type': mediaTypes.ociIndex })
    await client.delete('/v2/team/index/manifests/child')
    const subject = { mediaType: mediaTypes.ociManifest, digest: child.digest, size: child.size }
    const signature = await client.pushImage('team/index', undefined, { subject })
    const payload = await client.pushBlob('team/index', 'payload')
    const mediaType = 'application/vnd.dev.cosign.simplesigning.v1+json'
    const oldBody = JSON.stringify(
      imageManifest(await client.pushBlob('team/index', '{}'), [{ ...payload, mediaType }]),
    )
    const oldTag = `sha256-${child.digest.slice(7)}.sig`
    await client.putManifest('team/index', oldTag, oldBody, {
      'Content-Type': mediaTypes.ociManifest,
    })
    const old = { digest: sha256(oldBody) }
    await collect(registry())
    for (const { digest } of [child, signature, old]) {
      expect((await client.get(`/v2/team/index/manifests/${digest}`)).status).toBe(200)
    }
    await client.delete('/v2/team/index/manifests/multi')
    const { job } = await collect(registry())
    expect(job.counts).toMatchObject({ 'removed-manifest': 4, 'removed-tag': 1 })
    const tags = (await client.get('/v2/team/index/tags/list')).json as { tags: string[] }
    expect(tags.tags).toEqual([])
  })

  test('a blob that another repository uses stays there', async () => {
    const { client } = registry()
    const image = await pushImage(client, 'team/source', 'v1', 'shared')
    const mounted = await client.request(
      'POST',
      `/v2/team/target/blobs/uploads/?mount=${image.layer.digest}&from=team/source`,
    )
    expect(mounted.status).toBe(201)
    await client.delete(`/v2/team/source/manifests/${image.digest}`)
    await client.pushBlob('team/target', '{}')
    const body = JSON.stringify(
      imageManifest(await client.pushBlob('team/target', '{}'), [image.layer]),
    )
    const type = { 'Content-Type': mediaTypes.ociManifest }
    expect((await client.putManifest('team/target', 'v1', body, type)).status).toBe(201)
    await collect(registry())
    expect((await client.get(`/v2/team/source/blobs/${image.layer.digest}`)).status).toBe(404)
    expect((await client.get(`/v2/team/target/blobs/${image.layer.digest}`)).status).toBe(200)
  })

  test('tags beyond keep_recent wait for a first yes; then every run removes them', async () => {
    const { client } = registry()
    for (let number = 0; number < 13; number += 1) {
      await pushImage(client, 'team/many', `v${number}`, `many ${number}`)
    }
    const held = await collect(registry())
    expect(held.job.counts['heldTags']).toBe(3)
    expect(held.job.message).toContain('3 tags wait for a first yes')
    const list = async () => {
      const { tags } = (await client.get('/v2/team/many/tags/list')).json as { tags: string[] }
      return tags.length
    }
    expect(await list()).toBe(13)
    const dry = await collect(registry(), { dryRun: true })
    expect(await list()).toBe(13)
    const { items } = (await client.get(`/admin/gc/plans/${dry.plan}/items?limit=1000`)).json as {
      items: { kind: string; tag?: string; rule: string; reason: string }[]
    }
    expect(items.filter(({ kind }) => kind === 'tag').map(({ tag }) => tag)).toEqual([
      'v0',
      'v1',
      'v2',
    ])
    expect(items[0]).toMatchObject({ rule: 'keep_recent', reason: 'not one of the newest 10 tags' })
    const applied = await post(registry(), `/admin/gc/plans/${dry.plan}/apply`, { wait: true })
    expect((applied.json as Run).job).toMatchObject({
      state: 'done',
      counts: { 'removed-tag': 3, 'removed-manifest': 3 },
    })
    expect(await list()).toBe(10)
    await pushImage(client, 'team/many', 'v13', 'many 13')
    await collect(registry())
    expect(await list()).toBe(10)
  })

  test('a plan is applied once, and skips what changed', async () => {
    const { client } = registry()
    const image = await pushImage(client, 'team/changing', 'v1', 'changing')
    await client.delete('/v2/team/changing/manifests/v1')
    const { plan } = await collect(registry(), { dryRun: true })
    await pushImage(client, 'team/changing', 'back', 'changing')
    const applied = await post(registry(), `/admin/gc/plans/${plan}/apply`, { wait: true })
    expect((applied.json as Run).job.counts['removed-skipped']).toBeGreaterThan(0)
    expect((await client.get(`/v2/team/changing/manifests/${image.digest}`)).status).toBe(200)
    expect((await client.get(`/v2/team/changing/blobs/${image.layer.digest}`)).status).toBe(200)
    const twice = await post(registry(), `/admin/gc/plans/${plan}/apply`)
    expect(twice.status).toBe(409)
    expect((await post(registry(), '/admin/gc/plans/none/apply')).status).toBe(404)
  })
  test('none of it was a fault of ours', () => {
    expect(registry().faults).toEqual([])
  })
})

describeRegistry('collection within the grace time', { config: {} }, (registry) => {
  test('takes nothing that is young', async () => {
    const { client } = registry()
    const image = await pushImage(client, 'team/a', 'v1', 'young')
    await client.delete(`/v2/team/a/manifests/v1`)
    await client.pushBlob('team/a', 'pushed and never used')
    const { job } = await collect(registry())
    expect(job.counts['removed-manifest']).toBeUndefined()
    expect((await client.get(`/v2/team/a/manifests/${image.digest}`)).status).toBe(200)
  })
})
