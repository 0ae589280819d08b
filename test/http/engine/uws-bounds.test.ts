/** @module What the kernel holds of a connection in either direction, on uWebSockets.js. */
import { setTimeout as delay } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { UwsEngine } from '../../../src/http/engine/uws/engine.ts'
import { loadUws } from '../../../src/http/engine/uws/loader.ts'
import { nativeReadBytes } from '../../../src/http/engine/uws/socket-bounds.ts'
import { unsentBytesMax, unsentTlsBytesMax } from '../../../src/registry/limits.ts'
import { MemorySource, MiB, ok, pattern, queuedBytes, serve, testTls } from './harness.ts'

const load = loadUws()

test.skipIf(!load.ok || process.platform !== 'linux').each([
  { over: 'TCP', isTls: false, boundBytes: unsentBytesMax },
  { over: 'TLS', isTls: true, boundBytes: unsentTlsBytesMax },
])(
  'a reader that takes nothing holds little of the kernel over $over, and gets everything later',
  async ({ isTls, boundBytes }) => {
    const bytes = pattern(32 * MiB)
    const served = await serve(
      (options) => new UwsEngine(options, load.ok ? load : (undefined as never)),
      async (_request, response) => response.stream(ok, new MemorySource(bytes)),
      isTls ? { tls: testTls } : {},
    )
    // Another listener of the same process has a bound of its own.
    await served.engine.listen({ host: '', port: 0, ...(isTls ? {} : { tls: testTls }) })
    const client = await served.connect({ isTls })
    await client.request('GET', '/')
    await client.readHead()
    let queued = 0
    let unchanged = 0
    while (unchanged < 20) {
      const now = await queuedBytes(served.port)
      unchanged = now === queued && now > 0 ? unchanged + 1 : 0
      queued = now
      await delay(10)
    }
    expect(queued).toBeLessThan(3 * boundBytes)
    expect((await client.readBytes(32 * MiB)).equals(bytes)).toBe(true)
    client.close()
  },
)

test.skipIf(!load.ok || process.platform !== 'linux')(
  'a fast sender that is near gets its turn for less than a buffer, so that others get theirs',
  async () => {
    const bytes = pattern(32 * MiB)
    const chunks: number[] = []
    const served = await serve(
      (options) => new UwsEngine(options, load.ok ? load : (undefined as never)),
      async (request, response) => {
        await request.readBody((chunk) => chunks.push(chunk.byteLength))
        response.send(ok, 'taken')
      },
    )
    const client = await served.connect()
    await client.request('PUT', '/', [`Content-Length: ${bytes.length}`])
    await client.send(bytes)
    expect((await client.readResponse()).status).toBe(200)
    client.close()
    const isFull = (length: number) => length === nativeReadBytes
    // A window that was promised before is still filled; then there is no full read any more.
    expect(chunks.slice(chunks.length / 2).some(isFull)).toBe(false)
  },
)
