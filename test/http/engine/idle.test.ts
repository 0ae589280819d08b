/**
 * @module How long idle connections live, on both engines, in real time: the clock of the native side
 * cannot be replaced. All cases run at once, so the file takes about ten seconds.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { NodeEngine } from '../../../src/http/engine/node/engine.ts'
import { ResponseHead } from '../../../src/http/engine/port.ts'
import { UwsEngine } from '../../../src/http/engine/uws/engine.ts'
import { loadUws } from '../../../src/http/engine/uws/loader.ts'
import type { RawClient } from '../../support/raw-http.ts'
import { MemorySource, MiB, ok, pattern, Served, testTls } from './harness.ts'

const load = loadUws()
const idleMs = 4_000

const uses: Readonly<Record<string, (client: RawClient) => Promise<void>>> = {
  'a GET': async (client) => {
    await client.request('GET', '/')
    await client.readResponse()
  },
  'a 304': async (client) => {
    await client.request('GET', '/304')
    await client.readResponse()
  },
  'a HEAD': async (client) => {
    await client.request('HEAD', '/')
    await client.readResponse('HEAD')
  },
  'a stream': async (client) => {
    await client.request('GET', '/stream')
    await client.readResponse()
  },
  'an upload': async (client) => {
    await client.request('PUT', '/', ['Content-Length: 3'])
    await client.send('abc')
    await client.readResponse()
  },
  'a chunked upload': async (client) => {
    await client.request('PATCH', '/', ['Transfer-Encoding: chunked'])
    await client.send('3\r\nabc\r\n0\r\n\r\n')
    await client.readResponse()
  },
  'a DELETE': async (client) => {
    await client.request('DELETE', '/')
    await client.readResponse()
  },
  nothing: async () => {},
}

const cases = (load.ok ? ['uws', 'node'] : ['node']).flatMap((engine) =>
  [false, true].flatMap((isTls) => Object.keys(uses).map((use) => ({ engine, isTls, use }))),
)

async function outlives(engine: string, isTls: boolean, use: string): Promise<void> {
  const served = new Served(
    (options) =>
      engine === 'uws' && load.ok ? new UwsEngine(options, load) : new NodeEngine(options),
    async (request, response) => {
      await request.readBody(() => {})
      if (request.path === '/304') {
        response.sendHead(new ResponseHead(304, []), undefined)
      } else if (request.path === '/stream') {
        response.stream(ok, new MemorySource(pattern(MiB)))
      } else {
        // As a write that takes its time does.
        await new Promise((resolve) => setImmediate(resolve))
        response.send(ok, 'ok')
      }
    },
    idleMs,
  )
  served.isTls = isTls
  const tls = isTls ? { tls: testTls } : {}
  served.port = await served.engine.listen({ host: '127.0.0.1', port: 0, ...tls })
  const client = await served.connect()
  await uses[use]!(client)
  await delay(idleMs - 300)
  await client.request('POST', '/again', ['Content-Length: 0'])
  expect((await client.readResponse()).status).toBe(200)
  const idleSince = performance.now()
  expect((await client.readToEnd()).length).toBe(0)
  const lived = performance.now() - idleSince
  expect(lived, 'at least').toBeGreaterThan(idleMs - 300)
  expect(lived, 'at most').toBeLessThan(1.5 * idleMs + 2_000)
}

describe('idle connections', () => {
  test('take another request after any other, and are closed in the end', async () => {
    const failed: string[] = []
    await Promise.all(
      cases.map(({ engine, isTls, use }) =>
        outlives(engine, isTls, use).catch((error: Error) => {
          failed.push(`${engine}, TLS ${isTls}, after ${use}: ${error.message}`)
        }),
      ),
    )
    expect(failed).toEqual([])
  })
})
