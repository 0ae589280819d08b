/** @module The history names the user who did it, not only where he was. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { basic, htpasswd } from '../support/access.ts'
import { describeRegistry } from '../support/in-process.ts'
import { sha256, someBytes } from '../support/registry-client.ts'

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

  test('names who pushed a blob, small or large, in one request or in several', async () => {
    const { client } = registry()
    const headers = basic('alice', 'alice-secret')
    const blobs = [someBytes(100, 1), someBytes(200_000, 2), someBytes(300, 3)]
    const uploads = '/v2/team/blobs/blobs/uploads/'
    for (const body of blobs.slice(0, 2)) {
      const path = `${uploads}?digest=${sha256(body)}`
      expect((await client.request('POST', path, { headers, body })).status).toBe(201)
    }
    const session = await client.request('POST', uploads, { headers })
    const path = `${session.headers['location']}?digest=${sha256(blobs[2]!)}`
    expect((await client.request('PUT', path, { headers, body: blobs[2]! })).status).toBe(201)
    const { json } = await client.get('/admin/events?repository=team/blobs', headers)
    expect(json).toMatchObject({
      events: blobs.map((body) => ({ action: 'push-blob', by: 'alice', digest: sha256(body) })),
    })
  })
})
