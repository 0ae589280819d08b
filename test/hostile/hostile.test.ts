/**
 * @module Clients that misbehave: none of them may cost others more than a moment, none takes memory
 * without bound, each hears a clear refusal. Every figure is of the same run.
 */
import { connect, type Socket } from 'node:net'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { RawClient } from '../support/raw-http.ts'
import { errorsOf, RegistryClient, sha256, someBytes } from '../support/registry-client.ts'
import { projectRoot, startRegistry } from '../support/start-registry.ts'
import { type Abuse, Scene } from './scene.ts'

let scene: Scene
beforeAll(async () => {
  scene = await Scene.open()
})
afterAll(() => scene.close())

/** A head has 10 s, and whoever is late is looked for now and then. */
const idleMsMax = 16_000

const idleConnections = 10_000

/** Attackers have many addresses: of one a thousand connections are taken at the most. */
const addresses = Array.from({ length: 50 }, (_, index) => `127.0.1.${index + 1}`)
let dialled = 0

function dial(port = scene.registry.port): Promise<Socket> {
  const localAddress = addresses[dialled++ % addresses.length]!
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1', localAddress }, () => resolve(socket))
    socket.once('error', reject)
    socket.on('error', () => undefined)
  })
}

async function dialMany(count: number): Promise<Socket[]> {
  const sockets: Socket[] = []
  while (sockets.length < count) {
    const batch = Math.min(200, count - sockets.length)
    sockets.push(...(await Promise.all(Array.from({ length: batch }, () => dial()))))
  }
  return sockets
}

/** Sends `piece` on each socket again and again; `end` destroys them all. */
function drip(sockets: readonly Socket[], piece: string, everyMs: number): Abuse {
  const timer = setInterval(() => {
    for (const socket of sockets) if (socket.writable) socket.write(piece)
  }, everyMs)
  return {
    end: async () => {
      clearInterval(timer)
      await destroyAll(sockets)
    },
  }
}

async function destroyAll(sockets: readonly Socket[]): Promise<void> {
  await Promise.all(
    sockets.map(
      (socket) =>
        new Promise<void>((resolve) => {
          if (socket.closed) return resolve()
          socket.once('close', () => resolve())
          socket.destroy()
        }),
    ),
  )
}

describe('others hardly notice', () => {
  test('300 clients whose headers come a byte at a time', async () => {
    await scene.endure('slow headers', async () => {
      const sockets = await dialMany(300)
      for (const socket of sockets) socket.write('GET /v2/ HTTP/1.1\r\nHost: a\r\nX-Slow: ')
      return drip(sockets, 'a', 200)
    })
  })

  test('200 uploads whose bodies come ten bytes at a time', async () => {
    await scene.endure('slow bodies', async () => {
      const sockets = await dialMany(200)
      for (const socket of sockets) {
        socket.write(
          `POST /v2/slow/app/blobs/uploads/?digest=sha256:${'0'.repeat(64)} HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n`,
        )
      }
      return drip(sockets, '0123456789', 200)
    })
    expect(await scene.metric('fastregistry_open_uploads')).toBe(0)
  })

  test('300 readers that ask for 8 MB and take nothing', async () => {
    await scene.endure('stalled readers', async () => {
      const sockets = await dialMany(300)
      for (const socket of sockets) {
        socket.pause()
        socket.write(`GET ${scene.large} HTTP/1.1\r\nHost: a\r\n\r\n`)
      }
      return { end: () => destroyAll(sockets) }
    })
  })

  test(`${idleConnections} connections that say nothing`, async () => {
    await scene.endure('idle connections', async () => {
      const sockets = await dialMany(idleConnections)
      // The kernel holds each back for a second, in the hope of a first byte.
      await expect
        .poll(() => scene.metric('fastregistry_open_connections'), { timeout: 20_000 })
        .toBeGreaterThan(idleConnections)
      return { end: () => destroyAll(sockets) }
    })
  }, 120_000)

  test('1,000 uploads that stay half open; one more from the same address is refused', async () => {
    const sockets: Socket[] = []
    const locations: string[] = []
    await scene.endure('half-open uploads', async () => {
      const opened: string[] = []
      // All of one address, which has a thousand sessions, and no more connections than it may.
      while (opened.length < 1000) {
        const some = Array.from({ length: 100 }, () => scene.client.open('half/app'))
        opened.push(...(await Promise.all(some)))
      }
      locations.push(...opened)
      const mine = await dialMany(1000)
      for (const [index, socket] of mine.entries()) {
        socket.write(
          `PATCH ${opened[index]} HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\n${'x'.repeat(70_000)}`,
        )
      }
      sockets.push(...mine)
      const openRequests = () => scene.metric('fastregistry_open_requests')
      await expect.poll(openRequests, { timeout: 20_000 }).toBeGreaterThanOrEqual(1000)
      const refused = await scene.client.request('POST', '/v2/half/app/blobs/uploads/')
      expect(refused.status).toBe(503)
      expect(refused.headers['retry-after']).toBeDefined()
      expect(errorsOf(refused)[0]).toMatchObject({ code: 'UNAVAILABLE' })
      return {
        end: async () => {
          await destroyAll(mine)
          for (const location of opened) {
            const cancelled = await scene.client.delete(location)
            expect([204, 404]).toContain(cancelled.status)
          }
        },
      }
    })
    expect(await scene.metric('fastregistry_open_uploads')).toBe(0)
  }, 180_000)

  test('manifests made to be hard to read: each is refused or taken, quickly', async () => {
    const fill = 4 * 1024 * 1024 - 200
    const head = '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json"'
    const keys = Array.from({ length: 250_000 }, (_, index) => `"k${index}":""`).join(',')
    const bodies: Readonly<Record<string, readonly [body: string, status: number]>> = {
      'nested deeply': ['['.repeat(fill), 400],
      'nested deeply inside': [`${head},"manifests":[],"x":${'{"a":'.repeat(fill / 6)}`, 400],
      'a number of four million digits': [`${head},"manifests":[],"x":${'9'.repeat(fill)}}`, 201],
      'a size beyond all numbers': [
        `${head},"manifests":[{"mediaType":"a/b","size":1e999,"digest":"sha256:${'a'.repeat(64)}"}]}`,
        400,
      ],
      'a key twice': [`${head},"manifests":[],"manifests":[{}]}`, 400],
      __proto__: [`${head},"manifests":[],"__proto__":{"manifests":[{"polluted":true}]}}`, 201],
      'a quarter of a million keys': [`${head},"manifests":[],"x":{${keys}}}`, 201],
      'a quarter of a million annotations': [
        `${head},"manifests":[],"annotations":{${keys}}}`,
        400,
      ],
      'no JSON': [`${head}${' '.repeat(fill)}`, 400],
    }
    await scene.endure('manifests', async () => {
      let isOver = false
      const attack = (async () => {
        while (!isOver) {
          for (const [name, [body, status]] of Object.entries(bodies)) {
            if (isOver) break
            const answer = await scene.client.request('PUT', '/v2/json/app/manifests/t', {
              body,
              headers: { 'Content-Type': 'application/vnd.oci.image.index.v1+json' },
            })
            expect(answer.status, name).toBe(status)
            // One at a time and not without pause: it is the price of one that counts.
            await delay(50)
          }
        }
      })()
      return {
        end: async () => {
          isOver = true
          await attack
        },
      }
    })
    expect(({} as Record<string, unknown>)['manifests']).toBeUndefined()
  })

  test('a flood of headers, and a hundred thousand tags in one query, are refused', async () => {
    const port = scene.registry.port
    const flood = Array.from({ length: 2000 }, (_, index) => `X-${index}: ${'y'.repeat(60)}`)
    const tags = Array.from({ length: 100_000 }, (_, index) => `tag=t${index}`).join('&')
    const digest = `sha256:${'a'.repeat(64)}`
    const attempts = [
      ['GET', '/v2/', flood],
      ['PUT', `/v2/a/b/manifests/${digest}?${tags}`, ['Content-Length: 2']],
    ] as const
    await scene.endure('floods', async () => {
      for (const [method, target, headers] of attempts) {
        const client = await RawClient.connect(port)
        await client.request(method, target, headers).catch(() => undefined)
        const { status } = await client.readResponse()
        expect([414, 431]).toContain(status)
        client.abort()
      }
      return { end: async () => undefined }
    })
    // What fits into the header block but is more than a push may set.
    const many = Array.from({ length: 300 }, (_, index) => `tag=t${index}`).join('&')
    const answer = await scene.client.request('PUT', `/v2/a/b/manifests/${digest}?${many}`, {
      body: '{}',
    })
    expect(answer.status).toBe(414)
  })
})

test('a connection that begins a request and does not end its head is closed in time', async () => {
  const sockets = await dialMany(2)
  sockets[0]!.write('GET')
  sockets[1]!.write('GET /v2/ HTTP/1.1\r\nHost: a\r\n')
  const startedAt = performance.now()
  await Promise.all(
    sockets.map(
      (socket) =>
        new Promise<void>((resolve) => {
          socket.resume()
          socket.once('close', () => resolve())
        }),
    ),
  )
  expect(performance.now() - startedAt).toBeLessThan(idleMsMax)
}, 30_000)

test('an upload that is aborted at every byte leaves nothing and stores nothing', async () => {
  const content = someBytes(120, 77)
  const digest = sha256(content)
  const request = Buffer.concat([
    Buffer.from(
      `POST /v2/cut/app/blobs/uploads/?digest=${digest} HTTP/1.1\r\nHost: a\r\nContent-Length: ${content.length}\r\n\r\n`,
    ),
    content,
  ])
  const before = await scene.descriptors()
  for (let length = 0; length < request.length; length += 1) {
    const client = await RawClient.connect(scene.registry.port)
    await client.send(request.subarray(0, length))
    client.abort()
  }
  await expect.poll(() => scene.metric('fastregistry_open_requests')).toBe(1)
  expect((await scene.client.head(`/v2/cut/app/blobs/${digest}`)).status).toBe(404)
  expect(await scene.metric('fastregistry_open_uploads')).toBe(0)
  await expect.poll(() => scene.descriptors()).toBeLessThanOrEqual(before + 5)
  await scene.client.pushBlob('cut/app', content)
})

test('a body longer than its Content-Length is taken as long as it says', async () => {
  const content = someBytes(100, 78)
  const digest = sha256(content)
  const client = await RawClient.connect(scene.registry.port)
  await client.send(
    Buffer.concat([
      Buffer.from(
        `POST /v2/long/app/blobs/uploads/?digest=${digest} HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n`,
      ),
      content,
      someBytes(5000, 79),
    ]),
  )
  // What follows is no request: the connection ends, before or after the answer.
  await client.readToEnd()
  const stored = await scene.client.get(`/v2/long/app/blobs/${digest}`)
  expect([200, 404]).toContain(stored.status)
  if (stored.status === 200) expect(stored.body.equals(content)).toBe(true)
})

test('TLS handshakes that are cut in the middle cost nothing that stays', async () => {
  const folder = join(projectRoot(), 'test/support/tls')
  const tls = { cert: join(folder, 'cert.pem'), key: join(folder, 'key.pem') }
  const registry = await startRegistry({ config: { log: { access: false }, server: { tls } } })
  try {
    const hello = Buffer.from([0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xfc, 0x03, 0x03])
    for (let round = 0; round < 5; round += 1) {
      const sockets = await Promise.all(Array.from({ length: 100 }, () => dial(registry.port)))
      for (const [index, socket] of sockets.entries()) {
        socket.write(index % 2 === 0 ? hello : Buffer.alloc(300, index))
      }
      await delay(20)
      await destroyAll(sockets)
    }
    const client = await RawClient.connect(registry.port, { isTls: true })
    await client.request('GET', '/v2/')
    expect((await client.readResponse()).status).toBe(200)
    const openConnections = async () => {
      await client.request('GET', '/metrics')
      const { body } = await client.readResponse()
      return Number(/^fastregistry_open_connections (\d+)$/m.exec(String(body))?.[1])
    }
    await expect.poll(openConnections, { timeout: 20_000 }).toBe(1)
    client.close()
  } finally {
    expect(await registry.stop()).toBe(0)
  }
})

test('connections beyond server.max_connections are closed; the others go on', async () => {
  const registry = await startRegistry({
    config: { log: { access: false }, server: { max_connections: 50 } },
  })
  const client = new RegistryClient(registry.port)
  try {
    expect((await client.get('/v2/')).status).toBe(200)
    const sockets = await Promise.all(Array.from({ length: 200 }, () => dial(registry.port)))
    const closed = () => sockets.filter((socket) => socket.closed).length
    for (const socket of sockets) socket.resume()
    await expect.poll(closed, { timeout: 10_000 }).toBeGreaterThanOrEqual(150)
    expect((await client.get('/v2/')).status).toBe(200)
    await destroyAll(sockets)
  } finally {
    client.close()
    expect(await registry.stop()).toBe(0)
  }
})
