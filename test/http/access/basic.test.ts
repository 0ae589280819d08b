/**
 * @module Passwords and rules through the front door: who may do what with Basic credentials.
 */
import { mkdtempSync, renameSync, rmSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { basic, hashOf, htpasswd } from '../../support/access.ts'
import { describeRegistry, until } from '../../support/in-process.ts'
import { refusal, someBytes } from '../../support/registry-client.ts'

const folder = mkdtempSync(join(tmpdir(), 'fastregistry-users-'))
const file = join(folder, 'htpasswd')
writeFileSync(file, htpasswd({ root: 'root-secret', alice: 'alice-secret', bob: 'bob-secret' }))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const config = {
  auth: { type: 'htpasswd', htpasswd_file: file, tokens: { challenge: 'basic' } },
  access: [
    { repositories: ['**'], users: ['root'], actions: ['pull', 'push', 'delete', 'list', 'admin'] },
    {
      repositories: [`home/\${user}/*`],
      users: ['alice', 'bob'],
      actions: ['pull', 'push', 'delete', 'list'],
    },
    { repositories: ['public/*'], anonymous: true, actions: ['pull', 'list'] },
  ],
}

describeRegistry('passwords and rules', { config }, (registry) => {
  const root = basic('root', 'root-secret')
  const alice = basic('alice', 'alice-secret')
  const bob = basic('bob', 'bob-secret')
  const push = async (repository: string, headers: Record<string, string>) => {
    const { client } = registry()
    const body = Buffer.from('{"schemaVersion":2,"manifests":[]}')
    return client.request('PUT', `/v2/${repository}/manifests/1`, {
      headers: { ...headers, 'Content-Type': 'application/vnd.oci.image.index.v1+json' },
      body,
    })
  }

  test('anonymous callers get 401 with a challenge on every path of the API, known or not', async () => {
    const { client } = registry()
    const paths = [
      '/v2/',
      '/v2/none/manifests/1',
      '/v2/home/alice/x/manifests/1',
      '/v2/no/such/path',
      '/v2/UPPER/manifests/1',
      '/v2/home/alice/x/tags/list',
    ]
    for (const path of paths) {
      const answer = await client.get(path)
      expect(refusal(answer), path).toBe('401 UNAUTHORIZED')
      expect(answer.headers['www-authenticate']).toMatch(/^Basic realm="/)
    }
  })

  test('a user may push to and pull from where a rule says so, and nowhere else', async () => {
    const { client } = registry()
    expect((await push('home/alice/app', alice)).status).toBe(201)
    expect((await client.get('/v2/home/alice/app/manifests/1', alice)).status).toBe(200)
    // The same path from the prepared answers.
    expect((await client.get('/v2/home/alice/app/manifests/1', bob)).status).toBe(401)
    expect((await client.get('/v2/home/alice/app/manifests/1')).status).toBe(401)
    expect((await push('home/alice/app', bob)).status).toBe(401)
    expect((await push('public/tool', alice)).status).toBe(401)
    expect((await push('public/tool', root)).status).toBe(201)
    expect((await client.get('/v2/public/tool/manifests/1')).status).toBe(200)
    expect((await client.get('/v2/public/tool/manifests/1', alice)).status).toBe(200)
  })

  test('a wrong password is refused even where anonymous callers are served', async () => {
    const { client } = registry()
    await push('public/tool', root)
    const wrong = await client.get('/v2/public/tool/manifests/1', basic('alice', 'wrong'))
    expect(refusal(wrong)).toBe('401 UNAUTHORIZED')
  })

  test('the catalog shows what the caller may pull', async () => {
    const { client } = registry()
    await push('home/alice/app', alice)
    await push('public/tool', root)
    const names = async (headers: Record<string, string>) =>
      (await client.get('/v2/_catalog', headers)).json
    expect(await names(alice)).toEqual({ repositories: ['home/alice/app', 'public/tool'] })
    expect(await names(bob)).toEqual({ repositories: ['public/tool'] })
    expect(await names({})).toEqual({ repositories: ['public/tool'] })
  })

  test('a mount needs the right to pull from its source', async () => {
    const { client } = registry()
    const body = someBytes(1000)
    const session = await client.request('POST', '/v2/home/alice/app/blobs/uploads/', {
      headers: alice,
    })
    const { digestOf } = await import('../../../src/registry/hasher.ts')
    const digest = digestOf('sha256', body)
    const put = await client.request('PUT', `${session.headers['location']}?digest=${digest}`, {
      headers: alice,
      body,
    })
    expect(put.status).toBe(201)
    const mount = (headers: Record<string, string>, to: string, query: string) =>
      client.request('POST', `/v2/${to}/blobs/uploads/?mount=${digest}${query}`, { headers })
    expect((await mount(bob, 'home/bob/x', '&from=home/alice/app')).status).toBe(202)
    expect((await mount(bob, 'home/bob/x', '')).status).toBe(202)
    expect((await mount(root, 'home/bob/x', '&from=home/alice/app')).status).toBe(201)
  })

  test('administration needs admin, health needs nothing', async () => {
    const { client } = registry()
    expect((await client.get('/health')).status).toBe(200)
    expect((await client.get('/admin/status')).status).toBe(401)
    expect(refusal(await client.get('/admin/status', alice))).toBe('403 DENIED')
    expect((await client.get('/admin/status', root)).status).toBe(200)
    expect((await client.get('/metrics')).status).toBe(401)
    expect((await client.get('/metrics', root)).status).toBe(200)
  })
})

describe('the file of users', () => {
  const swapFolder = mkdtempSync(join(tmpdir(), 'fastregistry-swap-'))
  const link = join(swapFolder, 'htpasswd')
  const write = (name: string, text: string) => {
    writeFileSync(join(swapFolder, name), text)
    return join(swapFolder, name)
  }
  symlinkSync(write('first', htpasswd({ alice: 'one' })), link)
  afterAll(() => rmSync(swapFolder, { recursive: true, force: true }))

  describeRegistry(
    'is read again',
    { config: { auth: { type: 'htpasswd', htpasswd_file: link } }, engines: ['uws'] },
    (registry) => {
      const status = async (password: string) =>
        (await registry().client.get('/v2/', basic('alice', password))).status

      test('when a link is swapped; a broken file keeps the users and says so', async () => {
        expect(await status('one')).toBe(200)
        const next = join(swapFolder, 'next')
        symlinkSync(write('second', `alice:${hashOf('two')}\n`), next)
        renameSync(next, link)
        await until(async () => (await status('two')) === 200)
        expect(await status('one')).toBe(401)
        symlinkSync(write('third', 'alice:{SHA}abc\n'), next)
        renameSync(next, link)
        await until(() =>
          registry().logLines.some((line) => line.includes('third') || line.includes('SHA-1')),
        )
        expect(await status('two')).toBe(200)
        unlinkSync(link)
        expect(await status('two')).toBe(200)
      })
    },
  )
})
