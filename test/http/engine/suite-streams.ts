/** @module The engine suite's part about long answers: sources, slow readers, fairness, cuts. */
import { expect, test } from 'vitest'
import type { Handler, HttpResponse, ListenAddress } from '../../../src/http/engine/port.ts'
import { windowBytesMax } from '../../../src/registry/limits.ts'
import type { RawClient } from '../../support/raw-http.ts'
import {
  deferred,
  type MakeEngine,
  MemorySource,
  MiB,
  ok,
  pattern,
  serve,
  until,
} from './harness.ts'

/** A source that is not ready until told so, at each of some offsets. */
class WaitingSource extends MemorySource {
  readonly asked: number[] = []
  private gate = deferred()
  private readonly stops: number[]

  constructor(bytes: Uint8Array, stops: number[]) {
    super(bytes)
    this.stops = stops
  }

  override ready(offset: number, length: number): number | Promise<void> {
    const stop = this.stops[0]
    if (stop === undefined || offset + length <= stop) return length
    if (offset < stop) return stop - offset
    this.asked.push(offset)
    return this.gate.promise
  }

  open(): void {
    this.stops.shift()
    const { gate } = this
    this.gate = deferred()
    gate.resolve()
  }

  fail(): void {
    this.gate.reject(new Error('disk gone'))
  }
}

/** The head promises `sizeBytes` (unless the cut came before it left) and less arrives. */
async function expectCut(client: RawClient, sizeBytes: number): Promise<void> {
  const received = await client.readToEnd()
  expect(received.length).toBeLessThan(sizeBytes)
  if (received.length > 0) {
    expect(received.subarray(0, 1000).toString()).toContain(`Content-Length: ${sizeBytes}\r\n`)
  }
}

export function streamSuite(make: MakeEngine, address: Partial<ListenAddress>): void {
  const serving = (handler: Handler) => serve(make, handler, address)
  const streaming = (sourceOf: (path: string) => MemorySource) =>
    serving((request, response) => response.stream(ok, sourceOf(request.path)))

  test('streams a source byte for byte in bounded windows, then the next one', async () => {
    const bytes = pattern(20 * MiB + 12_345)
    let windowMax = 0
    class Measured extends MemorySource {
      override ready(offset: number, length: number): number {
        windowMax = Math.max(windowMax, length)
        expect(offset + length).toBeLessThanOrEqual(this.sizeBytes)
        return length
      }
    }
    const sources: MemorySource[] = []
    const served = await streaming(() => {
      sources.push(new Measured(bytes))
      return sources.at(-1)!
    })
    const client = await served.connect()
    for (let round = 0; round < 2; round += 1) {
      await client.request('GET', '/')
      const answer = await client.readResponse()
      expect(answer.headers.get('content-length')).toBe(String(bytes.length))
      expect(answer.body.equals(bytes)).toBe(true)
    }
    await until(() => served.exchanges.length === 2)
    expect(windowMax).toBeLessThanOrEqual(windowBytesMax)
    expect(sources.map((source) => source.closes)).toEqual([1, 1])
    expect(served.exchanges[0]).toMatchObject({ state: 'done', bytesSent: bytes.length })
  })

  test('streams sources of no byte and of one', async () => {
    const sources = [new MemorySource(Buffer.alloc(0)), new MemorySource(Buffer.from('x'))]
    const served = await streaming((path) => sources[Number(path.slice(1))]!)
    const client = await served.connect()
    for (const [index, text] of ['', 'x'].entries()) {
      await client.request('GET', `/${index}`)
      const answer = await client.readResponse()
      expect(answer.headers.get('content-length')).toBe(String(index))
      expect(String(answer.body)).toBe(text)
    }
    await until(() => served.exchanges.length === 2)
    expect(sources.map((source) => source.closes)).toEqual([1, 1])
  })

  test('streams after an await', async () => {
    const bytes = pattern(2 * MiB)
    const served = await serving(async (_request, response) => {
      await new Promise((resolve) => setImmediate(resolve))
      response.stream(ok, new MemorySource(bytes))
    })
    const client = await served.connect()
    await client.request('GET', '/')
    expect((await client.readResponse()).body.equals(bytes)).toBe(true)
  })

  test('takes views shorter and longer than asked for', async () => {
    const bytes = pattern(MiB)
    class Uneven extends MemorySource {
      override use<R>(offset: number, length: number, callback: (bytes: Uint8Array) => R): R {
        const size = offset === 0 ? 1000 : length + 77
        return callback(Buffer.concat([bytes, Buffer.alloc(100)]).subarray(offset, offset + size))
      }
    }
    const served = await streaming(() => new Uneven(bytes))
    const client = await served.connect()
    await client.request('GET', '/')
    expect((await client.readResponse()).body.equals(bytes)).toBe(true)
  })

  test('a reader that takes little at a time gets everything', async () => {
    const bytes = pattern(20 * MiB)
    const source = new MemorySource(bytes)
    const served = await streaming(() => source)
    const client = await served.connect()
    await client.request('GET', '/')
    await client.readHead()
    await served.settle()
    // What the kernel holds for the reader is all that left the source.
    expect(source.offset).toBeLessThan(bytes.length)
    for (let at = 0; at < bytes.length; at += 64 * 1024) {
      const piece = await client.readBytes(64 * 1024)
      expect(piece.equals(bytes.subarray(at, at + piece.length))).toBe(true)
    }
  })

  test('a source that comes in odd parts arrives whole, whoever reads slowly', async () => {
    const KiB = 1024
    // Around one record of TLS, a pair of them, and what the kernel takes.
    const parts = [1, 16 * KiB - 1, 16 * KiB, 16 * KiB + 1, 32 * KiB, 48 * KiB + 5, 500 * KiB]
    const bytes = pattern(12 * MiB + 3)
    class Parts extends MemorySource {
      private turn = 0
      override ready(offset: number, length: number): number | Promise<void> {
        this.turn += 1
        if (this.turn % 5 === 0) return new Promise((resolve) => setImmediate(resolve))
        return Math.min(super.ready(offset, length) as number, parts[this.turn % parts.length]!)
      }
    }
    const served = await streaming(() => new Parts(bytes))
    const pull = async (atOnceBytes: number) => {
      const client = await served.connect()
      for (let round = 0; round < 2; round += 1) {
        await client.request('GET', '/')
        await client.readHead()
        for (let at = 0; at < bytes.length; at += atOnceBytes) {
          const piece = await client.readBytes(Math.min(atOnceBytes, bytes.length - at))
          expect(piece.equals(bytes.subarray(at, at + piece.length))).toBe(true)
        }
      }
    }
    await Promise.all([pull(7 * KiB), pull(100 * KiB), pull(12 * MiB)])
  })

  test('a source that is not ready is waited for, and others go on meanwhile', async () => {
    const bytes = pattern(3 * MiB)
    const source = new WaitingSource(bytes, [0, 2 * MiB])
    const served = await streaming((path) =>
      path === '/slow' ? source : new MemorySource(Buffer.from('other')),
    )
    const client = await served.connect()
    await client.request('GET', '/slow')
    await until(() => source.asked.length === 1)
    await served.settle()
    expect(source.asked).toEqual([0])
    source.open()
    const head = await client.readHead()
    expect(head.headers.get('content-length')).toBe(String(bytes.length))
    expect((await client.readBytes(2 * MiB)).equals(bytes.subarray(0, 2 * MiB))).toBe(true)
    await until(() => source.asked.length === 2)
    await served.settle()
    source.open()
    expect((await client.readBytes(MiB)).equals(bytes.subarray(2 * MiB))).toBe(true)
    expect(source.asked).toEqual([0, 2 * MiB])
  })

  test('a source that fails cuts the connection short of its length', async () => {
    // Less than what the kernel takes for a reader that has not begun.
    const sentBytes = MiB / 16
    const source = new WaitingSource(pattern(3 * MiB), [sentBytes])
    const served = await streaming(() => source)
    const client = await served.connect()
    await client.request('GET', '/')
    await until(() => source.asked.length === 1)
    source.fail()
    await expectCut(client, 3 * MiB)
    await until(() => served.exchanges.length === 1)
    expect(source.closes).toBe(1)
    expect(served.exchanges[0]).toMatchObject({
      state: 'aborted',
      status: 200,
      bytesSent: sentBytes,
    })
    expect(served.errors.map((error) => (error as Error).message)).toEqual(['disk gone'])
  })

  test('a source that fails before its first byte is answered with the error', async () => {
    const source = new WaitingSource(pattern(MiB), [0])
    const served = await streaming(() => source)
    const client = await served.connect()
    await client.request('GET', '/')
    await until(() => source.asked.length === 1)
    source.fail()
    const answer = await client.readResponse()
    expect([answer.status, answer.body.toString()]).toEqual([500, 'failed'])
    await until(() => served.exchanges.length === 1)
    expect(source.closes).toBe(1)
    expect(served.exchanges).toMatchObject([{ state: 'done', status: 500, bytesSent: 6 }])
    // The connection goes on.
    await client.request('GET', '/settle')
    expect((await client.readResponse()).status).toBe(200)
  })

  test('a source shorter than its size, or one that throws, cuts the connection', async () => {
    class Throwing extends MemorySource {
      override use<R>(offset: number, length: number, callback: (bytes: Uint8Array) => R): R {
        if (offset > 0) throw new Error('unmapped')
        return super.use(offset, Math.min(length, 1000), callback)
      }
    }
    const sources = [new MemorySource(pattern(MiB), 2 * MiB), new Throwing(pattern(2 * MiB))]
    const served = await streaming((path) => sources[Number(path.slice(1))]!)
    for (const index of sources.keys()) {
      const client = await served.connect()
      await client.request('GET', `/${index}`)
      await expectCut(client, 2 * MiB)
    }
    expect(sources.map((source) => source.closes)).toEqual([1, 1])
    expect(served.errors).toHaveLength(2)
  })

  test('a client that leaves in mid-download closes the source once', async () => {
    for (const leave of ['abort', 'close'] as const) {
      const source = new MemorySource(Buffer.alloc(64 * MiB))
      const served = await streaming(() => source)
      const client = await served.connect()
      await client.request('GET', '/')
      await client.readHead()
      client[leave]()
      await until(() => served.exchanges.length === 1)
      await served.settle()
      expect(source.closes).toBe(1)
      expect(served.exchanges[0]).toMatchObject({ state: 'aborted' })
    }
  })

  test('cut ends a stream and an unanswered request', async () => {
    const streams = deferred<HttpResponse>()
    const source = new WaitingSource(pattern(MiB), [1000])
    const served = await serving((request, response) => {
      if (request.path === '/cut') return response.cut()
      response.stream(ok, source)
      return streams.resolve(response)
    })
    const client = await served.connect()
    await client.request('GET', '/')
    const response = await streams.promise
    response.cut()
    await client.readToEnd()
    const other = await served.connect()
    await other.request('GET', '/cut')
    expect((await other.readToEnd()).length).toBe(0)
    expect(source.closes).toBe(1)
    expect(served.exchanges.map(({ state }) => state)).toEqual(['aborted', 'aborted'])
  })

  test('equal streams get equal shares', async () => {
    const bytes = Buffer.alloc(16 * MiB, 'x')
    const sources: MemorySource[] = []
    const served = await streaming(() => {
      sources.push(new MemorySource(bytes))
      return sources.at(-1)!
    })
    const clients = await Promise.all(Array.from({ length: 8 }, () => served.connect()))
    let behindAtFirstEnd: number | undefined
    await Promise.all(
      clients.map(async (client) => {
        await client.request('GET', '/')
        expect((await client.readResponse()).body.length).toBe(bytes.length)
        behindAtFirstEnd ??= Math.min(...sources.map((source) => source.offset))
      }),
    )
    expect(sources).toHaveLength(8)
    // How far apart the kernel's buffers and the readers allow; the pump's own fairness is exact
    // and has a test of its own.
    expect(behindAtFirstEnd).toBeGreaterThan(bytes.length / 16)
  })

  test('writes an answer of unknown length under backpressure', async () => {
    const chunk = pattern(MiB / 16)
    const rounds = 512
    let written = 0
    const served = await serving(async (_request, response) => {
      response.startChunked(ok)
      await response.write('')
      for (let round = 0; round < rounds; round += 1) {
        await response.write(chunk)
        written += 1
      }
      await response.write('end')
      response.end()
    })
    const client = await served.connect()
    await client.request('GET', '/')
    await until(() => written > 0)
    await served.settle()
    expect(written).toBeLessThan(rounds)
    const { body, headers } = await client.readResponse()
    expect(headers.has('content-length')).toBe(false)
    expect(body.length).toBe(32 * MiB + 3)
    expect(body.subarray(32 * MiB - chunk.length, 32 * MiB).equals(chunk)).toBe(true)
    await client.request('HEAD', '/')
    expect((await client.readResponse('HEAD')).status).toBe(200)
  })

  test('a write that waits ends when the client leaves', async () => {
    const served = await serving(async (_request, response) => {
      response.startChunked(ok)
      while (response.state === 'headersSent') await response.write(Buffer.alloc(MiB))
    })
    const client = await served.connect()
    await client.request('GET', '/')
    await client.readHead()
    client.abort()
    await until(() => served.exchanges.length === 1)
    expect(served.engine.openRequests).toBe(0)
  })
}
