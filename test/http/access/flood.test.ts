/**
 * @module Wrong passwords in numbers: they make their address wait, never the user elsewhere, cost a
 * refusal and no more, and do not tell which users there are.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { hashSync } from 'bcryptjs'
import { afterAll, expect, test } from 'vitest'
import { basic, bearer, htpasswd } from '../../support/access.ts'
import { getFrom } from '../../support/from-address.ts'
import { describeRegistry, ENGINES } from '../../support/in-process.ts'

const folder = mkdtempSync(join(tmpdir(), 'fastregistry-flood-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
const file = join(folder, 'htpasswd')
/** The cost that `htpasswd add` uses, unlike that of other tests: its time is looked at. */
const slow = `slow:${hashSync('slow-secret', 10)}\n`
writeFileSync(file, htpasswd({ alice: 'alice-secret', bob: 'bob-secret' }) + slow)
const config = { auth: { type: 'htpasswd', htpasswd_file: file } }

describeRegistry(
  'a flood of wrong passwords',
  { config, engines: ENGINES.slice(0, 1) },
  (registry) => {
    test('makes its address wait for that user, and nobody else', async () => {
      const { client } = registry()
      const alice = basic('alice', 'alice-secret')
      const bob = basic('bob', 'bob-secret')
      const issued = await client.get('/token?scope=repository:team/app:pull', alice)
      const { token } = issued.json as { token: string }
      await registry().restart()
      const { client: now } = registry()
      const guesses = Array.from({ length: 60 }, (_, index) =>
        getFrom(now, '127.0.0.1', '/v2/', basic('alice', `guess ${index}`)),
      )
      // While they wait for their turns, the user logs in from elsewhere.
      expect(await getFrom(now, '127.0.0.2', '/v2/', alice)).toMatchObject({ status: 200 })
      const statuses = (await Promise.all(guesses)).map(({ status }) => status)
      expect(new Set(statuses)).toEqual(new Set([401, 503]))
      expect(statuses.filter((status) => status === 503).length).toBeGreaterThanOrEqual(20)
      // One after the other he gets no further.
      let locked = await getFrom(now, '127.0.0.1', '/v2/', basic('alice', 'one more'))
      for (let more = 0; locked.status === 401 && more < 40; more += 1) {
        locked = await getFrom(now, '127.0.0.1', '/v2/', basic('alice', `one more ${more}`))
      }
      expect(locked.status).toBe(503)
      // And the right one is not called wrong: it has to wait like all from there.
      const right = basic('alice', 'alice-secret')
      const fresh = { authorization: `${right['authorization']} ` }
      expect((await getFrom(now, '127.0.0.1', '/v2/', fresh)).status).not.toBe(401)
      expect(Number(locked.retryAfter)).toBeGreaterThan(0)
      expect(await getFrom(now, '127.0.0.3', '/v2/', alice)).toMatchObject({ status: 200 })
      expect(await getFrom(now, '127.0.0.1', '/v2/', bob)).toMatchObject({ status: 200 })
      // A token is no guess.
      expect(await getFrom(now, '127.0.0.1', '/v2/', bearer(token))).toMatchObject({ status: 200 })
      // Load is no fault of ours, and a line each would be a second flood.
      expect(registry().faults).toEqual([])
    })

    test('is not let in faster with many names', async () => {
      const { client } = registry()
      const guesses = Array.from({ length: 150 }, (_, index) =>
        getFrom(client, '127.0.0.9', '/v2/', basic(`nobody-${index}`, 'guess')),
      )
      const statuses = (await Promise.all(guesses)).map(({ status }) => status)
      expect(statuses.filter((status) => status === 503).length).toBeGreaterThan(50)
    }, 120_000)
  },
)

/** What an unknown name costs is what some user costs: here all cost the same. */
const alike = join(folder, 'alike')
writeFileSync(alike, slow)

describeRegistry(
  'a user that does not exist',
  { config: { auth: { ...config.auth, htpasswd_file: alike } }, engines: ENGINES.slice(0, 1) },
  (registry) => {
    test('takes as long as a wrong password', async () => {
      const { client } = registry()
      const times: Record<'slow' | 'nobody', number[]> = { slow: [], nobody: [] }
      // In turns, so that a busy machine slows both; each from an address that has not failed yet.
      for (let round = 0; round < 11; round += 1) {
        for (const name of ['slow', 'nobody'] as const) {
          const address = `127.0.${name === 'slow' ? 1 : 2}.${round + 1}`
          const answer = await getFrom(client, address, '/v2/', basic(name, `guess ${round}`))
          expect(answer.status).toBe(401)
          times[name].push(answer.milliseconds)
        }
      }
      // The shortest of each: other work on the machine only makes an answer later.
      const ratio = Math.min(...times.nobody) / Math.min(...times.slow)
      // Without the work for nobody it would be below a tenth.
      expect(ratio).toBeGreaterThan(0.5)
      expect(ratio).toBeLessThan(2)
    })
  },
)
