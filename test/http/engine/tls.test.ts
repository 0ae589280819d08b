/**
 * @module TLS at the front door: certificates that change under way, names (SNI), what is refused.
 */
import { copyFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { Agent, request } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect, type PeerCertificate, type TLSSocket } from 'node:tls'
import { afterAll, describe, expect, test } from 'vitest'
import { Authority, type Pair } from '../../support/certificates.ts'
import { describeRegistry, ENGINES, startInProcess, until } from '../../support/in-process.ts'

const folder = mkdtempSync(join(tmpdir(), 'fastregistry-tls-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
const authority = new Authority(folder)
const ca = readFileSync(authority.cert)
const local = 'DNS:localhost,IP:127.0.0.1'
const first = authority.issue('first', local)
const second = authority.issue('second', local)
const named = authority.issue('named', 'DNS:registry.test')

function use(pair: Pair, as: Pair): void {
  copyFileSync(pair.cert, as.cert)
  copyFileSync(pair.key, as.key)
}

function handshake(port: number, options: object = {}): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port, ca, servername: 'localhost', ...options })
    socket.once('secureConnect', () => resolve(socket))
    socket.once('error', reject)
  })
}

async function certificateOf(port: number, servername = 'localhost'): Promise<string> {
  const socket = await handshake(port, { servername })
  const { subject } = socket.getPeerCertificate() as PeerCertificate
  socket.destroy()
  return String(subject.CN)
}

function get(port: number, agent: Agent): Promise<number> {
  return new Promise((resolve, reject) => {
    const sent = request({ host: '127.0.0.1', port, path: '/v2/', agent }, (answer) => {
      answer.resume()
      answer.on('end', () => resolve(answer.statusCode ?? 0))
    })
    sent.on('error', reject)
    sent.end()
  })
}

for (const engine of ENGINES) {
  const served = { cert: join(folder, `${engine}.pem`), key: join(folder, `${engine}.key`) }
  use(first, served)
  const server = {
    also_listen: '127.0.0.1:0',
    also_listen_tls: true,
    tls: { ...served, sni: [{ cert: named.cert, key: named.key }] },
  }

  describeRegistry('TLS', { config: { server }, engines: [engine] }, (registry) => {
    test('the name that a client asks for chooses the certificate, on both listeners', async () => {
      for (const port of registry().ports) {
        expect(await certificateOf(port)).toBe('first')
        expect(await certificateOf(port, 'registry.test')).toBe('named')
      }
    })

    test('a new certificate is taken without losing a connection; a wrong one is not', async () => {
      const { port } = registry()
      const agent = new Agent({ ca, keepAlive: true, maxSockets: 1 })
      expect(await get(port, agent)).toBe(200)
      const socket = Object.values(agent.freeSockets)[0]![0]!
      use(second, served)
      await until(async () => (await certificateOf(port)) === 'second')
      await until(async () => (await certificateOf(registry().ports[1]!)) === 'second')
      expect(await get(port, agent)).toBe(200)
      expect(Object.values(agent.freeSockets)[0]![0]).toBe(socket)
      agent.destroy()
      copyFileSync(first.key, served.key)
      await until(() => registry().logLines.some((line) => line.includes('is not the one of')))
      expect(await certificateOf(port)).toBe('second')
    })

    test('changes under way cost no client anything, on old connections or new ones', async () => {
      const { port } = registry()
      const reloads = () =>
        registry().logLines.filter((line) => line.includes('"tls-reloaded"')).length
      const before = reloads()
      let isOver = false
      let answers = 0
      const kept = new Agent({ ca, keepAlive: true, maxSockets: 1 })
      const ask = async (agent: () => Agent) => {
        while (!isOver) {
          expect(await get(port, agent())).toBe(200)
          answers += 1
        }
      }
      // Eight clients that connect anew each time, and one that stays.
      const fresh = () => new Agent({ ca, keepAlive: false })
      const clients = Promise.all([...Array.from({ length: 8 }, () => ask(fresh)), ask(() => kept)])
      for (let change = 0; change < 4; change += 1) {
        const [expected, pair] =
          change % 2 === 0 ? (['first', first] as const) : (['second', second] as const)
        use(pair, served)
        await until(async () => (await certificateOf(port)) === expected)
      }
      isOver = true
      await clients
      kept.destroy()
      expect(reloads()).toBeGreaterThanOrEqual(before + 4)
      expect(answers).toBeGreaterThan(100)
    })

    test('TLS 1.1 and weak ciphers get no connection', async () => {
      const { port } = registry()
      await expect(
        handshake(port, { maxVersion: 'TLSv1.1', minVersion: 'TLSv1' }),
      ).rejects.toThrow()
      const weak = { maxVersion: 'TLSv1.2', ciphers: 'ECDHE-ECDSA-AES128-SHA:AES128-SHA' }
      await expect(handshake(port, weak)).rejects.toThrow()
      const good = await handshake(port, { maxVersion: 'TLSv1.2' })
      expect(good.getProtocol()).toBe('TLSv1.2')
      good.destroy()
    })
  })

  describe(`what cannot be used (${engine})`, () => {
    const start = async (tls: Pair) => {
      const registry = await startInProcess({ engine, config: { server: { tls } } })
      await registry.stop()
    }

    test('is told with the file and what to do', async () => {
      await expect(start({ cert: first.cert, key: second.key })).rejects.toThrow(
        /first\.pem and key .*second\.key do not work: the key is not the one of the certificate/,
      )
      const old = authority.issue(`old-${engine}`, local, -1)
      await expect(start(old)).rejects.toThrow(/has expired \(.*2020.*\): renew it/)
      await expect(start({ cert: first.key, key: first.key })).rejects.toThrow(/do not work/)
    })
  })
}
