/**
 * @module The admin API through the front door: undelete, copies, whole repositories, lists, pins,
 * history, explanations, expiry and protection.
 */
import { get } from 'node:http'
import { expect, test } from 'vitest'
import { mediaTypes } from '../../../src/registry/media-type.ts'
import { admin, adminJson, collect, pushOwnImage, type Run } from '../../support/admin.ts'
import { describeRegistry } from '../../support/in-process.ts'
import { imageIndex } from '../../support/registry-client.ts'

const config = {
  storage: {
    gc: { grace: '0s', undelete_window: '1h', keep_recent: 0 },
    immutable_tags: [{ repositories: ['prod/**'], tags: ['v*'] }],
    expiry: [{ repositories: ['ci/**'], tags: ['pr-*'], after: '1ms' }],
  },
}

describeRegistry('the admin API', { config }, (registry) => {
  const status = async (target: string) => (await registry().client.get(target)).status

  test('a deleted image comes back after its blobs were swept', async () => {
    const { client } = registry()
    const image = await pushOwnImage(client, 'undo/app', 'v1', 'undo')
    const index = JSON.stringify(imageIndex([image]))
    await client.putManifest('undo/app', 'multi', index, { 'Content-Type': mediaTypes.ociIndex })
    const signature = await client.pushImage('undo/app', undefined, {
      subject: { mediaType: image.mediaType, digest: image.digest, size: image.size },
    })
    await client.delete('/v2/undo/app/manifests/v1')
    await client.delete('/v2/undo/app/manifests/multi')
    const { job } = await collect(client)
    expect(job.counts).toMatchObject({ 'removed-manifest': 3 })
    expect(job.counts['removed-blob']).toBeGreaterThanOrEqual(2)
    expect(await status(`/v2/undo/app/blobs/${image.layer.digest}`)).toBe(404)
    expect(await registry().blobFiles()).not.toContain(image.layer.digest.slice(7))
    const { deleted } = await adminJson<{ deleted: { kind: string; tag?: string }[] }>(
      client,
      'GET',
      '/admin/repositories/undo/app/deleted',
    )
    expect(deleted.filter(({ kind }) => kind === 'tag').map(({ tag }) => tag)).toEqual([
      'multi',
      'v1',
    ])
    const body = { repository: 'undo/app', tag: 'multi' }
    const restored = await adminJson<{ tags: string[]; blobs: string[] }>(
      client,
      'POST',
      '/admin/undelete',
      body,
    )
    expect(restored.tags).toEqual(['multi'])
    expect(restored.blobs).toContain(image.layer.digest)
    const layer = await client.get(`/v2/undo/app/blobs/${image.layer.digest}`)
    expect(layer.text).toBe('layer undo '.repeat(10_000))
    expect(await status(`/v2/undo/app/manifests/${image.digest}`)).toBe(200)
    expect(await status(`/v2/undo/app/manifests/${signature.digest}`)).toBe(200)
    expect((await admin(client, 'POST', '/admin/undelete', { ...body, tag: 'none' })).status).toBe(
      404,
    )
    const again = await collect(client)
    expect(again.job.counts['removed-manifest'] ?? 0).toBe(0)
    expect(await status(`/v2/undo/app/blobs/${image.layer.digest}`)).toBe(200)
  })

  test('an overwritten tag goes back to what it was, and its history says who moved it', async () => {
    const { client } = registry()
    const first = await pushOwnImage(client, 'undo/moved', 'latest', 'first')
    const second = await pushOwnImage(client, 'undo/moved', 'latest', 'second')
    const history = await adminJson<{ digest: string; previous: { digest: string; by: string }[] }>(
      client,
      'GET',
      '/admin/repositories/undo/moved/tags/latest',
    )
    expect(history.digest).toBe(second.digest)
    expect(history.previous).toMatchObject([{ digest: first.digest, by: '127.0.0.1' }])
    await collect(client)
    const body = { repository: 'undo/moved', tag: 'latest', digest: first.digest }
    await adminJson(client, 'POST', '/admin/undelete', body)
    const answer = await client.get('/v2/undo/moved/manifests/latest')
    expect(answer.text).toBe(first.body)
  })

  test('an image is copied whole, with its signature, and the tag at the end', async () => {
    const { client } = registry()
    const image = await pushOwnImage(client, 'stage/app', 'v1', 'copied')
    const index = JSON.stringify(imageIndex([image]))
    await client.putManifest('stage/app', 'multi', index, { 'Content-Type': mediaTypes.ociIndex })
    const copied = await adminJson<{ digest: string; manifests: number }>(
      client,
      'POST',
      '/admin/copy',
      {
        from: { repository: 'stage/app', reference: 'multi' },
        to: { repository: 'release/app', tag: 'r1' },
      },
    )
    expect(copied.manifests).toBe(2)
    expect((await client.get('/v2/release/app/manifests/r1')).text).toBe(index)
    expect(await status(`/v2/release/app/blobs/${image.layer.digest}`)).toBe(200)
    const missing = { repository: 'stage/app', reference: 'none' }
    const refused = await admin(client, 'POST', '/admin/copy', {
      from: missing,
      to: { repository: 'release/app' },
    })
    expect(refused.status).toBe(404)
    const users = await adminJson<{ repositories: { repository: string }[] }>(
      client,
      'GET',
      `/admin/blobs/${image.layer.digest}`,
    )
    expect(users.repositories.map(({ repository }) => repository)).toEqual([
      'release/app',
      'stage/app',
    ])
  })

  test('a repository is renamed and deleted, and comes back', async () => {
    const { client } = registry()
    const image = await pushOwnImage(client, 'old/name', 'v1', 'renamed')
    const renamed = await adminJson<Run>(client, 'POST', '/admin/repositories/old/name/rename', {
      to: 'new/name',
      wait: true,
    })
    expect(renamed.job.state).toBe('done')
    expect(await status('/v2/old/name/tags/list')).toBe(404)
    expect((await client.get('/v2/new/name/manifests/v1')).text).toBe(image.body)
    const gone = await adminJson<{ message: string; repo: string; job: { state: string } }>(
      client,
      'DELETE',
      '/admin/repositories/new/name',
      { wait: true },
    )
    expect(gone).toMatchObject({ repo: 'new/name', job: { state: 'done' } })
    expect(gone.message).toBe('repository deleted from metadata (blobs retained)')
    expect(await status('/v2/new/name/tags/list')).toBe(404)
    await collect(client)
    await adminJson(client, 'POST', '/admin/undelete', { repository: 'new/name', tag: 'v1' })
    expect((await client.get('/v2/new/name/manifests/v1')).text).toBe(image.body)
    expect(await status(`/v2/new/name/blobs/${image.layer.digest}`)).toBe(200)
  })

  test('tags are sorted by time and size, a page at a time', async () => {
    const { client } = registry()
    for (const tag of ['c', 'a', 'b'])
      await pushOwnImage(client, 'list/app', tag, `${tag}`.repeat(tag.charCodeAt(0)))
    const names = async (query: string) => {
      const { tags, next } = await adminJson<{ tags: { tag: string }[]; next?: string }>(
        client,
        'GET',
        `/admin/repositories/list/app/tags?${query}`,
      )
      return { names: tags.map(({ tag }) => tag).join(''), next }
    }
    expect((await names('sort=name')).names).toBe('abc')
    expect((await names('sort=-pushed')).names).toBe('bac')
    expect((await names('sort=-size')).names).toBe('cba')
    const first = await names('sort=-size&limit=2')
    expect(first.names).toBe('cb')
    expect((await names(`sort=-size&limit=2&after=${encodeURIComponent(first.next!)}`)).names).toBe(
      'a',
    )
    expect((await names('sort=-size&offset=1&limit=1')).names).toBe('b')
    const labels = { 'quay.expires-after': '2d' }
    const ends = await pushOwnImage(client, 'list/rows', 'v1.10', 'rows', { labels })
    await pushOwnImage(client, 'list/rows', 'v1.9', 'rows of another')
    const index = {
      schemaVersion: 2,
      mediaType: mediaTypes.ociIndex,
      manifests: [{ mediaType: ends.mediaType, digest: ends.digest, size: ends.size }].flatMap(
        (it) => [
          { ...it, platform: { os: 'linux', architecture: 'arm64', variant: 'v8' } },
          { ...it, platform: { os: 'unknown', architecture: 'unknown' } },
        ],
      ),
    }
    expect((await client.putManifest('list/rows', 'multi', index)).status).toBe(201)
    await adminJson(client, 'PUT', `/admin/pins/${ends.digest}/kept`, { repository: 'list/rows' })
    const path = '/admin/repositories/list/rows/tags'
    const rows = await adminJson<{ tags: Record<string, unknown>[]; total: number }>(
      client,
      'GET',
      `${path}?include=platforms`,
    )
    expect(rows.total).toBe(3)
    expect(rows.tags.map(({ tag, pinned, platforms }) => [tag, pinned, platforms])).toEqual([
      ['multi', false, ['linux/arm64/v8']],
      ['v1.9', false, ['linux/amd64']],
      ['v1.10', true, ['linux/amd64']],
    ])
    const { pushedAt, expiresAt, by } = rows.tags[2] as Record<string, string>
    expect(Date.parse(expiresAt!) - Date.parse(pushedAt!)).toBe(2 * 86_400_000)
    expect(by).toBe('127.0.0.1')
    const ofDigest = await adminJson(client, 'GET', `${path}?digest=${ends.digest}`)
    expect(ofDigest).toMatchObject({ tags: [{ tag: 'v1.10' }], total: 1 })
    for (const query of [
      'q={a',
      'offset=-1',
      'offset=12345678',
      'include=all',
      `digest=${ends.digest}&sort=pushed`,
      'digest=x',
    ]) {
      expect((await client.get(`${path}?${query}`)).status, query).toBe(400)
    }
    const image = await adminJson<{ platform: object; layers: object[]; tags: string[] }>(
      client,
      'GET',
      '/admin/repositories/list/app/manifests/a',
    )
    expect(image).toMatchObject({ platform: { os: 'linux', architecture: 'amd64' }, tags: ['a'] })
    const repository = await adminJson<{ tags: number; logicalBytes: number }>(
      client,
      'GET',
      '/admin/repositories/list/app',
    )
    expect(repository.tags).toBe(3)
    expect(repository.logicalBytes).toBeGreaterThan(300_000)
    const use = await adminJson<{ physicalBytes: number; savedBytes: number }>(
      client,
      'GET',
      '/admin/usage',
    )
    expect(use.physicalBytes).toBeGreaterThan(0)
  })

  test('an immutable tag takes the same digest, refuses others and deletes', async () => {
    const { client } = registry()
    const image = await pushOwnImage(client, 'prod/app', 'v1', 'immutable')
    await pushOwnImage(client, 'prod/app', 'v1', 'immutable')
    const other = await client.pushImage('prod/app', undefined)
    const body = (await client.get(`/v2/prod/app/manifests/${other.digest}`)).text
    const refused = await client.putManifest('prod/app', 'v1', body, {
      'Content-Type': mediaTypes.ociManifest,
    })
    expect(refused.status).toBe(409)
    expect(refused.json).toMatchObject({ errors: [{ detail: { current: image.digest } }] })
    expect((await client.delete('/v2/prod/app/manifests/v1')).status).toBe(409)
    expect((await client.delete(`/v2/prod/app/manifests/${image.digest}`)).status).toBe(409)
    expect((await admin(client, 'DELETE', '/admin/repositories/prod/app')).status).toBe(409)
  })

  test('a pinned digest stays without a tag, until the pin goes', async () => {
    const { client } = registry()
    const image = await pushOwnImage(client, 'pin/app', 'v1', 'pinned')
    await adminJson(client, 'PUT', `/admin/pins/${image.digest}/deploy`, { note: 'is deployed' })
    expect((await client.delete(`/v2/pin/app/manifests/${image.digest}`)).status).toBe(409)
    await client.delete('/v2/pin/app/manifests/v1')
    await collect(client)
    expect(await status(`/v2/pin/app/manifests/${image.digest}`)).toBe(200)
    await adminJson(client, 'DELETE', `/admin/pins/${image.digest}/deploy`)
    await collect(client)
    expect(await status(`/v2/pin/app/manifests/${image.digest}`)).toBe(404)
  })

  test('images go when they said so, and tags when a rule does; explain says which', async () => {
    const { client } = registry()
    await pushOwnImage(client, 'short/app', 'soon', 'soon', {
      labels: { 'quay.expires-after': '0s' },
    })
    await pushOwnImage(client, 'short/app', 'later', 'later', {
      manifest: { annotations: { 'org.fastregistry.expires-after': '2h' } },
    })
    await pushOwnImage(client, 'ci/app', 'pr-1', 'pr')
    await pushOwnImage(client, 'ci/app', 'main', 'main')
    type Explained = { verdicts: { name: string; stays: boolean; rule: string; goesAt?: string }[] }
    const explained = await adminJson<Explained>(client, 'GET', '/admin/explain?of=short/app')
    const find = (name: string) => explained.verdicts.find((it) => it.name === name)
    expect(find('soon')).toMatchObject({ stays: false, rule: 'label' })
    expect(find('later')).toMatchObject({ stays: true, goesAt: expect.any(String) as string })
    await collect(client)
    const tags = async (name: string) =>
      ((await client.get(`/v2/${name}/tags/list`)).json as { tags: string[] }).tags
    expect(await tags('short/app')).toEqual(['later'])
    expect(await tags('ci/app')).toEqual(['main'])
  })

  test('repositories come by push, pull and size, page by page', async () => {
    const { client } = registry()
    await client.pushBlob('sort/large', 'x'.repeat(300_000))
    await pushOwnImage(client, 'sort/first', 'v1', 'sort 1')
    await pushOwnImage(client, 'sort/second', 'v1', 'sort 2')
    const list = async (sort: string) => {
      const names: string[] = []
      let after = ''
      do {
        const page = await adminJson<{ repositories: { name: string }[]; next?: string }>(
          client,
          'GET',
          `/admin/repositories?sort=${sort}&limit=2${after}`,
        )
        names.push(...page.repositories.map(({ name }) => name))
        after = page.next === undefined ? '' : `&after=${encodeURIComponent(page.next)}`
      } while (after !== '')
      return names.filter((name) => name.startsWith('sort/'))
    }
    expect(await list('-size')).toEqual(['sort/large', 'sort/second', 'sort/first'])
    expect(await list('-pushed')).toEqual(['sort/second', 'sort/first', 'sort/large'])
    expect((await list('pulled')).length).toBe(3)
    expect(await list('name')).toEqual(['sort/first', 'sort/large', 'sort/second'])
  })

  test('the history tells of blobs, mounts and plans, by digest and between two times', async () => {
    const { client } = registry()
    const blob = await client.pushBlob('told/from', 'told')
    await client.request('POST', `/v2/told/to/blobs/uploads/?mount=${blob.digest}&from=told/from`)
    const events = async (query: string) => {
      const target = `/admin/events?${query}`
      const page = await adminJson<{ events: Record<string, string>[] }>(client, 'GET', target)
      return page.events
    }
    expect(await events(`digest=${blob.digest}`)).toMatchObject([
      { action: 'push-blob', repository: 'told/from' },
      { action: 'mount', repository: 'told/to', from: 'told/from' },
    ])
    expect(await events(`digest=${blob.digest}&until=2020-01-01T00:00:00Z`)).toEqual([])
    expect((await events(`digest=${blob.digest}&since=2020-01-01T00:00:00Z`)).length).toBe(2)
    await collect(client)
    const applied = await events('action=plan-applied')
    expect(applied.at(-1)?.['why']).toMatch(/^plan \S+: \d+ items$/)
  })

  test('tags are deleted by pattern, after a plan', async () => {
    const { client } = registry()
    for (const tag of ['x-1', 'x-2', 'keep'])
      await pushOwnImage(client, 'bulk/app', tag, `bulk ${tag}`)
    const plan = await adminJson<{ id: string; counts: { tag: number } }>(
      client,
      'POST',
      '/admin/gc/plans',
      {
        repositories: ['bulk/**'],
        tags: ['x-*'],
      },
    )
    expect(plan.counts.tag).toBe(2)
    await adminJson(client, 'POST', `/admin/gc/plans/${plan.id}/apply`, { wait: true })
    const { tags } = (await client.get('/v2/bulk/app/tags/list')).json as { tags: string[] }
    expect(tags).toEqual(['keep'])
  })

  test('what happened can be read, and watched as it happens', async () => {
    const { client, port } = registry()
    const first = new Promise<string>((resolve, reject) => {
      const request = get({ host: '127.0.0.1', port, path: '/admin/events/stream' }, (response) => {
        let text = ''
        response.on('data', (chunk: Buffer) => {
          text += chunk.toString()
          if (
            !/event: push\n[^\n]*"repository":"seen\/app"/.test(text.replace(/id: [^\n]*\n/g, ''))
          )
            return
          resolve(text)
          request.destroy()
        })
        response.once('data', () => {
          pushOwnImage(client, 'seen/app', 'v1', 'seen').catch(reject)
        })
      })
      request.on('error', reject)
    })
    expect(await first).toContain('event: push')
    const { events } = await adminJson<{ events: { action: string; tag?: string; by: string }[] }>(
      client,
      'GET',
      '/admin/events?repository=seen/app&action=push',
    )
    expect(events).toMatchObject([{ action: 'push', tag: 'v1', by: '127.0.0.1' }])
  })

  test('a second collection while one runs is refused, and jobs can be looked at', async () => {
    const { client } = registry()
    const answers = await Promise.all(
      Array.from({ length: 4 }, () => admin(client, 'POST', '/admin/gc', { wait: true })),
    )
    expect(answers.map((it) => it.status).sort()).toEqual([200, 409, 409, 409])
    const { jobs } = await adminJson<{ jobs: { kind: string; state: string; id: string }[] }>(
      client,
      'GET',
      '/admin/jobs?newest=true&limit=1',
    )
    expect(jobs).toMatchObject([{ kind: 'gc', state: 'done' }])
    expect((await admin(client, 'POST', `/admin/jobs/${jobs[0]!.id}/cancel`)).status).toBe(409)
    expect((await admin(client, 'GET', '/admin/jobs/none')).status).toBe(404)
    expect((await admin(client, 'GET', '/admin/gc')).json).toMatchObject({ enabled: true })
  })

  test('GET changes nothing, and none of it was a fault of ours', async () => {
    const { client } = registry()
    expect((await client.get('/admin/copy')).status).toBe(405)
    expect(registry().faults).toEqual([])
  })
})
