/**
 * @module Every way to be refused has its line in the audit trail, one for each request, with who,
 * where and why; and none has what a stranger typed as a name or as a secret.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { basic, bearer, forgeToken, htpasswd } from '../../support/access.ts'
import { type AuditLine, auditLines } from '../../support/audit-trail.ts'
import { lastLine, runCli } from '../../support/cli.ts'
import { getFrom } from '../../support/from-address.ts'
import { describeRegistry, until } from '../../support/in-process.ts'
import { sha256 } from '../../support/registry-client.ts'

const folder = mkdtempSync(join(tmpdir(), 'fastregistry-refusals-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
const file = join(folder, 'htpasswd')
writeFileSync(file, htpasswd({ alice: 'alice-secret', bob: 'bob-secret' }))
const auth = { type: 'htpasswd', htpasswd_file: file, tokens: { realm: 'http://r.test/token' } }
const trail = (name: string) => join(folder, `${name}.log`)

/** The lines of one address, when there are as many as expected; more would be one too many. */
async function linesOf(file: string, address: string, count: number): Promise<AuditLine[]> {
  const mine = () => auditLines(file).filter((line) => line['address'] === address)
  await until(() => mine().length >= count)
  return mine()
}

const throttled = { auth, audit: { file: trail('throttled') } }

describeRegistry('a login that has to wait', { config: throttled }, (registry, engine) => {
  const file = trail('throttled')
  // Addresses of its own for each engine: both write to one file.
  const at = (host: number) => `127.0.${engine === 'uws' ? 40 : 41}.${host}`

  test.each(['/v2/', '/token'])('is a line each, below %s', async (path) => {
    const { client } = registry()
    const address = at(path === '/token' ? 2 : 1)
    const statuses: number[] = []
    const guess = async (count: number) => {
      const name = basic('alice', `guess ${count}`)
      statuses.push((await getFrom(client, address, path, name)).status)
    }
    for (let count = 0; statuses.filter((status) => status === 503).length < 3; count += 1) {
      await guess(count)
    }
    const lines = await linesOf(file, address, statuses.length)
    const reasons = lines.map(({ reason }) => reason)
    const expected = (status: number) => (status === 401 ? 'wrong-credentials' : 'throttled')
    expect(reasons).toEqual(statuses.map(expected))
    const refused = { event: 'audit', action: 'login', decision: 'refused', user: 'alice' }
    for (const line of lines) {
      expect(line).toMatchObject(refused)
      expect(line['requestId']).toMatch(/./)
    }
  })

  test('of a name that is no user says so, and not the name', async () => {
    const { client } = registry()
    const address = at(3)
    // All at once: each pays in advance, and twenty is what a name has.
    const guesses = Array.from({ length: 40 }, (_, index) =>
      getFrom(client, address, '/v2/', basic('typed-secret', `guess ${index}`)),
    )
    await Promise.all(guesses)
    const lines = await linesOf(file, address, 40)
    expect(lines.length).toBe(40)
    // Whether it is the name's turns or the client's line that has none left is a matter of time.
    const putOff = lines.filter(({ reason }) => reason === 'throttled' || reason === 'busy')
    expect(putOff.length).toBeGreaterThanOrEqual(10)
    expect(new Set(lines.map(({ user }) => user))).toEqual(new Set(['(unknown)']))
    expect(readFileSync(file, 'utf8')).not.toContain('typed-secret')
  })

  test('with a form is one too', async () => {
    const { client } = registry()
    const before = auditLines(file).length
    const ask = async (username: string, count: number) => {
      const fields = { grant_type: 'password', username, password: `form guess ${count}` }
      const answer = await client.request('POST', '/token', {
        headers: { 'Content-Type': 'application/x-www-form-urlencoded' },
        body: new URLSearchParams(fields).toString(),
      })
      return answer.status
    }
    let asked = 0
    for (let last = 401; last !== 503; asked += 1) last = await ask('bob', asked)
    await until(() => auditLines(file).length >= before + asked)
    expect(auditLines(file).at(-1)).toMatchObject({
      reason: 'throttled',
      user: 'bob',
      address: '127.0.0.1',
    })
    expect(readFileSync(file, 'utf8')).not.toContain('guess')
  })

  test('behind too many others is called busy', async () => {
    const { client } = registry()
    const address = at(4)
    const guesses = Array.from({ length: 60 }, (_, index) =>
      getFrom(client, address, '/v2/', basic(`many-${index}`, 'guess')),
    )
    const statuses = (await Promise.all(guesses)).map(({ status }) => status)
    const lines = await linesOf(file, address, statuses.length)
    expect(lines.length).toBe(statuses.length)
    const reasons = new Set(lines.map(({ reason }) => reason))
    expect(reasons).toContain('busy')
    const waited = lines.filter(({ reason }) => reason === 'busy' || reason === 'throttled')
    expect(waited.length).toBe(statuses.filter((status) => status === 503).length)
  })
})

const actions = ['pull', 'push', 'delete', 'list']
const ruled = {
  auth,
  access: [
    { repositories: ['**'], users: ['alice'], actions: [...actions, 'admin'] },
    { repositories: ['team/*'], users: ['bob'], actions },
  ],
  metrics: { enabled: true },
}

describeRegistry(
  'a refused request',
  { config: { ...ruled, audit: { file: trail('ruled') } } },
  (registry) => {
    const file = trail('ruled')
    const alice = basic('alice', 'alice-secret')
    const bob = basic('bob', 'bob-secret')

    /** What the requests that `ask` sends have written, when it is as much as expected. */
    async function linesAfter(count: number, ask: () => Promise<unknown>): Promise<AuditLine[]> {
      const before = auditLines(file).length
      await ask()
      await until(() => auditLines(file).length >= before + count)
      const seen = auditLines(file).slice(before)
      expect(seen.length).toBe(count)
      return seen
    }

    test('by a rule is a line, whatever was asked for', async () => {
      const { client } = registry()
      const asked: [string, string, object][] = [
        ['GET', '/v2/other/app/manifests/1', { action: 'pull', repository: 'other/app' }],
        ['HEAD', '/v2/other/app/blobs/x', { action: 'pull', repository: 'other/app' }],
        ['POST', '/v2/other/app/blobs/uploads/', { action: 'push', repository: 'other/app' }],
        ['DELETE', '/v2/other/app/manifests/1', { action: 'delete', repository: 'other/app' }],
        ['GET', '/v2/other/app/tags/list', { action: 'list', repository: 'other/app' }],
        ['GET', '/admin/status', { action: 'admin', repository: '/admin' }],
        ['GET', '/metrics', { action: 'pull', repository: '/metrics' }],
      ]
      for (const [method, path, expected] of asked) {
        const [line] = await linesAfter(1, () => client.request(method, path, { headers: bob }))
        const more = { decision: 'refused', user: 'bob', via: 'basic', reason: 'not-allowed' }
        expect(line).toMatchObject({ ...expected, ...more, address: '127.0.0.1' })
      }
      const [nobody] = await linesAfter(1, () => client.get('/v2/_catalog'))
      expect(nobody).toMatchObject({ user: '', via: 'none', reason: 'no-credentials' })
    })

    test('with a token that is false, expired or revoked is a line', async () => {
      const { client, folder: storage } = registry()
      const claims = { sub: 'bob', exp: Math.floor(Date.now() / 1000) - 60 }
      const expired = await forgeToken(storage, { ...claims, aud: 'r.test' })
      const path = join(folder, 'cli.yaml')
      const users = `auth: { type: htpasswd, htpasswd_file: ${join(folder, 'htpasswd')} }`
      writeFileSync(path, `storage: { path: ${storage} }\n${users}\n`)
      const run = (...words: string[]) => runCli(['token', ...words, '--config', path])
      const wish = ['--repositories', 'team/*', '--actions', 'pull', '--expires', '1h']
      const created = await run('create', '--user', 'bob', ...wish)
      const made = lastLine(created)
      const login = basic('bob', made)
      await until(async () => (await client.get('/v2/', login)).status === 200)
      const issued = await client.get('/token?service=r.test', login)
      const { token } = issued.json as { token: string }
      await run('revoke', /^frt_([0-9a-f]+)_/.exec(made)![1]!)
      await until(async () => (await client.get('/v2/', login)).status === 401)
      await client.get('/v2/', bearer(token))
      await client.get('/v2/', bearer('not.a.token'))
      await client.get('/v2/', { authorization: 'Digest nonsense' })
      await until(() => auditLines(file).at(-1)?.['reason'] === 'malformed')
      expect(auditLines(file).slice(-4)).toMatchObject([
        { reason: 'wrong-credentials', user: 'bob' },
        { reason: 'invalid-token', user: 'bob' },
        { reason: 'invalid-token', user: '' },
        { reason: 'malformed', user: '' },
      ])
      const [late] = await linesAfter(1, () => client.get('/v2/', bearer(expired)))
      expect(late).toMatchObject({ action: 'login', reason: 'invalid-token' })
      const text = readFileSync(file, 'utf8')
      for (const secret of [made, token, expired, 'nonsense']) expect(text).not.toContain(secret)
    })

    test('for want of a wider token at a mount is a line', async () => {
      const { client } = registry()
      const body = Buffer.from('mounted')
      const digest = sha256(body)
      const target = `/v2/team/source/blobs/uploads/?digest=${digest}`
      await client.request('POST', target, { headers: bob, body })
      const scope = 'repository:team/app:pull,push'
      const issued = await client.get(`/token?service=r.test&scope=${scope}`, bob)
      const narrow = bearer((issued.json as { token: string }).token)
      await until(() => auditLines(file).at(-1)?.['digest'] === digest)
      const mount = `/v2/team/app/blobs/uploads/?mount=${digest}&from=team/source`
      const [line] = await linesAfter(1, () => client.request('POST', mount, { headers: narrow }))
      expect(line).toMatchObject({ action: 'pull', decision: 'refused', user: 'bob' })
      expect(line).toMatchObject({ repository: 'team/source', reason: 'not-allowed' })
    })

    test('from a page of another site is a line', async () => {
      const { client } = registry()
      for (const [method, path] of [
        ['GET', '/admin/events'],
        ['POST', '/admin/gc'],
      ] as const) {
        const headers = { ...alice, Origin: 'https://evil.example' }
        const [line] = await linesAfter(1, () => client.request(method, path, { headers }))
        const who = { action: 'admin', decision: 'refused', user: 'alice', address: '127.0.0.1' }
        expect(line).toMatchObject({ ...who, path, reason: 'cross-site', status: 403 })
      }
    })
  },
)

const limited = { auth, limits: { requests_per_second: 5 }, audit: { file: trail('limited') } }

describeRegistry('a request beyond the limits', { config: limited }, (registry, engine) => {
  const file = trail('limited')
  const network = `127.0.${engine === 'uws' ? 50 : 51}`
  const refusedBy = (answers: readonly { status: number }[]) =>
    answers.filter(({ status }) => status === 503).length

  test('of an address is a line, and of a user', async () => {
    const { client } = registry()
    const path = '/v2/team/app/tags/list'
    const one = await Promise.all(
      Array.from({ length: 20 }, () => getFrom(client, `${network}.1`, path)),
    )
    expect(refusedBy(one)).toBeGreaterThan(0)
    const bob = basic('bob', 'bob-secret')
    const many = await Promise.all(
      Array.from({ length: 30 }, (_, index) =>
        getFrom(client, `${network}.${index + 2}`, path, bob),
      ),
    )
    expect(refusedBy(many)).toBeGreaterThan(0)
    const mine = () =>
      auditLines(file).filter(
        ({ address, reason }) => reason === 'limited' && String(address).startsWith(network),
      )
    await until(() => mine().length >= refusedBy(one) + refusedBy(many))
    const asked = { action: 'list', decision: 'refused', repository: 'team/app' }
    const byAddress = mine().filter(({ address }) => address === `${network}.1`)
    expect(byAddress.length).toBe(refusedBy(one))
    for (const line of byAddress) expect(line).toMatchObject({ ...asked, user: '' })
    const byUser = mine().filter(({ user }) => user === 'bob')
    expect(byUser.length).toBe(refusedBy(many))
    for (const line of byUser) expect(line).toMatchObject({ ...asked, via: 'basic' })
  })
})

const crowded = {
  auth,
  server: { max_uploads_per_client: 1 },
  audit: { file: trail('crowded') },
}

describeRegistry('an upload session too many', { config: crowded }, (registry) => {
  test('is a line with its user, and the one that was opened is none', async () => {
    const { client } = registry()
    const headers = basic('bob', 'bob-secret')
    const ask = () => client.request('POST', '/v2/team/app/blobs/uploads/', { headers })
    expect((await ask()).status).toBe(202)
    const refused = await ask()
    expect(refused.status).toBe(503)
    const mine = () =>
      auditLines(trail('crowded')).filter(
        ({ requestId }) => requestId === refused.headers['x-request-id'],
      )
    await until(() => mine().length > 0)
    expect(mine()).toMatchObject([
      {
        action: 'push',
        decision: 'refused',
        reason: 'too-many-uploads',
        user: 'bob',
        repository: 'team/app',
      },
    ])
  })
})

const mirrored = {
  config: { audit: { file: trail('mirrored') } },
  mirrors: [{ name: 'hub', upstream: 'http://127.0.0.1:9', allow: ['library/**'] }],
}

describeRegistry('what a mirror forbids', mirrored, (registry) => {
  test('is a line, though the registry is open', async () => {
    const { client } = registry()
    const file = trail('mirrored')
    const before = auditLines(file).length
    expect((await client.get('/v2/hub/other/app/manifests/1')).status).toBe(403)
    const push = '/v2/hub/library/app/blobs/uploads/'
    expect((await client.request('POST', push)).status).toBe(403)
    await until(() => auditLines(file).length >= before + 2)
    const refused = { decision: 'refused', reason: 'mirror', user: '', address: '127.0.0.1' }
    expect(auditLines(file).slice(before)).toMatchObject([
      { ...refused, action: 'pull', repository: 'hub/other/app' },
      { ...refused, action: 'push', repository: 'hub/library/app' },
    ])
  })
})
