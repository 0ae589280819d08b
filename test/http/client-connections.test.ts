/**
 * @module Nobody holds all connections: a client has an eighth of them, whoever sends a body that is
 * wanted whole has half a minute and what its size takes, and proxies are not counted as one client.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, expect, test, vi } from 'vitest'
import { basic, htpasswd } from '../support/access.ts'
import { getFrom } from '../support/from-address.ts'
import { describeRegistry, type InProcessRegistry, until } from '../support/in-process.ts'
import { ConnectionEnded, type RawClient } from '../support/raw-http.ts'

const folder = mkdtempSync(join(tmpdir(), 'fastregistry-connections-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
const file = join(folder, 'htpasswd')
writeFileSync(file, htpasswd({ root: 'root-secret' }))

const slow = ['POST /token HTTP/1.1', 'Host: h', 'Content-Length: 60000', '', 'x'].join('\r\n')

/** Connections that begin with these bytes, one after the other. */
async function hold(registry: InProcessRegistry, count: number, begin: string) {
  const held: RawClient[] = []
  for (let index = 0; index < count; index += 1) {
    const client = await registry.connect()
    await client.send(begin).catch(() => undefined)
    client.socket.resume()
    held.push(client)
  }
  return held
}

const isServed = async (ask: Promise<{ readonly status: number }>) =>
  (await ask.catch(() => ({ status: 0 }))).status === 200

describeRegistry('a client of forty', { config: { server: { max_connections: 40 } } }, (get) => {
  test('has five connections, others have theirs, and a place that is free is given again', async () => {
    const held = await hold(get(), 40, slow)
    const open = () => held.filter(({ isClosed }) => !isClosed)
    await until(() => open().length <= 5)
    expect(open()).toHaveLength(5)
    const { client } = get()
    expect(await isServed(getFrom(client, '127.0.0.1', '/v2/'))).toBe(false)
    expect(await isServed(getFrom(client, '127.0.0.2', '/v2/'))).toBe(true)
    for (const one of open()) one.close()
    await until(() => isServed(getFrom(client, '127.0.0.1', '/v2/')))
    // Many short ones, one after the other, are not many.
    for (let index = 0; index < 30; index += 1) {
      await until(() => isServed(getFrom(client, '127.0.0.1', '/v2/')))
    }
  })
})

const trusted = { max_connections: 40, trusted_proxies: ['127.0.0.1'] }

describeRegistry('a trusted proxy', { config: { server: trusted } }, (get) => {
  test('is many clients', async () => {
    const held = await hold(get(), 30, slow)
    expect(await isServed(getFrom(get().client, '127.0.0.1', '/v2/'))).toBe(true)
    expect(held.filter(({ isClosed }) => isClosed)).toEqual([])
  })
})

const balanced = { max_connections: 40, proxy_protocol: ['127.0.0.1'] }

describeRegistry('behind a balancer', { config: { server: balanced } }, (get) => {
  test('a client is whom its header names', async () => {
    const from = (address: string) => `PROXY TCP4 ${address} 127.0.0.1 4660 5000\r\n`
    const held = await hold(get(), 12, from('203.0.113.9') + slow)
    const open = () => held.filter(({ isClosed }) => !isClosed).length
    await until(() => open() <= 5)
    expect(open()).toBe(5)
    const [other] = await hold(get(), 1, '')
    other!.socket.pause()
    await other!.send(`${from('203.0.113.10')}GET /v2/ HTTP/1.1\r\nHost: h\r\n\r\n`)
    expect((await other!.readResponse()).status).toBe(200)
  })
})

const auth = { type: 'htpasswd', htpasswd_file: file }
const access = [{ repositories: ['**'], users: ['root'], actions: ['pull', 'push', 'admin'] }]

describeRegistry('a body that is wanted whole', { config: { auth, access } }, (get) => {
  afterEach(() => {
    vi.useRealTimers()
  })

  const { authorization } = basic('root', 'root-secret')
  test.each([
    ['POST', '/token'],
    ['PUT', '/v2/team/app/manifests/1'],
    ['POST', '/admin/copy'],
  ])('is refused when it does not come: %s %s', async (method, path) => {
    // Judged once, so that no worker has to be waited for.
    await get().client.get('/v2/', { authorization: authorization! })
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] })
    const client = await get().connect()
    const begun = [
      ...[`${method} ${path} HTTP/1.1`, 'Host: h', `Authorization: ${authorization}`],
      ...['Content-Type: application/json', 'Content-Length: 16384', '', 'x'],
    ]
    await client.send(begun.join('\r\n'))
    let isAnswered = false
    const answered = client.readResponse().finally(() => {
      isAnswered = true
    })
    const pass = async (seconds: number) => {
      for (let second = 0; second < seconds; second += 1) {
        await vi.advanceTimersByTimeAsync(1000)
        await new Promise((resolve) => setImmediate(resolve))
      }
    }
    await pass(30)
    await client.send('x')
    expect(isAnswered).toBe(false)
    await pass(5)
    const { status, headers, body } = await answered
    expect(status, String(body)).toBe(408)
    expect(headers.get('connection')).toBe('close')
    await expect(client.readBytes(1)).rejects.toThrow(ConnectionEnded)
  })
})
