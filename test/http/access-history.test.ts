/** @module The history names the user who did it, not only where he was. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { basic, htpasswd } from '../support/access.ts'
import { describeRegistry } from '../support/in-process.ts'

const folder = mkdtempSync(join(tmpdir(), 'fastregistry-history-'))
const file = join(folder, 'htpasswd')
writeFileSync(file, htpasswd({ alice: 'alice-secret' }))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const config = { auth: { type: 'htpasswd', htpasswd_file: file } }

describeRegistry('the history', { config }, (registry) => {
  test('names who pushed and who deleted', async () => {
    const { client } = registry()
    const alice = basic('alice', 'alice-secret')
    const path = '/v2/team/app/manifests/v1'
    const pushed = await client.request('PUT', path, {
      headers: { ...alice, 'Content-Type': 'application/vnd.oci.image.index.v1+json' },
      body: '{"schemaVersion":2,"manifests":[]}',
    })
    expect(pushed.status).toBe(201)
    expect((await client.request('DELETE', path, { headers: alice })).status).toBe(202)
    const { json } = await client.get('/admin/events', alice)
    const { events } = json as { events: { kind: string; by: string; repository: string }[] }
    const mine = events.filter(({ repository }) => repository === 'team/app')
    expect(mine.length).toBeGreaterThanOrEqual(2)
    expect(new Set(mine.map(({ by }) => by))).toEqual(new Set(['alice']))
  })
})
