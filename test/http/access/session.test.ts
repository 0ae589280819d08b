/**
 * @module Logins in the pages: what a cookie is good for and what it is not, what ends it, which pages may use it,
 * and what is told to those whose cookie counts no more.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { decodeJwt } from 'jose'
import { afterAll, expect, test } from 'vitest'
import { secretFilePaths } from '../../../src/auth/secret-file.ts'
import { main } from '../../../src/cli/main.ts'
import { basic, bearer, forgeToken, htpasswd } from '../../support/access.ts'
import { auditLines } from '../../support/audit-trail.ts'
import { describeRegistry, type InProcessRegistry, until } from '../../support/in-process.ts'
import { type Answer, errorsOf } from '../../support/registry-client.ts'

const folder = mkdtempSync(join(tmpdir(), 'fastregistry-session-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
const users = { root: 'root-secret', alice: 'alice-secret', bob: 'bob-secret' }
const file = join(folder, 'htpasswd')
writeFileSync(file, htpasswd(users))
const trail = join(folder, 'audit.log')

const config = {
  auth: { type: 'htpasswd', htpasswd_file: file, groups: { team: ['alice'] } },
  access: [
    { repositories: ['**'], users: ['root'], actions: ['pull', 'push', 'delete', 'list', 'admin'] },
    { repositories: ['team/*'], groups: ['team'], actions: ['pull', 'push', 'list'] },
  ],
  server: { trusted_proxies: ['127.0.0.1'] },
  audit: { file: trail },
}

const json = { 'Content-Type': 'application/json' }
const behindTls = { 'X-Forwarded-Proto': 'https' }
const plainName = 'fastregistry-session'
const secureName = '__Host-fastregistry'

/** Name, value and attributes of the one cookie that an answer sets. */
function cookieOf(answer: Answer) {
  const lines = [answer.headers['set-cookie'] ?? []].flat() as string[]
  expect(lines).toHaveLength(1)
  const [pair, ...attributes] = lines[0]!.split('; ')
  const at = pair!.indexOf('=')
  return { name: pair!.slice(0, at), value: pair!.slice(at + 1), attributes }
}

interface Session {
  readonly kind: string
  readonly user: string | null
  readonly via: string
  readonly isAdmin: boolean
  readonly login?: { readonly startedAt: string; readonly expiresAt: string }
}

describeRegistry('a login in the pages', { config }, (registry) => {
  const path = '/admin/session'
  const login = (user: string, password: string, headers: Record<string, string> = {}) =>
    registry().client.request('POST', path, {
      headers: { ...json, ...headers },
      body: JSON.stringify({ user, password }),
    })
  const cookieFor = async (user: keyof typeof users) => {
    const answer = await login(user, users[user])
    expect(answer.status, answer.text).toBe(200)
    return cookieOf(answer).value
  }
  const withCookie = (value: string, name = plainName) => ({ Cookie: `${name}=${value}` })
  const ownOrigin = () => ({ Origin: `http://127.0.0.1:${registry().port}` })
  const session = (headers: Record<string, string>) => registry().client.get(path, headers)
  const logout = (value: string) =>
    registry().client.request('DELETE', path, {
      headers: { ...withCookie(value), ...ownOrigin() },
    })
  const forge = (claims: Record<string, unknown>, type = 'session+jwt') =>
    forgeToken(registry().folder, claims, type)

  test('gives a cookie that says who asks, and what they may', async () => {
    const answer = await login('alice', users.alice)
    expect(answer.status).toBe(200)
    expect(answer.headers['cache-control']).toBe('no-store')
    const { name, value, attributes } = cookieOf(answer)
    expect(name).toBe(plainName)
    expect(attributes).toEqual(['Path=/', 'Max-Age=43200', 'HttpOnly', 'SameSite=Strict'])
    expect(answer.json).toMatchObject({
      kind: 'user',
      user: 'alice',
      groups: ['team'],
      via: 'session',
      isAdmin: false,
      rights: [{ repositories: ['team/*'], actions: ['pull', 'push', 'list'] }],
      features: { access: true, audit: true, deletes: true, mesh: false, sync: false },
      version: expect.any(String),
    })
    const { startedAt, expiresAt } = (answer.json as Session).login!
    expect(Date.parse(expiresAt) - Date.parse(startedAt)).toBe(12 * 60 * 60 * 1000)
    const again = await session(withCookie(value, `other=1; ${plainName}`))
    expect(again.json).toEqual(answer.json)
    expect(again.headers['set-cookie']).toBeUndefined()
    const names = await registry().client.get('/admin/repositories', withCookie(value))
    expect(names.json).toMatchObject({ repositories: [] })
    const refused = await registry().client.get('/admin/status', withCookie(value))
    expect(refused.status).toBe(403)
    await until(() =>
      auditLines(trail).some(
        ({ action, decision, user, via }) =>
          action === 'login' && decision === 'done' && user === 'alice' && via === 'session',
      ),
    )
  })

  test('tells those without one who they are', async () => {
    const answer = await session({})
    expect(answer.status).toBe(200)
    expect(answer.json).toMatchObject({ kind: 'anonymous', user: null, via: 'none', rights: [] })
    expect(answer.json).not.toHaveProperty('version')
    expect((await session(basic('bob', users.bob))).json).toMatchObject({ user: 'bob', rights: [] })
  })

  test('over https has the name and the mark that browsers take there alone', async () => {
    const { name, value, attributes } = cookieOf(await login('alice', users.alice, behindTls))
    expect(name).toBe(secureName)
    expect(attributes.slice(2)).toEqual(['HttpOnly', 'SameSite=Strict', 'Secure'])
    const user = async (headers: Record<string, string>) =>
      ((await session(headers)).json as Session).user
    expect(await user({ ...withCookie(value, secureName), ...behindTls })).toBe('alice')
    // What another site of the domain can set counts over https as little as the other way round.
    expect(await user({ ...withCookie(value), ...behindTls })).toBe(null)
    expect(await user(withCookie(value, secureName))).toBe(null)
  })

  test('is good below /admin/ and nowhere else', async () => {
    const { client } = registry()
    const value = await cookieFor('root')
    const cookie = { Cookie: `${plainName}=${value}; ${secureName}=${value}` }
    for (const target of ['/v2/', '/v2/_catalog', '/v2/team/app/tags/list', '/metrics']) {
      const answer = await client.get(target, cookie)
      expect(answer.status, target).toBe(401)
      expect(answer.headers['www-authenticate']).toContain('Basic')
    }
    const asked = await client.get('/token?service=s&scope=repository:team/app:pull', cookie)
    expect(asked.json).toMatchObject({ scope: '' })
    for (const target of ['/v2/', '/admin/status']) {
      for (const headers of [
        bearer(value),
        basic('root', value),
        { authorization: `Session ${value}` },
        { authorization: value },
      ]) {
        expect((await client.get(target, headers)).status).toBe(401)
      }
    }
    // A header counts where there is one: a program that sends it means it.
    const both = { ...basic('alice', users.alice), ...withCookie(value) }
    expect((await session(both)).json).toMatchObject({ user: 'alice', via: 'basic' })
  })

  test('refuses what is no login, with its reason, and says so in the trail', async () => {
    const refused = await login('alice', 'wrong')
    expect(refused.status).toBe(401)
    expect(refused.headers['www-authenticate']).toBe('FastRegistry')
    expect(refused.headers['set-cookie']).toBeUndefined()
    expect((await login('no-such-user', 'x')).status).toBe(401)
    const send = (body: string, headers: Record<string, string> = json) =>
      registry().client.request('POST', path, { headers, body })
    expect((await send('{}')).status).toBe(400)
    expect((await send('{"user":"","password":""}')).status).toBe(400)
    expect((await send('{"user":"alice:alice-secret","password":"x"}')).status).toBe(400)
    expect((await send('{"user":"alice","password":["x"]}')).status).toBe(400)
    expect((await send(JSON.stringify({ user: 'a', password: 'x'.repeat(1_025) }))).status).toBe(
      400,
    )
    const form = { 'Content-Type': 'application/x-www-form-urlencoded' }
    expect((await send('user=alice&password=alice-secret', form)).status).toBe(415)
    expect((await login('alice', users.alice, { Origin: 'https://evil.example' })).status).toBe(403)
    await until(() =>
      auditLines(trail).some(
        ({ action, reason, user }) =>
          action === 'login' && reason === 'wrong-credentials' && user === 'alice',
      ),
    )
    // Whoever has a cookie that is over, or wrong credentials, can log in all the same.
    const old = { ...withCookie('gone'), ...basic('alice', 'wrong') }
    expect((await login('alice', users.alice, old)).status).toBe(200)
  })

  test('ends everywhere with a logout, and no other login with it', async () => {
    const value = await cookieFor('alice')
    const other = await cookieFor('alice')
    const { sid, pwd, auth_time } = decodeJwt(value)
    // The same login, renewed.
    const second = await forge({ sub: 'alice', sid, pwd, auth_time })
    expect((await session(withCookie(second))).json).toMatchObject({ user: 'alice' })
    const answer = await logout(value)
    expect(answer.json).toEqual({ ended: true })
    expect(cookieOf(answer)).toMatchObject({ name: plainName, value: '' })
    expect(cookieOf(answer).attributes).toContain('Max-Age=0')
    const over = async () => {
      for (const one of [value, second]) {
        const refused = await session(withCookie(one))
        expect(refused.status).toBe(401)
        expect(refused.headers['www-authenticate']).toBe('FastRegistry')
        expect(cookieOf(refused).attributes).toContain('Max-Age=0')
      }
      expect((await session(withCookie(other))).status).toBe(200)
    }
    await over()
    await registry().restart()
    await over()
    const { client } = registry()
    expect((await client.request('DELETE', path)).json).toEqual({ ended: false })
  })

  test('is remembered as ended within bounds, and never forgotten too early', async () => {
    const first = await cookieFor('bob')
    const kept = await cookieFor('alice')
    const { pwd } = decodeJwt(first)
    const auth_time = Math.floor(Date.now() / 1000) - 60
    for (let number = 0; number <= 100; number += 1) {
      const value = await forge({ sub: 'bob', sid: `login-${number}`, pwd, auth_time })
      expect((await logout(value)).json).toEqual({ ended: true })
    }
    const text = readFileSync(secretFilePaths(registry().folder).endedSessions, 'utf8')
    const { revoked } = JSON.parse(text) as { revoked: { of?: string; user?: string }[] }
    expect(revoked.filter(({ of, user }) => of === 'bob' || user === 'bob')).toHaveLength(1)
    // More than that of one user, and all logins of the user are over.
    expect((await session(withCookie(first))).status).toBe(401)
    expect((await session(withCookie(kept))).status).toBe(200)
    expect((await session(withCookie(await cookieFor('bob')))).status).toBe(200)
  })

  test('ends with the password, and a request that is on its way brings none back', async () => {
    const value = await cookieFor('bob')
    const { sid, pwd } = decodeJwt(value)
    const now = Math.floor(Date.now() / 1000)
    const old = await forge({ sub: 'bob', sid, pwd, auth_time: now, iat: now - 3_600 })
    const { last } = (
      await registry().client.get('/admin/events?order=desc&limit=1', basic('root', users.root))
    ).json as { last: number }
    const waiting = registry().client.get(
      `/admin/events?after=${last}&wait=3`,
      withCookie(
        await forge({ sub: 'alice', ...claimsFor(await cookieFor('alice')), iat: now - 3_600 }),
      ),
    )
    writeFileSync(file, htpasswd({ ...users, bob: 'changed', alice: 'changed' }))
    await until(async () => (await session(withCookie(value))).status === 401)
    expect((await session(withCookie(old))).status).toBe(401)
    const renewed = (await waiting).headers['set-cookie']
    if (renewed !== undefined) {
      expect((await session(withCookie(cookieOf(await waiting).value))).status).toBe(401)
    }
    writeFileSync(file, htpasswd(users))
    await until(async () => (await login('bob', users.bob)).status === 200)
  })

  test('is renewed while it is used, never beyond the life of a login', async () => {
    const { sid, pwd } = decodeJwt(await cookieFor('alice'))
    const now = Math.floor(Date.now() / 1000)
    const of = { sub: 'alice', sid, pwd, auth_time: now - 7_200 }
    const old = await forge({ ...of, iat: now - 3_600 })
    const answer = await registry().client.get('/admin/repositories', withCookie(old))
    const { value } = cookieOf(answer)
    const claims = decodeJwt(value)
    expect(claims).toMatchObject({ sub: 'alice', sid, pwd, auth_time: now - 7_200 })
    expect(claims.exp! - claims.iat!).toBe(43_200)
    expect((await session(withCookie(value))).json).toMatchObject({ user: 'alice' })
    const days = 24 * 60 * 60
    const late = { ...of, auth_time: now - 90 * days + 60, iat: now - 3_600 }
    const last = cookieOf(await session(withCookie(await forge(late))))
    expect(decodeJwt(last.value).exp!).toBeLessThanOrEqual(now + 60)
  })

  test('takes an access token instead of the password, with its limits and its end', async () => {
    const lines = await token(
      registry(),
      'create',
      '--user',
      'alice',
      '--repositories',
      'team/one',
      '--actions',
      'list',
      '--expires',
      '1h',
    )
    const text = lines.find((line) => line.startsWith('frt_'))!
    await until(async () => (await login('alice', text)).status === 200)
    const answer = await login('alice', text)
    expect(answer.json).toMatchObject({
      user: 'alice',
      limits: [{ repositories: ['team/one'], actions: ['list'] }],
    })
    const { value } = cookieOf(answer)
    expect(decodeJwt(value).exp! * 1000).toBeLessThanOrEqual(Date.now() + 3_600_000)
    const { client } = registry()
    expect((await client.get('/admin/repositories/team/two', withCookie(value))).status).toBe(403)
    expect((await client.get('/admin/repositories/team/one', withCookie(value))).status).toBe(404)
    const id = (await token(registry(), 'list'))[1]!.split('\t')[0]!
    await token(registry(), 'revoke', id)
    await until(async () => (await session(withCookie(value))).status === 401)
  })

  test('ends with the logins of its user, and with the keys', async () => {
    const value = await cookieFor('alice')
    await token(registry(), 'revoke', '--user', 'alice')
    await until(async () => (await session(withCookie(value))).status === 401)
    const ofRoot = await cookieFor('root')
    await token(registry(), 'rotate-keys')
    await until(async () => {
      const { keys } = (await registry().client.get('/.well-known/jwks.json')).json as {
        keys: unknown[]
      }
      return keys.length === 2
    })
    expect((await session(withCookie(ofRoot))).status).toBe(200)
    await token(registry(), 'rotate-keys', '--now')
    await until(async () => (await session(withCookie(ofRoot))).status === 401)
  })

  test('changes nothing for a page that is not ours', async () => {
    const value = await cookieFor('root')
    const plan = async (headers: Record<string, string>) =>
      (
        await registry().client.request('POST', '/admin/gc', {
          headers: { ...json, ...headers },
          body: '{"dryRun": true, "wait": true}',
        })
      ).status
    const cookie = withCookie(value)
    expect(await plan({ ...cookie, ...ownOrigin() })).toBe(200)
    const port = registry().port
    for (const headers of [
      {},
      { Origin: 'null' },
      { Origin: 'https://evil.example' },
      { Origin: `http://127.0.0.1:${port + 1}` },
      { Origin: `http://127.0.0.1:${port}.evil.example` },
      { Origin: `http://user@127.0.0.1:${port}@evil.example` },
      { ...ownOrigin(), 'Sec-Fetch-Site': 'cross-site' },
      { ...ownOrigin(), 'Sec-Fetch-Site': 'same-site' },
      { 'Sec-Fetch-Site': 'same-origin' },
    ]) {
      expect(await plan({ ...cookie, ...(headers as object) }), JSON.stringify(headers)).toBe(403)
    }
    // A page over http is not ours where the client speaks https.
    const { value: secure } = cookieOf(await login('root', users.root, behindTls))
    const overTls = { ...withCookie(secure, secureName), ...behindTls }
    expect(await plan({ ...overTls, ...ownOrigin() })).toBe(403)
    expect(await plan({ ...overTls, Origin: `https://127.0.0.1:${port}` })).toBe(200)
    // Programs name no origin, and say with every request who they are.
    expect(await plan(basic('root', users.root))).toBe(200)
    const read = await registry().client.get('/admin/gc', cookie)
    expect(read.status).toBe(200)
  })

  test('never gives more than it says, whatever is sent', async () => {
    const value = await cookieFor('root')
    const { sid, pwd, auth_time } = decodeJwt(value)
    const [head, body, signature] = value.split('.') as [string, string, string]
    const now = Math.floor(Date.now() / 1000)
    const of = { sub: 'root', sid, pwd, auth_time }
    const cookies = [
      '',
      ' ',
      '"',
      'x'.repeat(5_000),
      `${value}x`,
      `${value}, ${value}`,
      `"${value}"`,
      `${head}.${body}.`,
      `${head}.${Buffer.from('{"sub":"root"}').toString('base64url')}.${signature}`,
      `${value}; ${plainName}=${value}`,
      `${value}; ${plainName}=`,
      `x; ${plainName}=${value}`,
      `${value}; filler=${'y'.repeat(17_000)}`,
      await forge(of, 'JWT'),
      await forge(of, 'refresh+jwt'),
      await forge({ ...of, exp: now - 60 }),
      await forge({ ...of, pwd: 'other' }),
      await forge({ ...of, sub: 'no-such-user' }),
      await forge({ ...of, sid: undefined }),
      await forge({ ...of, sid: 1 }),
      await forge({ ...of, auth_time: 'x' }),
    ]
    for (const text of cookies) {
      const headers = { Cookie: `${plainName}=${text}` }
      for (const target of [path, '/admin/status', '/admin/nothing']) {
        const answer = await registry().client.get(target, headers)
        expect(answer.status, `${target} ${text.slice(0, 100)}`).toBe(401)
        expect(answer.headers['www-authenticate']).toBe('FastRegistry')
        expect(errorsOf(answer)[0]!.code).toBe('UNAUTHORIZED')
      }
    }
    // Other cookies of the host say nothing.
    for (const text of [
      'a=b',
      `x${plainName}=${value}`,
      `${plainName}`,
      ';;;=;',
      `a="${plainName}`,
    ]) {
      expect((await session({ Cookie: text })).json, text).toMatchObject({ user: null })
    }
  })

  test('asks pages in their own way, and programs in theirs', async () => {
    const { client } = registry()
    const challenge = async (target: string, headers: Record<string, string>) =>
      (await client.get(target, headers)).headers['www-authenticate']
    const page = { 'X-Requested-With': 'FastRegistry' }
    expect(await challenge('/admin/status', page)).toBe('FastRegistry')
    expect(await challenge('/v2/', page)).toBe('FastRegistry')
    expect(await challenge('/admin/status', {})).toContain('Basic')
    expect(await challenge('/admin/status', { 'X-Requested-With': 'XMLHttpRequest' })).toContain(
      'Basic',
    )
  })

  test('waits like every other login after many failures', async () => {
    let answer = await login('bob', 'wrong-0')
    for (let number = 1; answer.status === 401; number += 1) {
      expect(number).toBeLessThan(100)
      answer = await login('bob', `wrong-${number}`)
    }
    expect(answer.status).toBe(503)
    expect(Number(answer.headers['retry-after'])).toBeGreaterThan(0)
    // The same for the password of other requests: they are counted together.
    expect((await registry().client.get('/v2/', basic('bob', 'wrong-x'))).status).toBe(503)
  })
})

const claimsFor = (cookie: string) => {
  const { sid, pwd, auth_time } = decodeJwt(cookie)
  return { sid, pwd, auth_time }
}

/** `fastregistry token …` beside the running server. */
async function token(registry: InProcessRegistry, ...words: string[]): Promise<string[]> {
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
  expect(await main(['token', ...words, '--config', path], terminal as never), lines.join()).toBe(0)
  return lines
}

describeRegistry('an open registry', {}, (registry) => {
  test('has nothing to log in to', async () => {
    const { client } = registry()
    const answer = await client.get('/admin/session')
    expect(answer.json).toMatchObject({
      kind: 'open',
      user: null,
      isAdmin: true,
      features: { access: false },
    })
    const login = await client.request('POST', '/admin/session', {
      headers: json,
      body: '{"user":"root","password":"x"}',
    })
    expect(login.status).toBe(409)
    const out = await client.request('DELETE', '/admin/session')
    expect([out.json, out.headers['set-cookie']]).toEqual([{ ended: false }, undefined])
  })
})
