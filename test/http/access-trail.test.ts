/**
 * @module The audit trail, limits, and proxies that are trusted or not, through the front door.
 */
import { mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { basic, htpasswd } from '../support/access.ts'
import { describeRegistry, until } from '../support/in-process.ts'
import { sha256 } from '../support/registry-client.ts'

const folder = mkdtempSync(join(tmpdir(), 'fastregistry-audit-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
const users = join(folder, 'htpasswd')
const password = 'a-very-secret-password'
writeFileSync(users, htpasswd({ alice: password, root: password }))
const trail = join(folder, 'audit.log')

const config = {
  auth: { type: 'htpasswd', htpasswd_file: users },
  access: [
    { repositories: ['team/*'], users: ['alice'], actions: ['pull', 'push', 'delete'] },
    { repositories: ['**'], users: ['root'], actions: ['admin'] },
  ],
  audit: { file: trail },
}

describeRegistry('the audit trail', { config }, (registry) => {
  const alice = basic('alice', password)
  const admin = basic('root', password)
  const records = (file = trail) =>
    readFileSync(file, 'utf8')
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as Record<string, unknown>)

  test('has a line for each change and each refusal, and no secret', async () => {
    const { client } = registry()
    const before = records().length
    const body = Buffer.from('{"schemaVersion":2,"manifests":[]}')
    const headers = { ...alice, 'Content-Type': 'application/vnd.oci.image.index.v1+json' }
    await client.request('PUT', '/v2/team/app/manifests/1', { headers, body })
    await client.get('/v2/team/app/manifests/1', alice)
    await client.request('DELETE', '/v2/team/app/manifests/1', { headers: alice })
    await client.get('/v2/other/app/manifests/1', alice)
    await client.get('/v2/team/app/manifests/1')
    await client.get('/v2/', basic('alice', 'wrong-secret'))
    await client.get('/v2/', basic('typed-my-password', 'x'))
    await until(() => records().length >= before + 6)
    const seen = records().slice(before)
    const digest = sha256(body)
    const done = { event: 'audit', decision: 'done', user: 'alice', via: 'basic' }
    const where = { address: '127.0.0.1', repository: 'team/app', reference: '1' }
    expect(seen[0]).toMatchObject({ ...done, ...where, action: 'push', digest, status: 201 })
    expect(seen[1]).toMatchObject({ ...done, ...where, action: 'delete', status: 202 })
    const refused = { decision: 'refused' }
    expect(seen[2]).toMatchObject({ ...refused, user: 'alice', repository: 'other/app' })
    expect(seen[3]).toMatchObject({ ...refused, user: '', reason: 'no-credentials' })
    expect(seen[4]).toMatchObject({ ...refused, user: 'alice', reason: 'wrong-credentials' })
    expect(seen[5]).toMatchObject({ ...refused, user: '(unknown)' })
    for (const { requestId, time } of seen) {
      expect(requestId).toMatch(/./)
      expect(time).toMatch(/Z$/)
    }
    const everything = [readFileSync(trail, 'utf8'), ...registry().logLines].join('\n')
    for (const secret of [password, 'wrong-secret', 'typed-my-password', ...Object.values(alice)]) {
      expect(everything).not.toContain(secret.replace('Basic ', ''))
    }
  })

  test('has a line for each login that was not looked at, and for a request of another site', async () => {
    const { client } = registry()
    const before = records().length
    const asForm = { 'Content-Type': 'application/x-www-form-urlencoded' }
    const throttledOf = async (ask: (password: string) => Promise<{ status: number }>) => {
      const answers = await Promise.all(
        Array.from({ length: 25 }, (_, index) => ask(`guess-${index}`)),
      )
      return answers.filter(({ status }) => status === 503).length
    }
    const ofAlice = await throttledOf((guess) => client.get('/v2/', basic('alice', guess)))
    const ofForm = await throttledOf((guess) => {
      const body = `grant_type=password&username=alice&password=form-${guess}`
      return client.request('POST', '/token', { headers: asForm, body })
    })
    const ofStranger = await throttledOf((guess) => {
      return client.get('/v2/', basic('typed-my-password', guess))
    })
    expect(Math.min(ofAlice, ofForm, ofStranger)).toBeGreaterThan(0)
    const site = { Origin: 'https://elsewhere.example' }
    const elsewhere = await client.get('/admin/status', { ...admin, ...site })
    expect(elsewhere.status).toBe(403)
    await until(() => records().length >= before + 76)
    const seen = records().slice(before)
    const throttled = seen.filter(({ reason }) => reason === 'throttled')
    const where = { decision: 'refused', action: 'login', address: '127.0.0.1' }
    const lines = (user: string, count: number) => Array(count).fill({ ...where, user })
    expect(throttled.filter(({ user }) => user === 'alice')).toMatchObject(
      lines('alice', ofAlice + ofForm),
    )
    expect(throttled.filter(({ user }) => user !== 'alice')).toMatchObject(
      lines('(unknown)', ofStranger),
    )
    const refused = { action: 'admin', decision: 'refused', user: 'root', path: '/admin/status' }
    expect(seen.find(({ action }) => action === 'admin')).toMatchObject({
      ...refused,
      reason: 'other-site',
      status: 403,
    })
    expect(readFileSync(trail, 'utf8')).not.toMatch(/guess-|typed-my-password/)
  })

  test('can be searched by an administrator alone, page by page', async () => {
    const { client } = registry()
    const ask = async (query: string) => {
      const answer = await client.get(`/admin/audit?${query}`, admin)
      expect(answer.status).toBe(200)
      return answer.json as { lines: Record<string, unknown>[]; next?: string }
    }
    await client.get('/v2/other/app/manifests/1', alice)
    await until(() => records().length > 0)
    const refused = await ask('user=alice&decision=refused&repository=other/app&limit=1')
    expect(refused.lines).toMatchObject([{ user: 'alice', reason: 'not-allowed' }])
    const pages: unknown[] = []
    let next: string | undefined
    do {
      const page = await ask(`limit=10${next === undefined ? '' : `&after=${next}`}`)
      pages.push(...page.lines.map(({ requestId }) => requestId))
      next = page.next
    } while (next !== undefined)
    const written = records().map(({ requestId }) => requestId)
    expect(pages).toEqual(written.reverse().slice(-pages.length))
    expect(pages.length).toBeGreaterThan(10)
    const byId = await ask(`requestId=${String(written[0])}`)
    expect(byId.lines).toHaveLength(1)
    expect((await ask('until=2001-01-01T00:00:00Z')).lines).toEqual([])
    expect((await client.get('/admin/audit?after=x', admin)).status).toBe(400)
    expect((await client.get('/admin/audit?after=1-2', admin)).status).toBe(410)
    expect((await client.get('/admin/audit', alice)).status).toBe(403)
    expect((await client.get('/admin/audit')).status).toBe(401)
  })

  test('goes on in a new file at SIGHUP', async () => {
    const { client } = registry()
    const moved = join(folder, 'moved.log')
    renameSync(trail, moved)
    process.emit('SIGHUP')
    await client.get('/v2/', basic('alice', 'wrong'))
    await until(() => records().length === 1)
    expect(records()[0]).toMatchObject({ decision: 'refused', user: 'alice' })
  })
})

const limited = { limits: { requests_per_second: 5 } }

describeRegistry('limits', { config: limited, engines: ['uws'] }, (registry) => {
  test('let a request wait for a moment, then answer 503 with Retry-After, never 429', async () => {
    const { client } = registry()
    const answers = await Promise.all(Array.from({ length: 30 }, () => client.get('/v2/')))
    const count = (status: number) => answers.filter((answer) => answer.status === status).length
    expect(count(200)).toBeGreaterThanOrEqual(5)
    expect(count(503)).toBeGreaterThan(0)
    expect(count(200) + count(503)).toBe(30)
    const refused = answers.find(({ status }) => status === 503)!
    expect(Number(refused.headers['retry-after'])).toBeGreaterThan(0)
    expect((await client.get('/health')).status).toBe(200)
  })
})

const proxied = {
  auth: { type: 'htpasswd', htpasswd_file: users, tokens: { challenge: 'bearer' } },
  access: [
    {
      repositories: ['**'],
      anonymous: true,
      networks: ['203.0.113.0/24'],
      actions: ['pull', 'list'],
    },
  ],
}
const forwarded = (client: string) => ({
  'x-forwarded-for': client,
  'x-forwarded-proto': 'https',
  'x-forwarded-host': 'registry.example',
})

describeRegistry(
  'a trusted proxy',
  { config: { ...proxied, server: { trusted_proxies: ['127.0.0.0/8', '10.0.0.1'] } } },
  (registry) => {
    test('says who the client is and what it asked for', async () => {
      const { client } = registry()
      const inside = await client.get('/v2/_catalog', forwarded('203.0.113.9'))
      expect(inside.status).toBe(200)
      // What stands left of the first hop that nobody trusts may be forged.
      const forged = await client.get(
        '/v2/_catalog',
        forwarded('203.0.113.9, 198.51.100.7, 10.0.0.1'),
      )
      expect(forged.status).toBe(401)
      expect(forged.headers['www-authenticate']).toContain(
        'realm="https://registry.example/token",service="registry.example"',
      )
    })
  },
)

describeRegistry('any other client', { config: proxied }, (registry) => {
  test('is not believed', async () => {
    const answer = await registry().client.get('/v2/_catalog', forwarded('203.0.113.9'))
    expect(answer.status).toBe(401)
    expect(answer.headers['www-authenticate']).toContain('realm="http://127.0.0.1:')
  })
})
