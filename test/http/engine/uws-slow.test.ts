/**
 * @module Slow clients on uWebSockets.js, in real time: its own timer (about 10 s, in steps of 4 s)
 * cannot be replaced by a clock of ours. All cases run at once, so the file takes 14 s.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { UwsEngine } from '../../../src/http/engine/uws/engine.ts'
import { loadUws } from '../../../src/http/engine/uws/loader.ts'
import { type MakeEngine, MemorySource, MiB, ok, pattern, serve } from './harness.ts'

/** Longer than the native timer may take to fire. */
const longMs = 14_000

const load = loadUws()

describe.skipIf(!load.ok).concurrent('clients that are slower than the native timer', () => {
  const make: MakeEngine = (options) => {
    if (!load.ok) throw new Error(load.reason)
    return new UwsEngine(options, load)
  }

  test('keep their uploads and downloads', async () => {
    const bytes = pattern(32 * MiB)
    class LateSource extends MemorySource {
      private wait: Promise<void> | undefined
      override ready(_offset: number, length: number): number | Promise<void> {
        const isFirst = this.wait === undefined
        this.wait ??= delay(longMs)
        return isFirst ? this.wait : length
      }
    }
    const served = await serve(make, async (request, response) => {
      let received = 0
      if (request.path === '/pull') return response.stream(ok, new MemorySource(bytes))
      if (request.path === '/late-source') return response.stream(ok, new LateSource(bytes))
      if (request.path === '/chunks') {
        response.startChunked(ok)
        for (let round = 0; round < 32; round += 1) await response.write(pattern(MiB))
        return response.end()
      }
      if (request.path === '/paused') request.pause()
      if (request.path === '/late-reader') await delay(longMs)
      const body = request.readBody((chunk) => {
        received += chunk.length
      })
      if (request.path === '/paused') await delay(longMs)
      request.resume()
      await body
      return response.send(ok, String(received))
    })
    const push = async (
      path: string,
      feed: (send: (count: number) => Promise<void>) => unknown,
    ) => {
      const client = await served.connect()
      await client.request('PUT', path, [`Content-Length: ${3 * MiB}`])
      const send = (count: number) => client.send(Buffer.alloc(count))
      const [answer] = await Promise.all([client.readResponse(), feed(send)])
      expect(String(answer.body)).toBe(String(3 * MiB))
    }
    const pull = async (path: string) => {
      const client = await served.connect()
      await client.request('GET', path)
      await client.readHead()
      await delay(longMs)
      // More than the kernel can have kept: the rest came after the pause.
      expect((await client.readBytes(32 * MiB)).length).toBe(32 * MiB)
      client.close()
    }
    await Promise.all([
      push('/stalled', async (send) => {
        await send(1)
        await delay(longMs)
        await send(3 * MiB - 1)
      }),
      push('/paused', (send) => send(3 * MiB)),
      push('/late-reader', (send) => send(3 * MiB)),
      pull('/pull'),
      pull('/chunks'),
      pull('/late-source'),
    ])
  })
})
