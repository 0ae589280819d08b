/**
 * @module What is counted by client is counted by what an attacker has to pay for: failed logins,
 * requests and upload sessions of all addresses of one /64 together, and of one /48.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { basic, htpasswd } from '../../support/access.ts'
import { describeRegistry } from '../../support/in-process.ts'
import { expectStatus } from '../../support/registry-client.ts'

const folder = mkdtempSync(join(tmpdir(), 'fastregistry-clients-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
const file = join(folder, 'htpasswd')
writeFileSync(file, htpasswd({ alice: 'alice-secret', bob: 'bob-secret' }))
const auth = { type: 'htpasswd', htpasswd_file: file }
const server = { trusted_proxies: ['127.0.0.0/8'] }

const from = (address: string) => ({ 'x-forwarded-for': address })
/** The address `index` of a /64, all of them far apart in it. */
const within = (network: string, index: number) =>
  `${network}:${(index * 257).toString(16)}:0:${index.toString(16)}:1`

describeRegistry('logins from many addresses', { config: { auth, server } }, (registry) => {
  const login = (user: string, password: string, address: string) =>
    registry().client.get('/v2/', { ...basic(user, password), ...from(address) })

  test('those of one /64 are one client, and of one /48 four', async () => {
    const statuses: number[] = []
    for (let index = 0; index < 120; index += 1) {
      statuses.push((await login('alice', `wrong-${index}`, within('2001:db8:1:1', index))).status)
    }
    const judged = statuses.filter((status) => status === 401).length
    expect(judged).toBeGreaterThanOrEqual(20)
    expect(judged).toBeLessThan(60)
    // By /48 there is a bound as well, though every one of these is a client of its own.
    const wider: number[] = []
    for (let index = 0; index < 160; index += 1) {
      const address = `2001:db8:2:${index.toString(16)}::1`
      wider.push((await login('alice', `wrong-${index}`, address)).status)
    }
    const judgedWider = wider.filter((status) => status === 401).length
    expect(judgedWider).toBeGreaterThanOrEqual(80)
    expect(judgedWider).toBeLessThan(140)
    // The user from elsewhere never waits, nor do others.
    expect((await login('alice', 'alice-secret', '2001:db8:3:1::1')).status).toBe(200)
    expect((await login('bob', 'bob-secret', '198.51.100.1')).status).toBe(200)
  })

  test('whoever has logged in well is not kept out by the rest of his network', async () => {
    await registry().restart()
    expect((await login('alice', 'alice-secret', '2001:db8:5:1::1')).status).toBe(200)
    for (let index = 2; index < 100; index += 1) {
      await login('alice', `wrong-${index}`, `2001:db8:5:${index.toString(16)}::1`)
    }
    expect((await login('alice', 'wrong', '2001:db8:5:fff::1')).status).toBe(503)
    // Another password than the one that is remembered: it has to be judged.
    expect((await login('alice', 'wrong-once', '2001:db8:5:1::1')).status).toBe(401)
    expect((await login('alice', 'alice-secret', '2001:db8:5:1::1')).status).toBe(200)
  })
})

const limited = { server, limits: { requests_per_second: 5 } }

describeRegistry('limits for a client', { config: limited }, (registry) => {
  test('requests of one /64 are one client’s, and of one /48 four', async () => {
    const many = async (addressOf: (index: number) => string) => {
      const asked = Array.from({ length: 60 }, (_, index) =>
        registry().client.get('/v2/', from(addressOf(index))),
      )
      const statuses = (await Promise.all(asked)).map(({ status }) => status)
      return statuses.filter((status) => status === 200).length
    }
    expect(await many((index) => within('2001:db8:7:1', index))).toBeLessThan(20)
    const wider = await many((index) => `2001:db8:8:${index.toString(16)}::1`)
    expect(wider).toBeGreaterThanOrEqual(20)
    expect(wider).toBeLessThan(55)
    expect(await many((index) => `2001:db8:${(100 + index).toString(16)}:1::1`)).toBe(60)
  })
})

describeRegistry(
  'upload sessions of a client',
  { config: { server: { ...server, max_uploads_per_client: 3 } } },
  (registry) => {
    const open = (address: string) =>
      registry().client.request('POST', '/v2/team/app/blobs/uploads/', { headers: from(address) })

    test('count for its /64 and for its /48, and give their place back', async () => {
      for (let index = 0; index < 2; index += 1) await open(within('2001:db8:9:1', index))
      const third = await open(within('2001:db8:9:1', 2))
      expectStatus(third, 202, 'the third')
      expect((await open(within('2001:db8:9:1', 3))).status).toBe(503)
      for (let index = 2; index < 11; index += 1) {
        expectStatus(await open(`2001:db8:9:${index.toString(16)}::1`), 202, String(index))
      }
      expect((await open('2001:db8:9:fff::1')).status).toBe(503)
      expectStatus(await open('2001:db8:a:1::1'), 202, 'another network')
      await registry().restart()
      expect((await open('2001:db8:9:fff::1')).status).toBe(503)
      const location = String(third.headers['location'])
      expectStatus(await registry().client.request('DELETE', location), 204, 'cancel')
      expectStatus(await open('2001:db8:9:fff::1'), 202, 'the place of the one that is gone')
    })
  },
)
