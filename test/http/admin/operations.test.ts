/**
 * @module Tags that people move and delete, and take back: what two of them do at the same time, what is left as it
 * is and why, and a thousand that come back byte for byte.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { basic, htpasswd } from '../../support/access.ts'
import { pushOwnImage } from '../../support/admin.ts'
import { describeRegistry } from '../../support/in-process.ts'
import { type Answer, errorsOf, sha256 } from '../../support/registry-client.ts'

interface Deleted {
  readonly operation: string
  readonly deleted: readonly string[]
  readonly left: readonly { readonly tag: string; readonly code: string }[]
}

interface Undone {
  readonly tags: readonly string[]
  readonly manifests: readonly string[]
  readonly left: readonly { readonly tag: string; readonly code: string }[]
}

const config = {
  storage: {
    gc: { enabled: false, grace: '0s' },
    immutable_tags: [{ repositories: ['**'], tags: ['release-*'] }],
  },
  log: { access: false },
}

describeRegistry('operations on tags', { config }, (registry) => {
  const send = (method: string, path: string, body?: object): Promise<Answer> =>
    registry().client.request(method, `/admin${path}`, {
      headers: { 'Content-Type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
  const done = async <T>(method: string, path: string, body?: object): Promise<T> => {
    const answer = await send(method, path, body)
    expect(answer.status, answer.text).toBe(200)
    return answer.json as T
  }
  const undo = (operation: string) => send('POST', `/undo/${operation}`)
  const digestOf = async (repository: string, tag: string) =>
    (await registry().client.head(`/v2/${repository}/manifests/${tag}`)).headers[
      'docker-content-digest'
    ]

  test('a tag moves only from where it is expected, and back', async () => {
    const { client } = registry()
    const one = await pushOwnImage(client, 'move/app', 'one', 'one')
    const two = await pushOwnImage(client, 'move/app', 'two', 'two')
    const path = '/repositories/move/app/tags/prod'
    const to = (digest: string, ifDigest?: string | null) => ({ digest, ifDigest })
    const made = await done<{ operation: string }>('PUT', path, to(one.digest, null))
    expect(made).toMatchObject({ tag: 'prod', digest: one.digest, from: null })
    expect((await send('PUT', path, to(two.digest, null))).status).toBe(412)
    expect((await send('PUT', path, to(two.digest, two.digest))).status).toBe(412)
    expect(await digestOf('move/app', 'prod')).toBe(one.digest)
    const moved = await done<{ operation: string }>('PUT', path, to(two.digest, one.digest))
    expect(moved).toMatchObject({ from: one.digest })
    expect(await digestOf('move/app', 'prod')).toBe(two.digest)
    // Nothing is done twice, and nothing can be taken back of it.
    expect(await done('PUT', path, to(two.digest))).toEqual({
      tag: 'prod',
      digest: two.digest,
      from: two.digest,
    })
    expect((await send('PUT', path, to(sha256('none')))).status).toBe(404)
    const missing = await send('PUT', path, to(sha256('none'), two.digest))
    expect(errorsOf(missing)[0]!.code).toBe('MANIFEST_UNKNOWN')
    expect((await undo(made.operation)).status).toBe(412)
    expect(await (await undo(moved.operation)).json).toMatchObject({ tags: ['prod'], left: [] })
    expect(await digestOf('move/app', 'prod')).toBe(one.digest)
    expect((await undo(moved.operation)).status).toBe(404)
    expect((await undo(made.operation)).json).toMatchObject({ tags: [], left: [] })
    expect(await digestOf('move/app', 'prod')).toBeUndefined()
    // Twenty at once: each says what it has replaced, and the last one stands.
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, at) =>
        send('PUT', path, to(at % 2 ? one.digest : two.digest)),
      ),
    )
    for (const { status, text } of answers) expect([200, 412], text).toContain(status)
    expect(
      (await send('PUT', '/repositories/move/app/tags/release-1', to(one.digest))).status,
    ).toBe(200)
    const fixed = await send('PUT', '/repositories/move/app/tags/release-1', to(two.digest))
    expect(fixed.status).toBe(409)
  })

  test('a tag that is called as an endpoint is a tag', async () => {
    const image = await pushOwnImage(registry().client, 'odd/app', 'delete', 'odd')
    const path = '/repositories/odd/app/tags/delete'
    expect(await done('GET', path)).toMatchObject({ tag: 'delete', digest: image.digest })
    const { operation } = await done<Deleted>('DELETE', path)
    expect((await send('GET', path)).status).toBe(404)
    expect((await undo(operation)).json).toMatchObject({ tags: ['delete'] })
    expect((await send('PATCH', path)).status).toBe(405)
  })

  test('what cannot go is named, and the rest goes', async () => {
    const { client } = registry()
    for (const tag of ['a', 'b', 'release-2']) await pushOwnImage(client, 'some/app', tag, tag)
    const tags = ['a', 'none', 'release-2', 'a', 'b']
    const first = await done<Deleted>('POST', '/repositories/some/app/tags/delete', { tags })
    expect(new Set(first.deleted)).toEqual(new Set(['a', 'b']))
    expect(first.left.map(({ tag, code }) => [tag, code]).sort()).toEqual([
      ['none', 'MANIFEST_UNKNOWN'],
      ['release-2', 'DENIED'],
    ])
    const events = await done<{ events: { operation?: string; tag?: string }[] }>(
      'GET',
      '/events?repository=some/app&action=delete-tag&limit=10',
    )
    expect(events.events.map(({ operation }) => operation)).toEqual([
      first.operation,
      first.operation,
    ])
    // One of them is somebody's new tag by now: it stays theirs.
    const newer = await pushOwnImage(client, 'some/app', 'a', 'newer')
    expect((await undo(first.operation)).json).toMatchObject({ tags: ['b'], left: [] })
    expect(await digestOf('some/app', 'a')).toBe(newer.digest)
    expect((await undo(first.operation)).status).toBe(404)
    for (const body of [
      {},
      { tags: [] },
      { tags: ['-'] },
      { tags: 'a' },
      { tags: Array.from({ length: 1_001 }, (_, at) => `t${at}`) },
    ]) {
      expect((await send('POST', '/repositories/some/app/tags/delete', body)).status).toBe(400)
    }
  })

  test('two who delete the same, and two who take it back, lose nothing', async () => {
    const { client } = registry()
    const tags = Array.from({ length: 40 }, (_, at) => `t${at}`)
    for (const tag of tags) await pushOwnImage(client, 'both/app', tag, `${tag} of both`)
    const path = '/repositories/both/app/tags/delete'
    const [one, other] = await Promise.all([
      done<Deleted>('POST', path, { tags }),
      done<Deleted>('POST', path, { tags: tags.toReversed() }),
    ])
    expect(one!.deleted.length + other!.deleted.length).toBe(tags.length)
    expect(new Set([...one!.deleted, ...other!.deleted])).toEqual(new Set(tags))
    for (const { deleted, left } of [one!, other!]) {
      expect(deleted.length + left.length).toBe(tags.length)
      expect(left.every(({ code }) => code === 'MANIFEST_UNKNOWN')).toBe(true)
    }
    const operations = [one!, other!].flatMap(({ operation, deleted }) =>
      deleted.length > 0 ? [operation, operation] : [],
    )
    const undone = await Promise.all(operations.map(undo))
    for (const answer of undone) {
      expect([200, 404]).toContain(answer.status)
      if (answer.status === 200) expect((answer.json as Undone).left).toEqual([])
    }
    for (const tag of tags) expect(await digestOf('both/app', tag), tag).toBeDefined()
  })

  test('a thousand tags go, are collected, and come back byte for byte', {
    timeout: 80_000,
  }, async () => {
    const { client } = registry()
    const images = await Promise.all(
      Array.from({ length: 10 }, (_, at) =>
        pushOwnImage(client, 'many/app', `image-${at}`, `${at}`),
      ),
    )
    const tags = Array.from({ length: 1_000 }, (_, at) => `build-${at}`)
    for (let at = 0; at < tags.length; at += 50) {
      await Promise.all(
        tags.slice(at, at + 50).map(async (tag, index) => {
          const image = images[(at + index) % 10]!
          const headers = { 'Content-Type': image.mediaType }
          expect((await client.putManifest('many/app', tag, image.body, headers)).status).toBe(201)
        }),
      )
    }
    const all = [...tags.slice(10), ...images.map((_, at) => `image-${at}`)]
    const deleted = await done<Deleted>('POST', '/repositories/many/app/tags/delete', { tags: all })
    expect(deleted.deleted).toHaveLength(1_000)
    const rest = await done<Deleted>('POST', '/repositories/many/app/tags/delete', {
      tags: tags.slice(0, 10),
    })
    expect(rest.deleted).toHaveLength(10)
    await done('POST', '/gc', { wait: true })
    expect(await digestOf('many/app', images[0]!.digest)).toBeUndefined()
    for (const { operation } of [deleted, rest]) {
      const answer = await undo(operation)
      expect(answer.status, answer.text).toBe(200)
      expect((answer.json as Undone).left).toEqual([])
    }
    const listed = await done<{ total: number }>('GET', '/repositories/many/app/tags?limit=1')
    expect(listed.total).toBe(1_010)
    for (const [at, tag] of tags.entries()) {
      const answer = await client.get(`/v2/many/app/manifests/${tag}`)
      expect(answer.text, tag).toBe(images[at % 10]!.body)
    }
    for (const { layer, config } of images) {
      for (const { digest } of [layer, config]) {
        const blob = await client.get(`/v2/many/app/blobs/${digest}`)
        expect(sha256(blob.body)).toBe(digest)
      }
    }
  })

  test.each([
    'x',
    'd..0123456789abcdef',
    'd.QQ.0123456789abcdef',
    `d.${Buffer.from('team/app').toString('base64url')}.0123456789abcdeg`,
    `m.${Buffer.from('team/app\nv1\n\nx').toString('base64url')}`,
    `m.${Buffer.from(`team/app\nv1\nx\n${sha256('x')}`).toString('base64url')}`,
    `m.${Buffer.from(`team/app\nv1\n\n${sha256('x')}\n`).toString('base64url')}`,
    'm.'.padEnd(2_000, 'A'),
  ])('"%s" is no operation', async (id) => {
    expect((await undo(id)).status).toBe(400)
  })
})

const folder = mkdtempSync(join(tmpdir(), 'fastregistry-operations-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
const users = { root: 'r', ann: 'a', ben: 'b', del: 'd' }
const file = join(folder, 'htpasswd')
writeFileSync(file, htpasswd(users))
const guarded = {
  ...config,
  auth: { type: 'htpasswd', htpasswd_file: file },
  access: [
    { repositories: ['**'], users: ['root'], actions: ['pull', 'push', 'delete', 'list', 'admin'] },
    { repositories: ['team/**'], users: ['ann'], actions: ['pull', 'push', 'list'] },
    { repositories: ['team/**'], users: ['ben'], actions: ['pull', 'list'] },
    { repositories: ['team/**'], users: ['del'], actions: ['delete'] },
    { repositories: [`home/\${user}/**`], users: ['*'], actions: ['pull', 'push', 'delete'] },
  ],
}

describeRegistry('operations by rights', { config: guarded, engines: ['uws'] }, (registry) => {
  test('each needs its right on the repository, and an operation gives none', async () => {
    const { client } = registry()
    const as = (name: keyof typeof users) => basic(name, users[name])
    const put = (repository: string, tag: string) =>
      client.request('PUT', `/v2/${repository}/manifests/${tag}`, {
        headers: { ...as('root'), 'Content-Type': 'application/vnd.oci.image.index.v1+json' },
        body: '{"schemaVersion":2,"manifests":[]}',
      })
    for (const tag of ['v1', 'v2', 'v3']) expect((await put('team/app', tag)).status).toBe(201)
    const ask = (name: keyof typeof users, method: string, path: string, body: object = {}) =>
      client.request(method, `/admin${path}`, {
        headers: { ...as(name), 'Content-Type': 'application/json' },
        body: JSON.stringify(body),
      })
    const digest = sha256('{"schemaVersion":2,"manifests":[]}')
    const statusOf = async (...of: Parameters<typeof ask>) => (await ask(...of)).status
    const tag = '/repositories/team%2Fapp/tags/v9'
    for (const [name, status] of [
      ['ben', 403],
      ['del', 403],
      ['ann', 200],
    ] as const) {
      expect(await statusOf(name, 'PUT', tag, { digest }), name).toBe(status)
    }
    const list = '/repositories/team/app/tags/delete'
    for (const name of ['ben', 'ann'] as const) {
      expect(await statusOf(name, 'POST', list, { tags: ['v1'] })).toBe(403)
      expect(await statusOf(name, 'DELETE', '/repositories/team/app/tags/v1')).toBe(403)
    }
    const { operation } = (await ask('del', 'POST', list, { tags: ['v1', 'v2'] })).json as Deleted
    expect(await statusOf('ben', 'POST', `/undo/${operation}`)).toBe(403)
    expect(await statusOf('ben', 'POST', '/undo/x')).toBe(400)
    expect(await statusOf('ann', 'POST', `/undo/${operation}`)).toBe(200)
    const moved = (await ask('ann', 'PUT', '/repositories/team/app/tags/v8', { digest })).json
    const move = (moved as Deleted).operation
    expect(await statusOf('del', 'POST', `/undo/${move}`)).toBe(403)
    expect(await statusOf('ann', 'POST', `/undo/${move}`)).toBe(200)
    // One's own rights somewhere else are none here, whatever the id says.
    const forged = `d.${Buffer.from('team/app').toString('base64url')}.${'0'.repeat(16)}`
    expect(await statusOf('ben', 'POST', `/undo/${forged}`)).toBe(403)
  })
})
