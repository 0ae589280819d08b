/**
 * "Restart me" and "send me nothing" are two answers, open to everybody: over sockets on both engines,
 * and by `fastregistry health`, which knows address, certificate and PROXY protocol by itself.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { rename } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { stringify } from 'yaml'
import { main } from '../../src/cli/main.ts'
import type { Terminal } from '../../src/cli/terminal.ts'
import { htpasswd } from '../support/access.ts'
import { dispose, ENGINES, startInProcess, until } from '../support/in-process.ts'
import { testTls } from './engine/harness.ts'

const folder = mkdtempSync(join(tmpdir(), 'fastregistry-health-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
const users = join(folder, 'users')
writeFileSync(users, htpasswd({ alice: 'secret' }))
const auth = { type: 'htpasswd', htpasswd_file: users }

describe.each(ENGINES)('on %s', (engine) => {
  test('strangers learn how it is, and no path', async () => {
    const registry = await startInProcess({ engine, config: { auth, log: { level: 'info' } } })
    const { client } = registry
    for (const method of ['GET', 'HEAD']) {
      for (const path of ['/livez', '/readyz', '/health', '/healthz']) {
        const answer = await client.request(method, path)
        expect(answer.status, path).toBe(200)
        expect(answer.headers['cache-control']).toBe('no-store')
      }
    }
    expect((await client.get('/livez')).json).toEqual({ status: 'live' })
    await until(async () => (await client.get('/readyz')).text.includes('"recovery":"done"'))
    expect((await client.get('/readyz')).json).toEqual({
      status: 'ready',
      checks: { server: 'ok', metadata: 'ok', disk: 'ok', room: 'ok', recovery: 'done' },
    })
    expect((await client.request('POST', '/readyz')).status).toBe(405)
    // Root may write to what it likes, so the folder goes.
    const uploads = join(registry.folder, 'uploads')
    await rename(uploads, `${uploads}.away`)
    await until(async () => (await client.get('/readyz')).status === 503)
    for (const path of ['/readyz', '/health', '/healthz']) {
      const answer = await client.get(path)
      expect(answer.status).toBe(503)
      expect(answer.json).toMatchObject({ checks: { metadata: 'ok', disk: 'is gone' } })
      expect(answer.text).not.toContain('/')
    }
    expect((await client.get('/livez')).status).toBe(200)
    await rename(`${uploads}.away`, uploads)
    await until(async () => (await client.get('/readyz')).status === 200)
    await dispose(registry)
  })

  test('a disk that is short of space takes pulls: ready, and says so', async () => {
    const registry = await startInProcess({
      engine,
      config: { storage: { reserve_mb: 16_777_216 } },
    })
    const answer = await registry.client.get('/readyz')
    expect(answer.status).toBe(200)
    expect(answer.json).toMatchObject({ checks: { room: expect.stringContaining('no pushes') } })
    await dispose(registry)
  })

  test('while it stops it is live, and not ready', async () => {
    const registry = await startInProcess({ engine })
    const busy = await registry.connect()
    await busy.send('PUT /v2/a/manifests/x HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n{')
    const open = await registry.connect()
    const later = await registry.connect()
    for (const client of [open, later]) {
      await client.request('GET', '/livez')
      await client.readResponse()
    }
    const stopped = registry.stopServer()
    await open.request('GET', '/readyz')
    const answer = await open.readResponse()
    expect(answer.status).toBe(503)
    expect(answer.body.toString()).toContain('"server":"stopping"')
    await later.request('GET', '/livez')
    expect((await later.readResponse()).status).toBe(200)
    busy.close()
    await stopped
    await dispose(registry)
  })
})

interface Asked {
  readonly code: number
  readonly text: string
}

async function ask(args: readonly string[], environment = {}): Promise<Asked> {
  const lines: string[] = []
  const print = (line: string) => lines.push(line)
  const terminal = { environment, print, printError: print } as unknown as Terminal
  return { code: await main(['health', ...args], terminal), text: lines.join('\n') }
}

/** A file that describes a running server, as `health` reads it. */
function fileOf(name: string, server: object): string {
  const file = join(folder, `${name}.yaml`)
  writeFileSync(file, stringify({ server, auth }))
  return file
}

describe.each([
  ['plain', {}],
  ['over TLS, whatever the certificate', { tls: testTls }],
  ['with a PROXY header', { proxy_protocol: ['127.0.0.1'] }],
  ['over TLS with a PROXY header', { tls: testTls, proxy_protocol: ['127.0.0.0/8'] }],
])('fastregistry health, %s', (name, server) => {
  test.each(ENGINES)('asks the server of the configuration (%s)', async (engine) => {
    const registry = await startInProcess({ engine, config: { server, auth } })
    const { port } = registry
    const file = fileOf(`${name} ${engine}`, { ...server, addr: `:${port}` })
    for (const words of [[], ['ready'], ['live']]) {
      const { code, text } = await ask([...words, `--config=${file}`])
      expect({ code, text }).toMatchObject({ code: 0, text: expect.stringContaining('"status":') })
    }
    expect((await ask([], { FASTREGISTRY_CONFIG: file })).code).toBe(0)
    await dispose(registry)
    const gone = await ask(['--config', file])
    expect(gone.code).toBe(1)
    expect(gone.text).toContain('ECONNREFUSED')
  })
})

test('a server that is not ready is exit code 1, one that is live 0', async () => {
  const registry = await startInProcess({ engine: 'node' })
  const uploads = join(registry.folder, 'uploads')
  await rename(uploads, `${uploads}.away`)
  const address = `--addr=127.0.0.1:${registry.port}`
  const ready = await ask(['ready', address])
  expect(ready.code).toBe(1)
  expect(ready.text).toContain('is gone')
  expect((await ask(['live', address])).code).toBe(0)
  await rename(`${uploads}.away`, uploads)
  await dispose(registry)
})

test.each([[['well']], [['ready', 'live']], [['--unknown=1']]])(
  '%j is not understood',
  async (words) => {
    expect((await ask(words)).code).toBe(2)
  },
)
