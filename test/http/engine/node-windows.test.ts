/** @module What a socket of node's reads from later: it stays until then, whatever the client does. */
import { Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { afterEach, expect, test, vi } from 'vitest'
import { NodeEngine } from '../../../src/http/engine/node/engine.ts'
import type { HttpResponse } from '../../../src/http/engine/port.ts'
import { unsentBytesMax, unsentTlsBytesMax } from '../../../src/registry/limits.ts'
import { loadLibc } from '../../../src/runtime/libc.ts'
import {
  deferred,
  MemorySource,
  MiB,
  ok,
  pattern,
  queuedBytes,
  serve,
  testTls,
  until,
} from './harness.ts'

afterEach(() => {
  vi.restoreAllMocks()
})

/** Counts the writes of sockets that read from its bytes, and those that did so when it was closed. */
class Lending extends MemorySource {
  readonly lasts = true
  readBy = 0
  readByAtClose: number[] = []

  constructor(bytes: Uint8Array) {
    super(bytes)
    const write = Socket.prototype.write as (...parameters: unknown[]) => boolean
    const source = this
    vi.spyOn(Socket.prototype, 'write').mockImplementation(function (
      this: Socket,
      ...[chunk, callback]: unknown[]
    ) {
      const isOurs = chunk instanceof Uint8Array && chunk.buffer === bytes.buffer
      if (!isOurs) return write.call(this, chunk, callback)
      source.readBy += 1
      return write.call(this, chunk, (error: unknown) => {
        source.readBy -= 1
        ;(callback as (error: unknown) => void)(error)
      })
    })
  }

  override close(): void {
    super.close()
    this.readByAtClose.push(this.readBy)
  }
}

test('what lasts is sent from where it is, and is closed when all of it is sent', async () => {
  const bytes = pattern(20 * MiB + 77)
  const source = new Lending(bytes)
  const served = await serve(
    (options) => new NodeEngine(options),
    (_request, response) => response.stream(ok, source),
  )
  const client = await served.connect()
  await client.request('GET', '/')
  await until(() => source.readBy > 0)
  expect((await client.readResponse()).body.equals(bytes)).toBe(true)
  await until(() => source.closes === 1)
  expect(source.readByAtClose).toEqual([0])
})

test.each(['abort', 'close', 'cut', 'engine'] as const)(
  'a source is not closed while a socket reads from it: %s',
  async (end) => {
    const source = new Lending(Buffer.alloc(64 * MiB))
    const responses = deferred<HttpResponse>()
    const served = await serve(
      (options) => new NodeEngine(options),
      (_request, response) => {
        responses.resolve(response)
        response.stream(ok, source)
      },
    )
    const client = await served.connect()
    await client.request('GET', '/')
    await client.readHead()
    // The kernel has taken what it can.
    await delay(100)
    expect(source.readBy).toBe(1)
    if (end === 'cut') (await responses.promise).cut()
    else if (end === 'engine') served.engine.close()
    else client[end]()
    await until(() => source.closes > 0)
    expect(source.readByAtClose).toEqual([0])
    expect(served.exchanges).toMatchObject([{ state: 'aborted' }])
    await delay(10)
    expect(source.closes).toBe(1)
  },
)

test.skipIf('unavailable' in loadLibc()).each([
  { over: 'TCP', isTls: false, boundBytes: unsentBytesMax },
  { over: 'TLS', isTls: true, boundBytes: unsentTlsBytesMax },
])(
  'a reader that takes nothing holds little of the kernel over $over, and gets everything later',
  async ({ isTls, boundBytes }) => {
    const bytes = pattern(32 * MiB)
    const served = await serve(
      (options) => new NodeEngine(options),
      (_request, response) => response.stream(ok, new MemorySource(bytes)),
      isTls ? { tls: testTls } : {},
    )
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
