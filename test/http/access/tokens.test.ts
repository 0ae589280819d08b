/**
 * @module Bearer tokens through the front door: the token endpoint in all its forms, what a token
 * allows, and what ends it.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { decodeJwt, exportJWK, generateKeyPair, SignJWT } from 'jose'
import { afterAll, describe, expect, test } from 'vitest'
import { main } from '../../../src/cli/main.ts'
import { basic, bearer, forgeToken, htpasswd } from '../../support/access.ts'
import { describeRegistry, type InProcessRegistry, until } from '../../support/in-process.ts'
import {
  type Answer,
  inByteOrder,
  refusal,
  sha256,
  someBytes,
} from '../../support/registry-client.ts'

const folder = mkdtempSync(join(tmpdir(), 'fastregistry-tokens-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
const users = { root: 'root-secret', alice: 'alice-secret' }
const file = join(folder, 'htpasswd')
writeFileSync(file, htpasswd(users))

const config = {
  auth: {
    type: 'htpasswd',
    htpasswd_file: file,
    tokens: { realm: 'http://registry.test/token' },
  },
  access: [
    { repositories: ['**'], users: ['root'], actions: ['pull', 'push', 'delete', 'list', 'admin'] },
    { repositories: ['team/*'], users: ['alice'], actions: ['pull', 'push', 'list'] },
    { repositories: ['public/*'], anonymous: true, actions: ['pull', 'list'] },
  ],
}

const index = Buffer.from('{"schemaVersion":2,"manifests":[]}')
const indexType = { 'Content-Type': 'application/vnd.oci.image.index.v1+json' }

interface TokenAnswer {
  readonly token: string
  readonly access_token: string
  readonly expires_in: number
  readonly issued_at: string
  readonly scope: string
  readonly refresh_token?: string
}

const tokenOf = (answer: Answer): TokenAnswer => {
  expect(answer.status).toBe(200)
  return answer.json as TokenAnswer
}

describeRegistry('bearer tokens', { config }, (registry) => {
  const ask = async (query: string, headers: Record<string, string> = {}) =>
    registry().client.get(`/token?service=registry.test${query}`, headers)
  const form = (fields: Record<string, string>, isChunked = false) =>
    registry().client.request('POST', '/token', {
      headers: { 'Content-Type': 'application/x-www-form-urlencoded; charset=utf-8' },
      body: new URLSearchParams(fields).toString(),
      isChunked,
    })
  const put = (repository: string, headers: Record<string, string>) =>
    registry().client.request('PUT', `/v2/${repository}/manifests/1`, {
      headers: { ...headers, ...indexType },
      body: index,
    })
  const root = basic('root', users.root)
  const alice = basic('alice', users.alice)

  test('the challenge says realm, service and scope, on one line', async () => {
    const { client } = registry()
    const of = async (method: string, path: string) =>
      (await client.request(method, path)).headers['www-authenticate']
    const start = 'Bearer realm="http://registry.test/token",service="registry.test"'
    expect(await of('GET', '/v2/')).toBe(start)
    const scope = (text: string) => `${start},scope="repository:team/app:${text}"`
    expect(await of('GET', '/v2/team/app/manifests/1')).toBe(scope('pull'))
    expect(await of('PUT', '/v2/team/app/manifests/1')).toBe(scope('pull,push'))
    expect(await of('POST', '/v2/team/app/blobs/uploads/')).toBe(scope('pull,push'))
    expect(await of('DELETE', '/v2/team/app/manifests/1')).toBe(scope('delete'))
  })

  test('an anonymous token carries what anonymous callers may do', async () => {
    const { client } = registry()
    await put('public/tool', root)
    const answer = tokenOf(
      await ask('&scope=repository:public/tool:pull,push&scope=repository:team/app:pull'),
    )
    expect(answer.scope).toBe('repository:public/tool:pull,list')
    expect(answer.access_token).toBe(answer.token)
    expect(answer.expires_in).toBe(600)
    expect(answer.issued_at).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/)
    const headers = bearer(answer.token)
    expect((await client.get('/v2/', headers)).status).toBe(200)
    expect((await client.get('/v2/public/tool/manifests/1', headers)).status).toBe(200)
    expect((await client.get('/v2/public/tool/tags/list', headers)).status).toBe(200)
    const refused = await client.get('/v2/team/app/manifests/1', headers)
    expect(refusal(refused)).toBe('401 UNAUTHORIZED')
    expect(refused.headers['www-authenticate']).toContain('error="insufficient_scope"')
    expect((await put('public/tool', headers)).status).toBe(401)
  })

  test('a token allows what it was asked for, and no more', async () => {
    const { client } = registry()
    const { token, scope } = tokenOf(await ask('&scope=repository:team/app:pull,push', alice))
    expect(scope).toBe('repository:team/app:pull,push,list')
    expect((await put('team/app', bearer(token))).status).toBe(201)
    expect((await put('team/other', bearer(token))).status).toBe(401)
    const none = tokenOf(await ask('', alice))
    expect((await client.get('/v2/', bearer(none.token))).status).toBe(200)
    expect((await client.get('/v2/team/app/manifests/1', bearer(none.token))).status).toBe(401)
    const all = tokenOf(await ask('&scope=repository:team/app:*', root))
    expect(all.scope).toBe('repository:team/app:pull,push,delete,list,*')
  })

  test('every form of asking works', async () => {
    const scope = 'repository:team/app:pull repository:host:5000/x:pull registry:catalog:*'
    const fields = { grant_type: 'password', username: 'alice', password: users.alice, scope }
    for (const isChunked of [false, true]) {
      const answer = tokenOf(await form({ ...fields, service: 'registry.test' }, isChunked))
      expect(answer.scope).toBe('repository:team/app:pull,list registry:catalog:*')
    }
    expect((await form({ ...fields, password: 'wrong' })).status).toBe(401)
    expect((await ask('', basic('nobody', 'x'))).status).toBe(401)
    expect((await form({ grant_type: 'magic' })).status).toBe(400)
    expect(tokenOf(await ask('&scope=nonsense&scope=a:b&scope=repository:UP:pull')).scope).toBe('')
  })

  test('a refresh token gives tokens, and is none itself', async () => {
    const { client } = registry()
    const first = tokenOf(await ask('&offline_token=true&account=alice', alice))
    const refresh = first.refresh_token!
    expect((await client.get('/v2/', bearer(refresh))).status).toBe(401)
    const scope = 'repository:team/app:pull'
    const again = tokenOf(
      await form({ grant_type: 'refresh_token', refresh_token: refresh, scope }),
    )
    expect(again.scope).toBe('repository:team/app:pull,list')
    expect((await form({ grant_type: 'refresh_token', refresh_token: first.token })).status).toBe(
      401,
    )
    expect(tokenOf(await ask('&scope=x')).refresh_token).toBeUndefined()
  })

  test('what is no token of ours is refused as invalid', async () => {
    const { client } = registry()
    const { token } = tokenOf(await ask('&scope=repository:team/app:pull', alice))
    const expired = await forgeToken(registry().folder, { sub: '', exp: 1000 })
    const elsewhere = await forgeToken(registry().folder, { sub: '', aud: 'other.test' })
    const stranger = await forgeToken(registry().folder, { sub: 'mallory' })
    const [head, body] = token.split('.')
    const none = `${Buffer.from('{"alg":"none","typ":"JWT"}').toString('base64url')}.${body}.`
    const changed = `${head}.${Buffer.from('{"sub":"root"}').toString('base64url')}.x`
    for (const bad of [expired, elsewhere, stranger, none, changed, 'x', `${token}x`]) {
      const answer = await client.get('/v2/team/app/manifests/1', bearer(bad))
      expect(refusal(answer)).toBe('401 UNAUTHORIZED')
      expect(answer.headers['www-authenticate']).toContain('error="invalid_token"')
      expect(answer.headers['www-authenticate']).toContain('scope="repository:team/app:pull"')
    }
  })

  test('a token that ends during an upload is good for that session alone', async () => {
    const { client } = registry()
    const session = await client.request('POST', '/v2/team/app/blobs/uploads/', { headers: alice })
    const location = session.headers['location']!
    const keys = await import('../../../src/auth/token-keys.ts')
    const { secretFilePaths } = await import('../../../src/auth/secret-file.ts')
    const kept = keys.parseKeyFile(readFileSync(secretFilePaths(registry().folder).keys, 'utf8'))
    const hash = readFileSync(file, 'utf8')
      .split('\n')
      .find((line) => line.startsWith('alice:'))!
    const pwd = (await keys.TokenKeys.from(kept, 'fastregistry')).fingerprint(hash.slice(6))
    const access = [{ type: 'repository', name: 'team/app', actions: ['pull', 'push'] }]
    // Ended a minute from now as the session sees it: alive when it began, and dead by then.
    const second = Math.floor(Date.now() / 1000)
    const claims = { sub: 'alice', pwd, access, aud: 'registry.test' }
    const late = await forgeToken(registry().folder, { ...claims, exp: second - 6 })
    const body = someBytes(100)
    const chunk = await client.request('PATCH', location, { headers: bearer(late), body })
    expect(chunk.status).toBe(401)
    await until(() => Date.now() / 1000 > second + 7)
    const ended = await forgeToken(registry().folder, { ...claims, exp: second + 1 })
    expect((await put('team/app', bearer(ended))).status).toBe(401)
    const query = `?digest=${sha256(body)}`
    const other = await client.request('PUT', `/v2/team/app/blobs/uploads/none${query}`, {
      headers: bearer(ended),
      body,
    })
    expect(other.status).toBe(401)
    const done = await client.request('PUT', location + query, { headers: bearer(ended), body })
    expect(done.status).toBe(201)
  })

  test('the public keys are there, and nothing of the private ones', async () => {
    const answer = await registry().client.get('/.well-known/jwks.json')
    const { keys } = answer.json as { keys: Record<string, string>[] }
    expect(keys).toHaveLength(1)
    expect(Object.keys(keys[0]!).sort(inByteOrder)).toEqual([
      'alg',
      'crv',
      'kid',
      'kty',
      'use',
      'x',
      'y',
    ])
  })
})

/** Runs a command of the command line on the registry's configuration. */
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
  await main([...args, '--config', path], terminal as never)
  return lines
}

describeRegistry('tokens of the command line', { config, engines: ['uws'] }, (registry) => {
  test('stand in for a password, within their limits, until they are revoked', async () => {
    const { client } = registry()
    const what = [
      '--user',
      'root',
      '--repositories',
      'team/*',
      '--actions',
      'pull',
      '--expires',
      '30d',
    ]
    const made = await run(registry(), 'token', 'create', ...what)
    const token = made.at(-1)!
    const headers = basic('root', token)
    await until(async () => (await client.get('/v2/', headers)).status === 200)
    await client.request('PUT', '/v2/team/app/manifests/1', {
      headers: { ...basic('root', users.root), ...indexType },
      body: index,
    })
    expect((await client.get('/v2/team/app/manifests/1', headers)).status).toBe(200)
    expect((await client.get('/v2/other/app/manifests/1', headers)).status).toBe(401)
    expect((await client.delete('/v2/team/app/manifests/1')).status).toBe(401)
    expect((await client.get('/v2/', basic('alice', token))).status).toBe(401)
    const scope = '&scope=repository:team/app:*&offline_token=true'
    const issued = tokenOf(await client.get(`/token?service=registry.test${scope}`, headers))
    expect(issued.scope).toBe('repository:team/app:pull')
    expect(issued.refresh_token).toBeUndefined()
    expect((await client.get('/v2/', bearer(issued.token))).status).toBe(200)

    const listed = await run(registry(), 'token', 'list')
    const id = listed[1]!.split('\t')[0]!
    // Behind `frt_ID_`; the secret may have underscores of its own.
    const secret = token.split('_').slice(2).join('_')
    expect(secret.length).toBeGreaterThan(40)
    expect(listed.join('\n')).not.toContain(secret)
    expect((await run(registry(), 'token', 'revoke', id)).join()).toContain('revoked')
    await until(async () => (await client.get('/v2/', headers)).status === 401)
    expect((await client.get('/v2/', bearer(issued.token))).status).toBe(401)
  })

  test('a new signing key leaves the tokens of the old one', async () => {
    const { client } = registry()
    const ask = async () =>
      tokenOf(await client.get('/token?service=registry.test', basic('alice', users.alice))).token
    const old = await ask()
    await run(registry(), 'token', 'rotate-keys')
    await until(async () => {
      const { keys } = (await client.get('/.well-known/jwks.json')).json as { keys: unknown[] }
      return keys.length === 2
    })
    expect((await client.get('/v2/', bearer(old))).status).toBe(200)
    expect((await client.get('/v2/', bearer(await ask()))).status).toBe(200)
    await registry().restart()
    expect((await registry().client.get('/v2/', bearer(old))).status).toBe(200)
  })

  test('a new password ends the tokens of the old one', async () => {
    const { client } = registry()
    const text = readFileSync(file, 'utf8')
    const alice = basic('alice', users.alice)
    const first = tokenOf(
      await client.get('/token?service=registry.test&offline_token=true', alice),
    )
    writeFileSync(file, htpasswd({ ...users, alice: 'changed' }))
    await until(async () => (await client.get('/v2/', basic('alice', 'changed'))).status === 200)
    expect((await client.get('/v2/', alice)).status).toBe(401)
    expect((await client.get('/v2/', bearer(first.token))).status).toBe(401)
    const body = `grant_type=refresh_token&refresh_token=${first.refresh_token}`
    expect((await client.request('POST', '/token', { body })).status).toBe(401)
    writeFileSync(file, text)
  })
})

describe('tokens of another issuer', async () => {
  const { publicKey, privateKey } = await generateKeyPair('EdDSA', { extractable: true })
  const jwks = join(folder, 'jwks.json')
  writeFileSync(jwks, JSON.stringify({ keys: [{ ...(await exportJWK(publicKey)), kid: 'k' }] }))
  const sign = (claims: Record<string, unknown>) =>
    new SignJWT({ iss: 'https://ci.test', aud: 'registry', sub: 'job', ...claims })
      .setProtectedHeader({ alg: 'EdDSA', kid: 'k' })
      .setExpirationTime('5m')
      .sign(privateKey)
  const foreign = {
    auth: { foreign: { issuer: 'https://ci.test', jwks, audience: 'registry' } },
    access: [{ repositories: ['ci/*'], groups: ['oidc:builders'], actions: ['pull', 'push'] }],
  }

  describeRegistry('count by user and group', { config: foreign, engines: ['uws'] }, (registry) => {
    test('with the right audience and issuer', async () => {
      const push = async (token: string) =>
        (
          await registry().client.request('PUT', '/v2/ci/app/manifests/1', {
            headers: { ...bearer(token), ...indexType },
            body: index,
          })
        ).status
      const good = await sign({ groups: ['builders'] })
      expect(decodeJwt(good).sub).toBe('job')
      expect(await push(good)).toBe(201)
      expect(await push(await sign({ groups: ['others'] }))).toBe(401)
      expect(await push(await sign({ groups: ['builders'], aud: 'elsewhere' }))).toBe(401)
      expect(await push(await sign({ groups: ['builders'], iss: 'https://evil.test' }))).toBe(401)
    })
  })
})
