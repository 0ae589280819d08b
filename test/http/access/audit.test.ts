/**
 * @module `GET /admin/audit`: filters and pages over what the registry itself has written, a file
 * that is moved away between two pages, lines of others, and no secret in any answer.
 */
import { appendFileSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { basic, htpasswd } from '../../support/access.ts'
import { auditLines } from '../../support/audit-trail.ts'
import { describeRegistry, until } from '../../support/in-process.ts'
import { sha256 } from '../../support/registry-client.ts'

const folder = mkdtempSync(join(tmpdir(), 'fastregistry-audit-search-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
const users = join(folder, 'htpasswd')
writeFileSync(users, htpasswd({ root: 'root-secret', alice: 'alice-secret' }))
const trail = join(folder, 'audit.log')

const config = {
  auth: { type: 'htpasswd', htpasswd_file: users },
  access: [
    { repositories: ['**'], users: ['root'], actions: ['pull', 'push', 'delete', 'list', 'admin'] },
    { repositories: ['team/*'], users: ['alice'], actions: ['pull', 'push', 'delete'] },
  ],
  audit: { file: trail },
}

interface Page {
  readonly entries: readonly Readonly<Record<string, unknown>>[]
  readonly next?: string
}

describeRegistry('a search of the audit trail', { config }, (registry) => {
  const root = basic('root', 'root-secret')
  const alice = basic('alice', 'alice-secret')
  const ask = (query: Record<string, string> = {}) =>
    registry().client.get(`/admin/audit?${new URLSearchParams(query)}`, root)
  const page = async (query: Record<string, string> = {}) => {
    const answer = await ask(query)
    expect(answer.status, answer.text).toBe(200)
    return answer.json as Page
  }

  test('finds by each field and by time, newest first', async () => {
    const { client } = registry()
    await client.get('/v2/', root)
    const began = new Date().toISOString()
    const body = '{"schemaVersion":2,"manifests":[]}'
    const headers = { ...alice, 'Content-Type': 'application/vnd.oci.image.index.v1+json' }
    await client.request('PUT', '/v2/team/app/manifests/1', { headers, body })
    const denied = await client.get('/v2/other/app/manifests/1', alice)
    await client.get('/v2/', basic('alice', 'wrong-secret'))
    await client.get('/v2/', basic('typed-my-secret', 'x'))
    await client.request('DELETE', '/v2/team/app/manifests/1', { headers: alice })
    const actions = async (query: Record<string, string>) =>
      (await page({ since: began, ...query })).entries.map(({ action }) => action)
    // What has just happened is there at once.
    expect(await actions({})).toEqual(['delete', 'login', 'login', 'pull', 'push'])
    expect(await actions({ user: 'alice' })).toEqual(['delete', 'login', 'pull', 'push'])
    expect(await actions({ user: 'alice', decision: 'refused' })).toEqual(['login', 'pull'])
    expect(await actions({ user: '(unknown)' })).toEqual(['login'])
    expect(await actions({ action: 'push' })).toEqual(['push'])
    expect(await actions({ repository: 'team/app' })).toEqual(['delete', 'push'])
    expect(await actions({ address: '127.0.0.1' })).toHaveLength(5)
    expect(await actions({ address: '127.0.0.2' })).toEqual([])
    const requestId = String(denied.headers['x-request-id'])
    expect((await page({ requestId })).entries).toMatchObject([
      { action: 'pull', decision: 'refused', reason: 'not-allowed', repository: 'other/app' },
    ])
    const [, pushed] = (await page({ since: began, repository: 'team/app' })).entries
    expect(pushed).toEqual({
      ...{ action: 'push', decision: 'done', user: 'alice', via: 'basic', status: 201 },
      ...{ address: '127.0.0.1', repository: 'team/app', reference: '1', digest: sha256(body) },
      ...{ time: expect.any(String), requestId: expect.any(String) },
    })
    const time = String(pushed!['time'])
    expect(await actions({ until: began })).toEqual([])
    expect((await page({ since: time, action: 'push', limit: '1' })).entries).toEqual([pushed])
    expect((await page({ until: time, requestId: String(pushed!['requestId']) })).entries).toEqual(
      [],
    )
    const everything = (await ask({ limit: '1000' })).text
    for (const secret of ['wrong-secret', 'typed-my-secret', ...Object.values(alice)]) {
      expect(everything).not.toContain(secret.replace('Basic ', ''))
    }
  })

  test('shows the fields of a record and nothing else, and passes over broken lines', async () => {
    const time = new Date().toISOString()
    const record = { event: 'audit', time, action: 'login', decision: 'refused', user: 'planted' }
    const planted = [
      { ...record, password: 'planted-secret', requestId: 'one' },
      { ...record, event: 'other', requestId: 'two' },
      { ...record, decision: 'maybe', requestId: 'three' },
      { ...record, status: 'high', requestId: 'four' },
      { ...record, time: 'soon', requestId: 'five' },
    ]
    const lines = planted.map((fields) => JSON.stringify(fields))
    appendFileSync(
      trail,
      ['{"event":"audit","user":"planted"', 'planted', '', ...lines, ''].join('\n'),
    )
    const answer = await ask({ user: 'planted' })
    expect(answer.text).not.toContain('planted-secret')
    const { event: _, ...shown } = record
    const { entries } = answer.json as Page
    expect(entries).toMatchObject([{ ...shown, requestId: 'one' }])
    expect(Object.keys(entries[0]!)).not.toContain('password')
  })

  test('goes from page to page while more is written', async () => {
    const { client } = registry()
    const since = new Date().toISOString()
    const refuse = (count: number) => client.get(`/v2/paged/app/manifests/${count}`, alice)
    const ids: string[] = []
    for (let count = 0; count < 7; count += 1) {
      ids.unshift(String((await refuse(count)).headers['x-request-id']))
    }
    const query = { since, limit: '3', repository: 'paged/app' }
    const seen: unknown[] = []
    let { entries, next } = await page(query)
    seen.push(...entries)
    while (next !== undefined) {
      await refuse(99)
      const more: Page = await page({ ...query, after: next })
      seen.push(...more.entries)
      next = more.next
      expect(seen.length).toBeLessThanOrEqual(7)
    }
    expect(seen.map((entry) => (entry as { requestId: string }).requestId)).toEqual(ids)
  })

  test('says when the file was moved away between two pages', async () => {
    const { client } = registry()
    await client.get('/v2/before/app/manifests/1', alice)
    await client.get('/v2/before/app/manifests/1', alice)
    const { next = '' } = await page({ limit: '1' })
    renameSync(trail, join(folder, `moved-${Date.now()}.log`))
    process.emit('SIGHUP')
    await client.get('/v2/after/app/manifests/1', alice)
    await until(() => auditLines(trail).length === 1)
    const gone = await ask({ after: next })
    expect(gone.status).toBe(410)
    expect(gone.json).toMatchObject({ code: 'rotated' })
    expect((await page()).entries).toMatchObject([{ repository: 'after/app' }])
    expect((await ask({ after: 'nonsense' })).status).toBe(400)
  })

  test('is for administrators', async () => {
    const { client } = registry()
    expect((await client.get('/admin/audit', alice)).status).toBe(403)
    expect((await client.get('/admin/audit')).status).toBe(401)
    const bad: Record<string, string>[] = [{ limit: '0' }, { decision: 'x' }, { since: 'today' }]
    for (const query of bad) expect((await ask(query)).status, JSON.stringify(query)).toBe(400)
    const { paths } = (await client.get('/admin/openapi.json', root)).json as { paths: object }
    expect(paths).toHaveProperty(['/admin/audit'])
  })
})

for (const [name, more, words] of [
  ['off', {}, 'there is no audit trail; set audit.file'],
  ['on standard output', { audit: { file: 'stdout' } }, 'standard output'],
] as const) {
  describeRegistry(`an audit trail that is ${name}`, { config: more }, (registry) => {
    test('cannot be searched, and the answer says what to set', async () => {
      const answer = await registry().client.get('/admin/audit')
      expect(answer.status).toBe(404)
      expect(answer.text).toContain(words)
      expect(answer.text).toContain('set audit.file to the path of a file')
    })
  })
}
