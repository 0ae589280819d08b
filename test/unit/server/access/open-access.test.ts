/**
 * @module What is said at start about what a configuration leaves open.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { loadConfigText } from '../../../../src/config/load.ts'
import { createLogger } from '../../../../src/observability/logger.ts'
import { LifeCycle } from '../../../../src/runtime/life-cycle.ts'
import { openAccess } from '../../../../src/server/access/open-access.ts'
import { htpasswd } from '../../../support/access.ts'

const folder = mkdtempSync(join(tmpdir(), 'fastregistry-open-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
const users = join(folder, 'htpasswd')
writeFileSync(users, htpasswd({ alice: 'alice-secret' }))
const auth = `auth: { type: htpasswd, htpasswd_file: ${users} }`

/** The warnings of a start with this `server` section. */
async function warnings(server: string, access = auth): Promise<readonly string[]> {
  const lines: string[] = []
  const logger = createLogger('warn', { write: (text: string) => lines.push(text) })
  const text = `server: ${server}\nstorage: { path: ${folder} }\n${access}\n`
  const config = await loadConfigText(text, 'test.yaml')
  const metadata = { get: () => undefined } as never
  const parts = { metadata, limits: undefined, audit: undefined, logger, life: new LifeCycle() }
  await openAccess(config, parts)
  await parts.life.close()
  await logger.flush()
  return lines.filter((line) => line.includes('"level":40'))
}

test('an open registry says so in one line', async () => {
  const said = await warnings('{ addr: ":5000" }', '')
  expect(said).toHaveLength(1)
  expect(said[0]).toContain('open mode, for this machine alone')
  const open = await warnings('{ addr: ":5000", open: true }', '')
  expect(open).toHaveLength(1)
  expect(open[0]).toContain('every client that reaches this port')
})

test('passwords over a plain listener that others reach are one line', async () => {
  const said = await warnings('{ addr: ":5000" }')
  expect(said).toHaveLength(1)
  expect(said[0]).toContain('unencrypted')
  expect(await warnings('{ addr: "192.0.2.1:5000" }')).toHaveLength(1)
})

test('nothing is said of loopback, of TLS, and behind a proxy that is known', async () => {
  expect(await warnings('{ addr: "127.0.0.1:5000" }')).toEqual([])
  expect(await warnings('{ addr: ":5000", trusted_proxies: [10.0.0.1] }')).toEqual([])
  const tls = 'tls: { cert: test/support/tls/cert.pem, key: test/support/tls/key.pem }'
  expect(await warnings(`{ addr: ":5000", ${tls} }`)).toEqual([])
  const plainToo = await warnings(`{ addr: ":5000", also_listen: ":5001", ${tls} }`)
  expect(plainToo).toHaveLength(1)
  expect(plainToo[0]).toContain(':5001')
  expect(
    await warnings(`{ addr: ":5000", also_listen: ":5001", also_listen_tls: true, ${tls} }`),
  ).toEqual([])
})
