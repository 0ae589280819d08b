/**
 * @module Limits for each user and each address, in requests and in bytes, sent and received, with
 * and without an announced length.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { basic, htpasswd } from '../../support/access.ts'
import { getFrom } from '../../support/from-address.ts'
import { describeRegistry } from '../../support/in-process.ts'
import { expectStatus, sha256, someBytes } from '../../support/registry-client.ts'

const folder = mkdtempSync(join(tmpdir(), 'fastregistry-limits-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
const file = join(folder, 'htpasswd')
writeFileSync(file, htpasswd({ alice: 'alice-secret', bob: 'bob-secret' }))
const auth = { type: 'htpasswd', htpasswd_file: file }
const alice = basic('alice', 'alice-secret')

const perSecond = { auth, limits: { requests_per_second: 10 } }

describeRegistry('a limit of requests', { config: perSecond }, (registry) => {
  test('counts a user over all of his addresses, and nobody else', async () => {
    const { client } = registry()
    await getFrom(client, '127.0.0.50', '/v2/', alice)
    const asked = Array.from({ length: 40 }, (_, index) =>
      // Three from each address: no limit of theirs.
      getFrom(client, `127.0.0.${60 + (index % 14)}`, '/v2/', alice),
    )
    const statuses = (await Promise.all(asked)).map(({ status }) => status)
    expect(statuses.filter((status) => status === 200).length).toBeGreaterThanOrEqual(8)
    expect(statuses.filter((status) => status === 503).length).toBeGreaterThan(5)
    const bob = basic('bob', 'bob-secret')
    expect((await getFrom(client, '127.0.0.80', '/v2/', bob)).status).toBe(200)
    // An address that has asked little is served still, though its user is not.
    expect((await getFrom(client, '127.0.0.60', '/v2/', bob)).status).toBe(200)
  })
})

const bytes = { auth, limits: { bytes_per_second: '1MiB' } }

describeRegistry('a limit of bytes', { config: bytes }, (registry) => {
  const push = (isChunked: boolean, seed: number) => {
    const body = someBytes(4 * 1024 * 1024, seed)
    const target = `/v2/team/app/blobs/uploads/?digest=${sha256(body)}`
    return registry().client.request('POST', target, { headers: alice, body, isChunked })
  }

  test.each([false, true])('counts what a push sends (chunked: %s)', async (isChunked) => {
    await registry().restart()
    expectStatus(await push(isChunked, isChunked ? 2 : 3), 201, 'the push itself goes through')
    const next = await getFrom(registry().client, '127.0.0.1', '/v2/', alice)
    expect(next.status).toBe(503)
    expect(Number(next.retryAfter)).toBeGreaterThanOrEqual(2)
    // By user as well as by address.
    expect((await getFrom(registry().client, '127.0.0.2', '/v2/', alice)).status).toBe(503)
    const bob = basic('bob', 'bob-secret')
    expect((await getFrom(registry().client, '127.0.0.3', '/v2/', bob)).status).toBe(200)
  })

  test('counts what a few bytes here and there cost the disk', async () => {
    const body = someBytes(24 * 1024 * 1024, 9)
    await registry().restart()
    const { client } = registry()
    const target = `/v2/team/app/blobs/uploads/?digest=${sha256(body)}`
    expectStatus(await client.request('POST', target, { headers: alice, body }), 201, 'a push')
    await registry().restart()
    const spans = Array.from({ length: 90 }, (_, index) => `${index * 262_144}-${index * 262_144}`)
    const headers = { ...alice, range: `bytes=${spans.join(',')}` }
    const path = `/v2/team/app/blobs/${sha256(body)}`
    const from = (headers_: Record<string, string>) =>
      getFrom(registry().client, '127.0.0.6', path, headers_)
    expect((await from({ ...alice, range: 'bytes=0-0' })).status).toBe(206)
    expect((await from(headers)).status).toBe(206)
    expect((await from(headers)).status).toBe(503)
  })

  test('counts what a pull is sent', async () => {
    const body = someBytes(4 * 1024 * 1024, 2)
    await registry().restart()
    const path = `/v2/team/app/blobs/${sha256(body)}`
    expect((await getFrom(registry().client, '127.0.0.4', path, alice)).status).toBe(200)
    expect((await getFrom(registry().client, '127.0.0.4', '/v2/', alice)).status).toBe(503)
    expect((await getFrom(registry().client, '127.0.0.5', '/health')).status).toBe(200)
  })
})
