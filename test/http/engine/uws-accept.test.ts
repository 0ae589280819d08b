/** @module New connections of a busy server, on uWebSockets.js. */
import { expect, test } from 'vitest'
import { UwsEngine } from '../../../src/http/engine/uws/engine.ts'
import { loadUws } from '../../../src/http/engine/uws/loader.ts'
import { ok, serve } from './harness.ts'

const load = loadUws()

test.skipIf(!load.ok)(
  'new clients need not wait until each of those before them had a turn',
  async () => {
    const busyClients = 24
    const newClients = 20
    let served = 0
    const served1 = await serve(
      (options) => new UwsEngine(options, load.ok ? load : (undefined as never)),
      (request, response) => {
        if (request.path === '/busy') {
          served += 1
          // What a large answer takes of the main thread.
          const until = performance.now() + 1
          while (performance.now() < until);
        }
        response.send(ok, 'ok')
      },
    )
    const busy = await Promise.all(Array.from({ length: busyClients }, () => served1.connect()))
    let isOver = false
    const loops = busy.map(async (client) => {
      while (!isOver) {
        await client.request('GET', '/busy')
        await client.readResponse()
      }
    })
    const before = served
    await Promise.all(
      Array.from({ length: newClients }, async () => {
        const client = await served1.connect()
        await client.request('GET', '/new')
        expect((await client.readResponse()).status).toBe(200)
      }),
    )
    isOver = true
    // One a turn, they would come after 20 turns of all others.
    expect(served - before).toBeLessThan((newClients / 2) * busyClients)
    await Promise.all(loops)
  },
)
