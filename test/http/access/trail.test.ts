/**
 * @module The audit trail, limits, and proxies that are trusted or not, through the front door.
 */
import { mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { basic, htpasswd } from '../../support/access.ts'
import { auditLines } from '../../support/audit-trail.ts'
import { describeRegistry, until } from '../../support/in-process.ts'
import { sha256 } from '../../support/registry-client.ts'

const folder = mkdtempSync(join(tmpdir(), 'fastregistry-audit-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
const users = join(folder, 'htpasswd')
const password = 'a-very-secret-password'
writeFileSync(users, htpasswd({ alice: password }))
const trail = join(folder, 'audit.log')

const config = {
  auth: { type: 'htpasswd', htpasswd_file: users },
  access: [{ repositories: ['team/*'], users: ['alice'], actions: ['pull', 'push', 'delete'] }],
  audit: { file: trail },
}

describeRegistry('the audit trail', { config }, (registry) => {
  const alice = basic('alice', password)
  const records = () => auditLines(trail)

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

const full = { audit: { file: '/dev/full' }, metrics: { enabled: true } }

describeRegistry('an audit file on a full disk', { config: full }, (registry) => {
  test('costs lines, which are counted, and no request', async () => {
    const { client } = registry()
    const body = '{"schemaVersion":2,"manifests":[]}'
    const headers = { 'Content-Type': 'application/vnd.oci.image.index.v1+json' }
    const pushed = await client.request('PUT', '/v2/app/manifests/1', { headers, body })
    expect(pushed.status).toBe(201)
    const dropped = async () =>
      /^fastregistry_log_dropped_lines_total (\d+)$/m.exec((await client.get('/metrics')).text)?.[1]
    await until(async () => (await dropped()) === '1')
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

    test('says so by RFC 7239 too, and only where it does not by its own headers', async () => {
      const { client } = registry()
      const ask = (header: string, more = {}) =>
        client.get('/v2/_catalog', { forwarded: header, ...more })
      expect((await ask('for="203.0.113.9:4711";proto=https')).status).toBe(200)
      expect((await ask('for=198.51.100.7, for=203.0.113.9, for=10.0.0.1')).status).toBe(200)
      const forged = await ask('for=203.0.113.9, for=198.51.100.7;proto=https;host=r.example')
      expect(forged.status).toBe(401)
      expect(forged.headers['www-authenticate']).toContain('realm="https://r.example/token"')
      for (const said of ['for=unknown', 'for=_hidden', 'for="203.0.113.9', 'proto=https']) {
        expect((await ask(said)).status).toBe(401)
      }
      // The proxy writes `X-Forwarded-*`; what came as `Forwarded` is its client's word.
      expect((await ask('for=203.0.113.9', forwarded('198.51.100.7'))).status).toBe(401)
      const proto = { 'x-forwarded-proto': 'https' }
      expect((await ask('for=203.0.113.9', proto)).status).toBe(401)
    })
  },
)

describeRegistry('any other client', { config: proxied }, (registry) => {
  test('is not believed', async () => {
    const answer = await registry().client.get('/v2/_catalog', forwarded('203.0.113.9'))
    expect(answer.status).toBe(401)
    expect(answer.headers['www-authenticate']).toContain('realm="http://127.0.0.1:')
    const standard = await registry().client.get('/v2/_catalog', {
      forwarded: 'for=203.0.113.9;proto=https;host=registry.example',
    })
    expect(standard.status).toBe(401)
    expect(standard.headers['www-authenticate']).toContain('realm="http://127.0.0.1:')
  })
})
