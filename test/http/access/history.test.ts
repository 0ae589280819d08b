/** @module The history names the user who did it, not only where he was. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { basic, htpasswd } from '../../support/access.ts'
import { describeRegistry } from '../../support/in-process.ts'
import { expectStatus, sha256, someBytes } from '../../support/registry-client.ts'

const folder = mkdtempSync(join(tmpdir(), 'fastregistry-history-'))
const file = join(folder, 'htpasswd')
writeFileSync(file, htpasswd({ alice: 'alice-secret', bob: 'bob-secret' }))
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

  test('names who pushed a blob, in whatever way', async () => {
    const { client } = registry()
    const bob = basic('bob', 'bob-secret')
    const alice = basic('alice', 'alice-secret')
    const uploads = '/v2/team/blobs/blobs/uploads/'
    // Of a few bytes, and of so many that they have a file and pass a session.
    for (const [seed, sizeBytes] of [100, 300_000].entries()) {
      const whole = someBytes(sizeBytes, seed + 1)
      const one = `${uploads}?digest=${sha256(whole)}`
      const once = await client.request('POST', one, { headers: alice, body: whole })
      expectStatus(once, 201, 'a push in one request')
      const parts = someBytes(sizeBytes, seed + 11)
      const opened = await client.request('POST', uploads, { headers: alice })
      const at = String(opened.headers['location'])
      await client.request('PATCH', at, { headers: alice, body: parts })
      const end = `${at}?digest=${sha256(parts)}`
      const ended = await client.request('PUT', end, { headers: alice, body: '' })
      expectStatus(ended, 201, 'a push in parts')
      const theirs = await client.request('POST', uploads, { headers: bob })
      const stolen = `${String(theirs.headers['location'])}?digest=${sha256(parts)}`
      expect((await client.request('PUT', stolen, { headers: alice, body: parts })).status).toBe(
        404,
      )
    }
    const target = '/admin/events?repository=team/blobs&action=push-blob'
    const { json } = await client.get(target, alice)
    const { events } = json as { events: { by: string; digest: string }[] }
    expect(events.map(({ by }) => by)).toEqual(['alice', 'alice', 'alice', 'alice'])
    const none = (await client.get(`${target}&by=127.0.0.1`, alice)).json as { events: unknown[] }
    expect(none.events).toEqual([])
  })
})

describeRegistry('the history of an open registry', {}, (registry) => {
  test('names the address that pushed a blob', async () => {
    const { client } = registry()
    const body = someBytes(100, 3)
    await client.request('POST', `/v2/app/blobs/uploads/?digest=${sha256(body)}`, { body })
    const { json } = await client.get('/admin/events?repository=app')
    expect((json as { events: object[] }).events).toMatchObject([{ by: '127.0.0.1' }])
  })
})
