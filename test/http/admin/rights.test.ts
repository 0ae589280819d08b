/**
 * @module The admin API for people who do not administer everything: each endpoint by the right that
 * its row names, lists without what the caller may not see, and answers that last no longer than the
 * credentials.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { basic, htpasswd } from '../../support/access.ts'
import { EventReader } from '../../support/event-stream.ts'
import { describeRegistry } from '../../support/in-process.ts'
import { type Answer, errorsOf, imageManifest, sha256 } from '../../support/registry-client.ts'

const folder = mkdtempSync(join(tmpdir(), 'fastregistry-rights-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
const users = { root: 'r', ann: 'a', ben: 'b', cat: 'c', nobody: 'n' }
const file = join(folder, 'htpasswd')
writeFileSync(file, htpasswd(users))

const config = {
  auth: { type: 'htpasswd', htpasswd_file: file, groups: { team: ['ann'], constructor: ['cat'] } },
  access: [
    { repositories: ['**'], users: ['root'], actions: ['pull', 'push', 'delete', 'list', 'admin'] },
    { repositories: ['team/**'], groups: ['team'], actions: ['pull', 'push', 'delete', 'list'] },
    { repositories: [`home/\${user}/**`], users: ['*'], actions: ['pull', 'push'] },
    { repositories: ['team/**'], users: ['ben'], actions: ['pull'] },
    { repositories: ['other/**'], groups: ['constructor'], actions: ['list', 'push'] },
    { repositories: ['public/**'], anonymous: true, actions: ['pull', 'list'] },
  ],
  storage: { gc: { enabled: false, grace: '0s' } },
  log: { access: false },
}
const as = Object.fromEntries(
  Object.entries(users).map(([name, password]) => [name, basic(name, password)]),
) as Record<keyof typeof users, Record<string, string>>
const nobody: Record<string, string> = {}

describeRegistry('rights in the admin API', { config, engines: ['uws'] }, (registry) => {
  const get = (path: string, headers: Record<string, string>) =>
    registry().client.get(path, headers)
  const send = (method: string, path: string, headers: Record<string, string>, body: object = {}) =>
    registry().client.request(method, path, {
      headers: { ...headers, 'Content-Type': 'application/json' },
      body: JSON.stringify(body),
    })
  let digest = ''

  const push = async (repository: string, tag: string, layer: string) => {
    const { client } = registry()
    const put = async (bytes: string) => {
      const started = `/v2/${repository}/blobs/uploads/?digest=${sha256(bytes)}`
      const answer = await client.request('POST', started, { headers: as.root, body: bytes })
      expect(answer.status).toBe(201)
      return { mediaType: 'application/x', digest: sha256(bytes), size: bytes.length }
    }
    const text = JSON.stringify(imageManifest(await put('{}'), [await put(layer)]))
    const headers = { ...as.root, 'Content-Type': 'application/vnd.oci.image.manifest.v1+json' }
    const target = `/v2/${repository}/manifests/${tag}`
    expect((await client.request('PUT', target, { headers, body: text })).status).toBe(201)
    return sha256(text)
  }

  beforeAll(async () => {
    digest = await push('team/app', 'v1', 'shared layer')
    await push('team/tool', 'v1', 'tool')
    await push('other/app', 'v1', 'shared layer')
    await push('public/app', 'v1', 'public')
  })

  const namesOf = (answer: Answer) =>
    (answer.json as { repositories: { name: string }[] }).repositories.map(({ name }) => name)

  test.each([
    ['root', ['other/app', 'public/app', 'team/app', 'team/tool']],
    ['ann', ['public/app', 'team/app', 'team/tool']],
    ['ben', ['public/app', 'team/app', 'team/tool']],
    ['cat', ['other/app', 'public/app']],
    ['nobody', ['public/app']],
    ['', ['public/app']],
  ] as const)('%s sees its repositories, in every order, with their number', async (name, seen) => {
    const headers = name === '' ? nobody : as[name]
    for (const sort of [
      'name',
      '-name',
      'pushed',
      '-pushed',
      'pulled',
      '-pulled',
      'size',
      '-size',
    ]) {
      const answer = await get(`/admin/repositories?sort=${sort}`, headers)
      expect(answer.status).toBe(200)
      expect(new Set(namesOf(answer))).toEqual(new Set(seen))
      expect(answer.json).toMatchObject({ total: seen.length })
      // A page at a time: what is left out takes no place.
      const paged: string[] = []
      let after = ''
      do {
        const page = await get(`/admin/repositories?sort=${sort}&limit=1${after}`, headers)
        paged.push(...namesOf(page))
        const { next } = page.json as { next?: string }
        after = next === undefined ? '' : `&after=${encodeURIComponent(next)}`
      } while (after !== '')
      expect(paged).toEqual(namesOf(answer))
    }
  })

  test.each([
    ['/admin/repositories/team/app', ['root', 'ann', 'ben']],
    ['/admin/repositories/team%2Fapp/tags', ['root', 'ann', 'ben']],
    ['/admin/repositories/team/app/tags/v1', ['root', 'ann', 'ben']],
    ['/admin/repositories/team/app/manifests/v1', ['root', 'ann', 'ben']],
    ['/admin/repositories/other/app/manifests/v1', ['root']],
    ['/admin/repositories/other/app/tags', ['root', 'cat']],
    ['/admin/repositories/team/app/deleted', ['root', 'ann', 'ben']],
    ['/admin/explain?of=team/app:v1', ['root', 'ann', 'ben']],
    ['/admin/usage', ['root']],
    ['/admin/status', ['root']],
    ['/admin/jobs', ['root']],
    ['/admin/gc', ['root']],
    ['/admin/gc/plans', ['root']],
    ['/admin/mirrors', ['root']],
    ['/admin/sync/jobs', ['root']],
  ])('%s is for %s', async (path, allowed) => {
    for (const name of Object.keys(users) as (keyof typeof users)[]) {
      const answer = await get(path, as[name])
      if (allowed.includes(name)) {
        expect(answer.status, `${name} ${answer.text}`).toBe(200)
        continue
      }
      expect(answer.status, name).toBe(403)
      expect(errorsOf(answer)[0]!.code).toBe('DENIED')
      // What is not there is refused in the same words.
      const absent = path.replace('/app', '/none')
      const other = await get(absent, as[name])
      const words = ({ json }: Answer) => ({ ...(json as object), requestId: '' })
      expect(words(other)).toEqual(words(answer))
    }
    expect((await get(path, nobody)).status).toBe(401)
  })

  test('events are those of repositories that the caller may see', async () => {
    const read = async (headers: Record<string, string>, query = '') => {
      const answer = await get(`/admin/events?limit=1000${query}`, headers)
      return new Set(
        (answer.json as { events: { repository: string }[] }).events.map((it) => it.repository),
      )
    }
    await registry().client.request(
      'POST',
      `/v2/team/tool/blobs/uploads/?mount=${sha256('shared layer')}&from=other/app`,
      { headers: as.root },
    )
    expect(await read(as.root)).toContain('other/app')
    expect(await read(as.ann)).toEqual(new Set(['public/app', 'team/app', 'team/tool']))
    expect(await read(as.ann, '&repository=other/app')).toEqual(new Set())
    expect(await read(as.cat)).toEqual(new Set(['other/app', 'public/app']))
    // An event may name another repository: who may not see that is not told.
    const mounts = await get('/admin/events?action=mount', as.ann)
    const { events } = mounts.json as { events: object[] }
    expect(events.length).toBeGreaterThan(0)
    expect(mounts.text).not.toContain('other/app')
    expect((await get('/admin/events?action=mount', as.root)).text).toContain('other/app')
  })

  test('a blob is told of in the repositories that the caller may see', async () => {
    const path = `/admin/blobs/${sha256('shared layer')}`
    const seen = async (headers: Record<string, string>) =>
      (
        (await get(path, headers)).json as { repositories?: { repository: string }[] }
      ).repositories?.map(({ repository }) => repository)
    expect(await seen(as.root)).toEqual(['other/app', 'team/app', 'team/tool'])
    expect(await seen(as.ann)).toEqual(['team/app', 'team/tool'])
    expect(await seen(as.cat)).toEqual(['other/app'])
    expect((await get(path, as.nobody)).status).toBe(404)
    expect((await get(`/admin/blobs/${sha256('no such')}`, as.nobody)).status).toBe(404)
  })

  test('copies need pull there and push here, undelete push, pins push or delete', async () => {
    const copy = (from: string, to: string) => ({
      from: { repository: from, reference: 'v1' },
      to: { repository: to, tag: 'copied' },
    })
    const status = async (name: keyof typeof users, path: string, body: object, method = 'POST') =>
      (await send(method, path, as[name], body)).status
    expect(await status('ann', '/admin/copy', copy('team/app', 'team/copy'))).toBe(200)
    expect(await status('ann', '/admin/copy', copy('other/app', 'team/copy'))).toBe(403)
    expect(await status('ann', '/admin/copy', copy('team/app', 'other/copy'))).toBe(403)
    expect(await status('cat', '/admin/copy', copy('other/app', 'home/cat/x'))).toBe(403)
    expect(await status('ben', '/admin/copy', copy('team/app', 'home/ben/x'))).toBe(200)
    expect(await status('ben', '/admin/copy', copy('team/app', 'team/copy'))).toBe(403)
    // Not even before the body was understood: nobody without any such right is told what is wrong.
    expect((await send('POST', '/admin/copy', nobody, { x: 1 })).status).toBe(401)

    await registry().client.request('DELETE', '/v2/team/copy/manifests/copied', {
      headers: as.root,
    })
    const back = { repository: 'team/copy', tag: 'copied' }
    expect(await status('ben', '/admin/undelete', back)).toBe(403)
    expect(await status('ann', '/admin/undelete', back)).toBe(200)

    const pin = `/admin/pins/${digest}/release`
    expect(await status('ben', pin, { repository: 'team/app' }, 'PUT')).toBe(403)
    expect(await status('ann', pin, {}, 'PUT')).toBe(403)
    expect(await status('ann', pin, { repository: 'team/app' }, 'PUT')).toBe(200)
    expect(await status('root', `/admin/pins/${digest}/all`, {}, 'PUT')).toBe(200)
    const names = async (headers: Record<string, string>) =>
      ((await get('/admin/pins', headers)).json as { pins: { name: string }[] }).pins.map(
        ({ name }) => name,
      )
    expect(await names(as.root)).toEqual(['all', 'release'])
    expect(await names(as.ann)).toEqual(['release'])
    expect(await names(as.cat)).toEqual([])
    // Somebody else's pin is not renewed into one's own repository.
    expect(
      await status('ann', `/admin/pins/${digest}/all`, { repository: 'team/app' }, 'PUT'),
    ).toBe(403)
    expect(await status('cat', pin, { repository: 'other/app' }, 'PUT')).toBe(403)
    expect(await status('ben', pin, {}, 'DELETE')).toBe(403)
    expect(await status('cat', pin, {}, 'DELETE')).toBe(404)
    expect(await status('ann', `/admin/pins/${digest}/all`, {}, 'DELETE')).toBe(404)
    expect(await status('ann', pin, {}, 'DELETE')).toBe(200)

    for (const [method, path] of [
      ['POST', '/admin/gc'],
      ['DELETE', '/admin/repositories/team/app'],
      ['POST', '/admin/repositories/team/app/rename'],
      ['POST', '/admin/gc/plans'],
    ] as const) {
      expect(await status('ann', path, {}, method), path).toBe(403)
    }
  })

  test('undelete gives nobody a blob that his repository did not have', async () => {
    const secret = 'a secret layer of somebody else'
    await push('other/secret', 'v1', secret)
    const { client } = registry()
    const config = await client.request(
      'POST',
      `/v2/team/thief/blobs/uploads/?digest=${sha256('{}')}`,
      {
        headers: as.ann,
        body: '{}',
      },
    )
    expect(config.status).toBe(201)
    const foreign = {
      mediaType: 'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip',
      digest: sha256(secret),
      size: secret.length,
      urls: ['https://example.com/layer'],
    }
    const text = JSON.stringify(
      imageManifest({ mediaType: 'application/x', digest: sha256('{}'), size: 2 }, [foreign]),
    )
    const headers = { ...as.ann, 'Content-Type': 'application/vnd.oci.image.manifest.v1+json' }
    const target = '/v2/team/thief/manifests/v1'
    expect((await client.request('PUT', target, { headers, body: text })).status).toBe(201)
    await client.request('DELETE', `/v2/team/thief/manifests/${sha256(text)}`, { headers: as.ann })
    const body = { repository: 'team/thief', digest: sha256(text) }
    expect((await send('POST', '/admin/undelete', as.ann, body)).status).toBe(200)
    expect((await get('/v2/team/thief/manifests/v1', as.ann)).status).toBe(200)
    expect((await get(`/v2/team/thief/blobs/${sha256(secret)}`, as.ann)).status).toBe(404)
    // Its size tells nothing either.
    const listed = await get('/admin/repositories/team/thief/tags', as.ann)
    expect(listed.json).toMatchObject({ tags: [{ sizeBytes: 2 }] })
  })

  test('the session says who asks and what he may', async () => {
    expect((await get('/admin/session', as.ann)).json).toEqual({
      kind: 'user',
      user: 'ann',
      groups: ['team'],
      via: 'basic',
      isAdmin: false,
      rights: [
        { repositories: ['team/**'], actions: ['pull', 'push', 'delete', 'list'] },
        { repositories: ['home/ann/**'], actions: ['pull', 'push'] },
        { repositories: ['public/**'], actions: ['pull', 'list'] },
      ],
      features: expect.any(Object),
      version: expect.any(String),
    })
    expect((await get('/admin/session', as.cat)).json).toMatchObject({ groups: ['constructor'] })
    expect((await get('/admin/session', as.root)).json).toMatchObject({ isAdmin: true })
    expect((await get('/admin/session', nobody)).json).toEqual({
      kind: 'anonymous',
      user: null,
      groups: [],
      via: 'none',
      isAdmin: false,
      rights: [{ repositories: ['public/**'], actions: ['pull', 'list'] }],
      features: expect.any(Object),
    })
    const wrong = await get('/admin/session', basic('ann', 'wrong'))
    expect(wrong.status).toBe(401)
  })

  test('the stream tells what the caller may see', async () => {
    const { port, client } = registry()
    const { last } = (await client.get('/admin/events?order=desc&limit=1', as.root)).json as {
      last: number
    }
    const reader = new EventReader(port, `/admin/events/stream?after=${last}`, as.ann)
    await push('other/app', 'v2', 'secret')
    await push('team/app', 'v2', 'seen')
    const events = await reader.untilEvents(3)
    reader.close()
    expect(events.every(({ data }) => data?.['repository'] === 'team/app')).toBe(true)
    expect(reader.text).not.toContain('other/app')
  })
})

describeRegistry('an open registry', { engines: ['uws'] }, (registry) => {
  test('has a session that may do everything', async () => {
    const { json } = await registry().client.get('/admin/session')
    expect(json).toMatchObject({ kind: 'open', isAdmin: true, rights: [{ repositories: ['**'] }] })
  })
})
