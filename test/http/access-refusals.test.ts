/**
 * @module Every way to be refused has its line in the audit trail, one for each request, with who,
 * where and why; and none has what a stranger typed as a name or as a secret.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { basic, htpasswd } from '../support/access.ts'
import { type AuditLine, auditLines } from '../support/audit-trail.ts'
import { getFrom } from '../support/from-address.ts'
import { describeRegistry, until } from '../support/in-process.ts'

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
    expect(lines.filter(({ reason }) => reason === 'throttled').length).toBeGreaterThanOrEqual(10)
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
