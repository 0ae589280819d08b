/**
 * @module What credentials are good for after they were exchanged for others: an exchange never
 * widens, refresh tokens end with their login, and what was taken back stays so.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { decodeJwt } from 'jose'
import { afterAll, expect, test } from 'vitest'
import { parseRevocations } from '../../../src/auth/revocations.ts'
import { secretFilePaths } from '../../../src/auth/secret-file.ts'
import { main } from '../../../src/cli/main.ts'
import { basic, bearer, forgeToken, htpasswd } from '../../support/access.ts'
import { describeRegistry, type InProcessRegistry, until } from '../../support/in-process.ts'
import { type Answer, refusal } from '../../support/registry-client.ts'

const folder = mkdtempSync(join(tmpdir(), 'fastregistry-exchange-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
const users = { alice: 'alice-secret', bob: 'bob-secret' }
const file = join(folder, 'htpasswd')
writeFileSync(file, htpasswd(users))

const config = {
  auth: {
    type: 'htpasswd',
    htpasswd_file: file,
    tokens: { realm: 'http://registry.test/token', login_life: '40d' },
  },
  access: [
    {
      repositories: ['**'],
      users: ['alice', 'bob'],
      actions: ['pull', 'push', 'delete', 'list', 'admin'],
    },
  ],
}

const index = Buffer.from('{"schemaVersion":2,"manifests":[]}')
const indexType = { 'Content-Type': 'application/vnd.oci.image.index.v1+json' }
const alice = basic('alice', users.alice)

interface TokenAnswer {
  readonly token: string
  readonly scope: string
  readonly expires_in: number
  readonly refresh_token?: string
}

function tokenOf(answer: Answer): TokenAnswer {
  expect(answer.status).toBe(200)
  return answer.json as TokenAnswer
}

/** Runs `fastregistry token …` on the store of a running registry. */
async function run(registry: InProcessRegistry, ...args: string[]): Promise<string[]> {
  const path = join(folder, 'cli.yaml')
  writeFileSync(
    path,
    `storage: { path: ${registry.folder} }\nauth: { type: htpasswd, htpasswd_file: ${file} }\n`,
  )
  const lines: string[] = []
  const terminal = {
    environment: {},
    print: (line: string) => lines.push(line),
    printError: (line: string) => lines.push(`error: ${line}`),
  }
  await main(['token', ...args, '--config', path], terminal as never)
  return lines
}

/** An access token of alice that counts already. */
async function accessToken(registry: InProcessRegistry, repositories: string, actions: string) {
  const limits = ['--repositories', repositories, '--actions', actions, '--expires', '30d']
  const made = await run(registry, 'create', '--user', 'alice', ...limits)
  const headers = basic('alice', made.at(-1)!)
  await until(async () => (await registry.client.get('/v2/', headers)).status === 200)
  return { headers, id: made.at(-1)!.split('_')[1]! }
}

const ask = (registry: InProcessRegistry, query: string, headers: Record<string, string>) =>
  registry.client.get(`/token?service=registry.test${query}`, headers)

const renew = (registry: InProcessRegistry, token: string, fields: Record<string, string> = {}) =>
  registry.client.request('POST', '/token', {
    headers: { 'Content-Type': 'application/x-www-form-urlencoded' },
    body: new URLSearchParams({
      grant_type: 'refresh_token',
      refresh_token: token,
      ...fields,
    }).toString(),
  })

const offline = '&offline_token=true&scope=repository:open/a:pull'

describeRegistry('an exchange never widens', { config }, (registry) => {
  test('a bearer token of an access token sees what the access token sees', async () => {
    const { client } = registry()
    for (const name of ['open/a', 'closed/b']) {
      const headers = { ...alice, ...indexType }
      await client.request('PUT', `/v2/${name}/manifests/1`, { headers, body: index })
    }
    const { headers } = await accessToken(registry(), 'open/*', 'pull,list')
    const catalog = async (with_: Record<string, string>) =>
      ((await client.get('/v2/_catalog', with_)).json as { repositories: string[] }).repositories
    expect(await catalog(headers)).toEqual(['open/a'])
    const wishes = [
      '&scope=registry:catalog:*',
      '&scope=registry:catalog:*&scope=registry:catalog:*',
      '&scope=registry:catalog:*%20repository:closed/b:pull,list',
      '&scope=registry:catalog:*&scope=repository:closed/b:*&scope=repository(x):closed/b:pull',
    ]
    for (const wish of wishes) {
      const { token, scope } = tokenOf(await ask(registry(), wish, headers))
      expect(scope).toBe('registry:catalog:*')
      expect(await catalog(bearer(token))).toEqual(['open/a'])
    }
    const own = tokenOf(await ask(registry(), '&scope=registry:catalog:*', alice))
    expect(await catalog(bearer(own.token))).toEqual(['closed/b', 'open/a'])
  })

  test('whatever scopes it asks for, and however often', async () => {
    const { client } = registry()
    const { headers } = await accessToken(registry(), 'open/*', 'pull')
    const wish =
      '&scope=repository:open/a:pull&scope=repository:open/a:push,delete&scope=repository:open/a:*&scope=registry:admin:*'
    const { token, scope } = tokenOf(await ask(registry(), `${wish}&offline_token=true`, headers))
    expect(scope).toBe('repository:open/a:pull')
    const put = await client.request('PUT', '/v2/open/a/manifests/2', {
      headers: { ...bearer(token), ...indexType },
      body: index,
    })
    expect(refusal(put)).toBe('401 UNAUTHORIZED')
    expect((await client.get('/admin/status', bearer(token))).status).toBe(403)
  })

  test('a token whose scopes say more than the access token behind it is held to both', async () => {
    const { client } = registry()
    const { headers, id } = await accessToken(registry(), 'open/*', 'pull')
    const { token } = tokenOf(await ask(registry(), '&scope=repository:open/a:pull', headers))
    const { pwd } = decodeJwt(token)
    const access = ['open/a', 'closed/b'].map((name) => {
      return { type: 'repository', name, actions: ['pull', 'push', 'delete', 'list'] }
    })
    const forge = (tid: unknown) =>
      forgeToken(registry().folder, { sub: 'alice', pwd, tid, access })
    const wide = bearer(await forge(id))
    expect((await client.get('/v2/open/a/manifests/1', wide)).status).toBe(200)
    expect((await client.get('/v2/closed/b/manifests/1', wide)).status).toBe(401)
    expect(
      (await client.request('DELETE', '/v2/open/a/manifests/1', { headers: wide })).status,
    ).toBe(401)
    const { limits } = (await client.get('/admin/session', wide)).json as { limits: unknown }
    expect(limits).toEqual([
      { repositories: ['open/a'], actions: ['pull'] },
      { repositories: ['closed/b'], actions: [] },
    ])
    for (const strange of ['none', 7, null, { id }, ['x']]) {
      expect((await client.get('/v2/', bearer(await forge(strange)))).status).toBe(401)
    }
  })

  test('nor does it live longer', async () => {
    const limits = ['--repositories', '**', '--actions', 'pull', '--expires', '90s']
    const made = await run(registry(), 'create', '--user', 'alice', ...limits)
    const headers = basic('alice', made.at(-1)!)
    await until(async () => (await registry().client.get('/v2/', headers)).status === 200)
    const { expires_in: seconds } = tokenOf(await ask(registry(), '', headers))
    expect(seconds).toBeLessThanOrEqual(90)
    expect(seconds).toBeGreaterThan(60)
  })
})

describeRegistry('refresh tokens', { config, engines: ['uws'] }, (registry) => {
  test('renew themselves up to the end of their login, and no further', async () => {
    const first = tokenOf(await ask(registry(), offline, alice)).refresh_token!
    const claims = decodeJwt(first)
    expect(claims).toMatchObject({ auth_time: claims.iat })
    expect(claims.exp! - claims.iat!).toBe(30 * 86_400)
    const day = 86_400
    const made = Math.floor(Date.now() / 1000) - 35 * day
    const old = { ...claims, iat: made + 20 * day, auth_time: made, exp: made + 50 * day }
    const late = await forgeToken(registry().folder, old, 'refresh+jwt')
    const renewed = decodeJwt(tokenOf(await renew(registry(), late)).refresh_token!)
    expect(renewed).toMatchObject({ auth_time: made, exp: made + 40 * day, sid: claims['sid'] })
    expect(renewed.jti).not.toBe(claims.jti)
    // Its own end is ahead, that of its login is not: the setting may have become shorter.
    const over = { ...old, auth_time: made - 10 * day }
    const ended = await forgeToken(registry().folder, over, 'refresh+jwt')
    expect((await renew(registry(), ended)).status).toBe(401)
    // Those of earlier versions say no more than when they were made.
    const { auth_time: _, jti: __, ...bare } = { ...old, sid: undefined }
    const before = await forgeToken(registry().folder, bare, 'refresh+jwt')
    const next = decodeJwt(tokenOf(await renew(registry(), before)).refresh_token!)
    expect(next).toMatchObject({ auth_time: made + 20 * day })
  })

  test('a login that was revoked ends with all of its tokens, also after a restart', async () => {
    const first = tokenOf(await ask(registry(), offline, alice))
    const second = tokenOf(await renew(registry(), first.refresh_token!))
    const other = tokenOf(await ask(registry(), offline, alice))
    const isGood = async ({ token }: TokenAnswer) =>
      (await registry().client.get('/v2/', bearer(token))).status === 200
    expect(await isGood(second)).toBe(true)
    const said = await run(registry(), 'revoke', second.refresh_token!)
    expect(said.join()).toContain(String(decodeJwt(first.refresh_token!)['sid']))
    const check = async () => {
      await until(async () => !(await isGood(second)))
      for (const one of [first, second]) {
        expect(await isGood(one)).toBe(false)
        expect((await renew(registry(), one.refresh_token!)).status).toBe(401)
      }
      expect(await isGood(other)).toBe(true)
      expect((await renew(registry(), other.refresh_token!)).status).toBe(200)
    }
    await check()
    await registry().restart()
    await check()
    const kept = readFileSync(secretFilePaths(registry().folder).revocations, 'utf8')
    expect(parseRevocations(kept)).toHaveLength(1)
    expect(kept).not.toContain(second.refresh_token!)
  })

  test('every login of a user ends, and he may log in again', async () => {
    const bob = basic('bob', users.bob)
    const mine = tokenOf(await ask(registry(), offline, bob))
    const others = tokenOf(await ask(registry(), offline, alice))
    await run(registry(), 'revoke', '--user', 'bob')
    await until(async () => (await renew(registry(), mine.refresh_token!)).status === 401)
    expect((await registry().client.get('/v2/', bearer(mine.token))).status).toBe(401)
    expect((await renew(registry(), others.refresh_token!)).status).toBe(200)
    // Logins count by the second.
    await until(async () => {
      const again = tokenOf(await ask(registry(), offline, bob))
      return (await renew(registry(), again.refresh_token!)).status === 200
    })
  })

  test('a new key of now ends every token at once', async () => {
    const { client } = registry()
    const given = tokenOf(await ask(registry(), offline, alice))
    expect((await client.get('/v2/', bearer(given.token))).status).toBe(200)
    expect((await run(registry(), 'revoke', '--now', 'x')).join()).toContain('rotate-keys')
    await run(registry(), 'rotate-keys', '--now')
    await until(async () => (await client.get('/v2/', bearer(given.token))).status === 401)
    expect((await renew(registry(), given.refresh_token!)).status).toBe(401)
    const again = tokenOf(await ask(registry(), offline, alice))
    expect((await client.get('/v2/', bearer(again.token))).status).toBe(200)
    expect((await renew(registry(), again.refresh_token!)).status).toBe(200)
    const { keys } = (await client.get('/.well-known/jwks.json')).json as { keys: unknown[] }
    expect(keys).toHaveLength(1)
  })

  test('a grant whose parameters are missing is a mistake, not a caller without a name', async () => {
    const { client } = registry()
    const forms = [
      'grant_type=password',
      'grant_type=password&username=alice',
      'grant_type=password&password=x',
      'grant_type=password&username=&password=',
      'grant_type=password&username=&password=x',
      'grant_type=refresh_token',
      'grant_type=refresh_token&access_type=offline',
      'grant_type=',
    ]
    for (const body of forms) {
      for (const headers of [{}, alice, basic('nobody', 'x')]) {
        const answer = await client.request('POST', '/token', {
          headers: { ...headers, 'Content-Type': 'application/x-www-form-urlencoded' },
          body,
        })
        expect(`${body} ${answer.status}`).toBe(`${body} 400`)
      }
    }
  })
})
