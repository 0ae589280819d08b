/**
 * @module An upload session is its user's: for others it is not there, whatever they may do in its
 * repository; and a token that has ended is good for it for an hour.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, expect, test, vi } from 'vitest'
import { basic, bearer, htpasswd } from '../../support/access.ts'
import { auditLines } from '../../support/audit-trail.ts'
import { getFrom } from '../../support/from-address.ts'
import { describeRegistry, until } from '../../support/in-process.ts'
import { expectStatus, sha256, someBytes } from '../../support/registry-client.ts'

const folder = mkdtempSync(join(tmpdir(), 'fastregistry-owners-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
const file = join(folder, 'htpasswd')
writeFileSync(file, htpasswd({ alice: 'alice-secret', bob: 'bob-secret' }))
afterEach(() => {
  vi.useRealTimers()
})
const auth = {
  type: 'htpasswd',
  htpasswd_file: file,
  tokens: { realm: 'http://registry.test/token', service: 'registry.test' },
}
const access = [
  { repositories: ['team/**'], users: ['alice', 'bob'], actions: ['pull', 'push', 'delete'] },
  { repositories: ['open/**'], anonymous: true, actions: ['pull', 'push'] },
]
const alice = basic('alice', 'alice-secret')
const bob = basic('bob', 'bob-secret')

describeRegistry('an upload session', { config: { auth, access } }, (registry) => {
  const open = async (headers: Record<string, string>, repository = 'team/app') => {
    const path = `/v2/${repository}/blobs/uploads/`
    const answer = await registry().client.request('POST', path, { headers })
    expectStatus(answer, 202, 'the session')
    return String(answer.headers['location'])
  }
  const body = someBytes(2048, 7)
  const sealed = (location: string) => `${location}?digest=${sha256(body)}`

  test('is not there for another user, and goes on for its own', async () => {
    const { client } = registry()
    const location = await open(alice)
    const first = await client.request('PATCH', location, { headers: alice, body })
    expectStatus(first, 202, 'its own chunk')
    for (const [method, path] of [
      ['GET', location],
      ['PATCH', location],
      ['PUT', sealed(location)],
      ['DELETE', location],
    ] as const) {
      const answer = await client.request(method, path, {
        headers: bob,
        ...(method === 'GET' ? {} : { body }),
      })
      expect([answer.status, answer.text]).toEqual([
        404,
        expect.stringContaining('BLOB_UPLOAD_UNKNOWN'),
      ])
    }
    await registry().restart()
    expect((await registry().client.request('GET', location, { headers: bob })).status).toBe(404)
    const status = await registry().client.request('GET', location, { headers: alice })
    expect([status.status, status.headers['range']]).toEqual([204, '0-2047'])
    const put = await registry().client.request('PUT', sealed(location), { headers: alice })
    expectStatus(put, 201, 'its own end')
  })

  test('of nobody in particular is everybody’s', async () => {
    const location = await open({}, 'open/app')
    const put = await registry().client.request('PUT', sealed(location), { headers: {}, body })
    expectStatus(put, 201, 'without credentials')
  })

  test('takes a token of its user for an hour after its end, and of nobody else', async () => {
    const tokenOf = async (headers: Record<string, string>) => {
      const scope = 'repository:team/app:pull,push'
      const answer = await registry().client.get(
        `/token?service=registry.test&scope=${scope}`,
        headers,
      )
      const { token, expires_in } = answer.json as { token: string; expires_in: number }
      return { headers: bearer(token), endsAt: Date.now() + expires_in * 1000 }
    }
    const [mine, theirs] = [await tokenOf(alice), await tokenOf(bob)]
    const location = await open(alice)
    const ask = async (token: typeof mine) =>
      (await registry().client.request('GET', location, { headers: token.headers })).status
    expect(await ask(mine)).toBe(204)
    expect(await ask(theirs)).toBe(404)
    const minute = 60_000
    vi.useFakeTimers({ toFake: ['Date'] })
    vi.setSystemTime(mine.endsAt + 59 * minute)
    // Verdicts are remembered for a while: it is judged anew by another process.
    await registry().restart()
    expect(await ask(mine)).toBe(204)
    expect(await ask(theirs)).toBe(401)
    vi.setSystemTime(mine.endsAt + 61 * minute)
    expect(await ask(mine)).toBe(401)
  })
})

const audit = { file: join(folder, 'audit.log') }

describeRegistry('refusals', { config: { auth, access, audit } }, (registry, engine) => {
  test('that are repeated are summed up', async () => {
    const address = engine === 'uws' ? '127.0.9.1' : '127.0.9.2'
    for (let index = 0; index < 300; index += 1) {
      expect((await getFrom(registry().client, address, '/v2/team/app/tags/list')).status).toBe(401)
    }
    await registry().stop()
    const mine = () => auditLines(audit.file).filter((line) => line['address'] === address)
    await until(() => mine().some((line) => line['count'] !== undefined))
    expect(mine()).toHaveLength(65)
    expect(mine().at(-1)).toMatchObject({ reason: 'no-credentials', count: 300 - 64 })
  })
})
