/**
 * @module A start that fails, at each of its steps: nothing is left of it. No thread, no open file of
 * the store, no lock, no port, no timer, no listener for signals; the next start finds all of it free.
 */
import { readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs'
import { mkdtemp } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Worker } from 'node:worker_threads'
import { afterAll, afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { stringify } from 'yaml'
import { secretFilePaths } from '../../src/auth/secret-file.ts'
import { loadConfigText } from '../../src/config/load.ts'
import { createLogger } from '../../src/observability/logger.ts'
import { openOfflineAdmin } from '../../src/server/offline-admin.ts'
import { startServer } from '../../src/server.ts'
import { htpasswd } from '../support/access.ts'
import { Authority } from '../support/certificates.ts'
import { until } from '../support/in-process.ts'

const state = vi.hoisted(() => ({ hasBinary: true }))
vi.mock(import('../../src/http/engine/uws/loader.ts'), async (original) => {
  const actual = await original()
  return {
    ...actual,
    loadUws: () =>
      state.hasBinary ? actual.loadUws() : { ok: false as const, reason: 'taken away' },
  }
})

const folder = await mkdtemp(join(tmpdir(), 'fastregistry-starts-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
const storage = join(folder, 'store')
const authority = new Authority(folder)
const [good, other] = [
  authority.issue('good', 'DNS:a.test'),
  authority.issue('other', 'DNS:b.test'),
]
const users = join(folder, 'htpasswd')
writeFileSync(users, htpasswd({ alice: 'x' }))
const jwks = join(folder, 'jwks.json')
writeFileSync(jwks, '{"keys":[]}')

/** A free port of this moment, so that a listener that stays is found. */
async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  await new Promise((resolve) => server.close(resolve))
  return port
}

const port = await freePort()
const configOf = (server: object = {}) =>
  loadConfigText(
    stringify({
      server: {
        addr: `127.0.0.1:${port}`,
        tls: { ...good, sni: [other] },
        shutdown_timeout: '1s',
        ...server,
      },
      storage: {
        path: storage,
        cache_size_mb: 64,
        scrub: { enabled: true },
      },
      auth: {
        type: 'htpasswd',
        htpasswd_file: users,
        foreign: { issuer: 'i', audience: 'a', jwks },
      },
      audit: { file: join(folder, 'audit.log') },
      mirrors: [
        {
          name: 'm.test',
          upstream: 'https://127.0.0.1:9',
          ca: authority.cert,
          warm: { schedule: '0 5 * * *', references: ['a/b:1'] },
        },
      ],
    }),
    'test.yaml',
  )
const logger = createLogger('error', { write: () => undefined })

const threads = new Set<Worker>()
const onWorker = (worker: Worker) => {
  threads.add(worker)
  worker.once('exit', () => threads.delete(worker))
}
/** Intervals that nobody has cleared. */
const intervals = new Set<unknown>()
const hangups = process.listenerCount('SIGHUP')

beforeEach(() => {
  threads.clear()
  intervals.clear()
  process.on('worker', onWorker)
  const { setInterval: set, clearInterval: clear } = globalThis
  vi.spyOn(globalThis, 'setInterval').mockImplementation(((...of: Parameters<typeof set>) => {
    const timer = set(...of)
    intervals.add(timer)
    return timer
  }) as typeof set)
  vi.spyOn(globalThis, 'clearInterval').mockImplementation((timer) => {
    intervals.delete(timer)
    clear(timer)
  })
})
afterEach(() => {
  state.hasBinary = true
  process.off('worker', onWorker)
  vi.restoreAllMocks()
})

function openFiles(): string[] {
  return readdirSync('/proc/self/fd').flatMap((descriptor) => {
    try {
      const path = readlinkSync(`/proc/self/fd/${descriptor}`)
      return path.startsWith(folder) ? [path] : []
    } catch {
      return []
    }
  })
}

/** Threads end a moment after they were told; everything else has ended by now. */
async function expectNothingLeft(): Promise<void> {
  expect([...intervals]).toEqual([])
  expect(process.listenerCount('SIGHUP')).toBe(hangups)
  const deadline = performance.now() + 5_000
  await until(
    () => (threads.size === 0 && openFiles().length === 0) || performance.now() > deadline,
  )
  expect({ threads: threads.size, files: openFiles() }).toEqual({ threads: 0, files: [] })
  const server = createServer()
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, '127.0.0.1', resolve)
  })
  await new Promise((resolve) => server.close(resolve))
}

/** The parts that a start opens, in order. */
async function partsOf(server: object = {}): Promise<string[]> {
  const parts: string[] = []
  const running = await startServer(await configOf(server), {
    logger,
    onOpened: (part) => parts.push(part),
  })
  expect(threads.size).toBeGreaterThan(0)
  await running.stop()
  return parts
}

/** Starts, and fails when the part with this number was opened. */
function failingAt(number: number) {
  let count = 0
  return () => {
    count += 1
    if (count === number) throw new Error(`failed at step ${number}`)
  }
}

describe.each(['uws', 'node'])('a start (%s)', (engine) => {
  test('opens its parts in order, and a stop leaves nothing', async () => {
    const parts = await partsOf({ engine })
    expect(parts[0]).toBe('lock')
    for (const part of ['metadata', 'cleanup', 'scrub', 'audit', 'users', 'mirrors', 'engine']) {
      expect(parts).toContain(part)
    }
    expect(parts).toContain('TLS files')
    // What runs in the background starts last.
    expect(parts.slice(-2)).toEqual(['sweeping', 'collection schedule'])
    await expectNothingLeft()
  })

  test('that fails at any step leaves nothing', async () => {
    const parts = await partsOf({ engine })
    for (const number of parts.keys()) {
      const start = startServer(await configOf({ engine }), {
        logger,
        onOpened: failingAt(number + 1),
      })
      await expect(start).rejects.toThrow(`failed at step ${number + 1}`)
      await expectNothingLeft()
    }
    // After all of these the store is as good as ever.
    expect(await partsOf({ engine })).toEqual(parts)
  }, 60_000)
})

describe('a start that fails by itself', () => {
  test('twice, where no binary of the native engine loads', async () => {
    state.hasBinary = false
    for (let count = 0; count < 2; count += 1) {
      const start = startServer(await configOf({ engine: 'uws' }), { logger })
      await expect(start).rejects.toThrow('no binary loads: taken away')
      await expectNothingLeft()
    }
  })

  test('where a port is taken', async () => {
    const taken = createServer()
    await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve))
    const { port: second } = taken.address() as { port: number }
    for (const engine of ['uws', 'node']) {
      const config = await configOf({ engine, also_listen: `127.0.0.1:${second}` })
      await expect(startServer(config, { logger })).rejects.toThrow('in use')
      await expectNothingLeft()
    }
    await new Promise((resolve) => taken.close(resolve))
  })

  test.each(['keys', 'accessTokens', 'revocations'] as const)(
    'where %s are damaged',
    async (name) => {
      await partsOf()
      const path = secretFilePaths(storage)[name]
      const text = readFileSync(path, 'utf8')
      try {
        writeFileSync(path, text.slice(0, text.length / 2))
        await expect(startServer(await configOf(), { logger })).rejects.toThrow('not JSON')
        await expectNothingLeft()
        // Keys that are JSON and no keys: found only when they are made ready.
        if (name === 'keys') {
          writeFileSync(
            path,
            JSON.stringify({ secret: 's', keys: [{ kid: 'k', createdAt: Date.now(), jwk: {} }] }),
          )
          await expect(startServer(await configOf(), { logger })).rejects.toThrow()
          await expectNothingLeft()
        }
      } finally {
        writeFileSync(path, text)
      }
    },
  )
})

test('a command without a server leaves nothing either, wherever it fails', async () => {
  const parts: string[] = []
  const config = await configOf()
  const admin = await openOfflineAdmin(config, 'test', (part) => parts.push(part))
  await admin.close()
  await expectNothingLeft()
  expect(parts.length).toBeGreaterThan(4)
  for (const number of parts.keys()) {
    const opening = openOfflineAdmin(config, 'test', failingAt(number + 1))
    await expect(opening).rejects.toThrow(`failed at step ${number + 1}`)
    await expectNothingLeft()
  }
})
