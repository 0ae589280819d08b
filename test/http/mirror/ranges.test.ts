/**
 * Ranges of what is not stored yet: bounded by time, whatever the upstream's speed, and never at the cost
 * of those who want something else.
 */
import { afterEach, describe, expect, test } from 'vitest'
import { FaultyUpstream } from '../../support/faulty-upstream.ts'
import { dispose, type InProcessRegistry, startInProcess, until } from '../../support/in-process.ts'
import { RawClient } from '../../support/raw-http.ts'
import { imageManifest, sha256, someBytes } from '../../support/registry-client.ts'

const open: (() => Promise<unknown>)[] = []
afterEach(async () => {
  while (open.length > 0) await open.pop()!()
})

const big = someBytes(20_000_000, 1)
const path = `/v2/hub/app/blobs/${sha256(big)}`
const config = { mediaType: 'application/x', digest: sha256('{}'), size: 2 }

async function begin(
  bytesPerSecond: number,
  settings: object = {},
): Promise<{ upstream: FaultyUpstream; registry: InProcessRegistry }> {
  const upstream = new FaultyUpstream()
  await upstream.start()
  open.push(() => upstream.stop())
  upstream.addBlob('app', big)
  upstream.addManifest('app', 'v1', imageManifest(config, []))
  // The blob as a whole is slow; a part of it is not.
  upstream.fault = (request) => {
    upstream.bytesPerSecond = request.headers.range === undefined ? bytesPerSecond : 0
    return false
  }
  const registry = await startInProcess({
    engine: 'uws',
    mirrors: [{ name: 'hub', upstream: upstream.url, ...settings }],
  })
  open.push(() => dispose(registry))
  return { upstream, registry }
}

async function timed<T>(work: Promise<T>): Promise<{ value: T; ms: number }> {
  const started = performance.now()
  const value = await work
  return { value, ms: performance.now() - started }
}

describe('a range on a miss', () => {
  test.each([
    ['in the middle', 'bytes=16719242-16784777', 16_719_242, 16_784_778],
    ['at the end', 'bytes=-65536', 20_000_000 - 65_536, 20_000_000],
    ['from a place on', 'bytes=19000000-', 19_000_000, 20_000_000],
  ])('%s does not wait for the fill', async (_name, range, from, to) => {
    const { registry, upstream } = await begin(4_000_000)
    const { value, ms } = await timed(registry.client.get(path, { Range: range }))
    expect(value.status).toBe(206)
    expect(value.body.equals(big.subarray(from, to))).toBe(true)
    expect(value.headers['content-range']).toBe(`bytes ${from}-${to - 1}/20000000`)
    expect(ms).toBeLessThan(2_500)
    expect(upstream.count('GET', '/blobs/')).toBe(2)
    // The whole is filled once, and is there afterwards.
    await until(async () => (await registry.blobFiles()).length === 1)
    expect(upstream.count('GET', '/blobs/')).toBe(2)
  })

  test('that the fill reaches soon is waited for', async () => {
    const { registry, upstream } = await begin(0)
    const answer = await registry.client.get(path, { Range: 'bytes=10000000-10000099' })
    expect(answer.body.equals(big.subarray(10_000_000, 10_000_100))).toBe(true)
    expect(upstream.count('GET', '/blobs/')).toBe(1)
  })

  test('of several parts asks for each that is far ahead', async () => {
    const { registry, upstream } = await begin(2_000_000)
    const { value, ms } = await timed(
      registry.client.get(path, { Range: 'bytes=0-9,12000000-12000009,19999990-19999999' }),
    )
    expect(value.status).toBe(206)
    for (const from of [0, 12_000_000, 19_999_990]) {
      expect(value.body.includes(big.subarray(from, from + 10)), `${from}`).toBe(true)
    }
    expect(ms).toBeLessThan(4_000)
    expect(upstream.count('GET', '/blobs/')).toBe(3)
  })

  test('behind a fill that has stopped is asked for all the same', async () => {
    const { registry, upstream } = await begin(0)
    upstream.fault = (request, response) => {
      if (request.headers.range !== undefined || !request.url!.includes('/blobs/')) return false
      if (request.method === 'HEAD') return false
      response.writeHead(200, { 'Content-Length': big.byteLength })
      response.write(big.subarray(0, 100_000))
      return true
    }
    const { value, ms } = await timed(registry.client.get(path, { Range: 'bytes=-10' }))
    expect(value.body.equals(big.subarray(-10))).toBe(true)
    expect(ms).toBeLessThan(2_500)
  })

  test('is taken from the fill when upstream knows no ranges', async () => {
    const { registry, upstream } = await begin(8_000_000)
    const { fault } = upstream
    upstream.fault = (request, response, content) => {
      delete request.headers.range
      return fault!(request, response, content)
    }
    const answer = await registry.client.get(path, { Range: 'bytes=19000000-19000009' })
    expect(answer.body.equals(big.subarray(19_000_000, 19_000_010))).toBe(true)
  })
})

describe('clients that read almost nothing', () => {
  test('of far ranges leave other blobs, manifests and the breaker alone', async () => {
    const { registry, upstream } = await begin(200_000, { limits: { connections: 8 } })
    const other = someBytes(300_000, 2)
    upstream.addBlob('app', other)
    const slow: RawClient[] = []
    for (let count = 0; count < 6; count += 1) {
      const client = await RawClient.connect(registry.port)
      open.push(async () => client.close())
      slow.push(client)
      const from = 2_000_000 + count * 2_000_000
      await client.send(
        `GET ${path} HTTP/1.1\r\nHost: x\r\nRange: bytes=${from}-${from + 7_999_999}\r\n\r\n`,
      )
    }
    const ranged = () => upstream.asked.filter(({ headers }) => headers.range !== undefined)
    await until(() => ranged().length >= 2)
    const blob = await timed(registry.client.get(`/v2/hub/app/blobs/${sha256(other)}`))
    expect(blob.value.body.equals(other)).toBe(true)
    expect((await registry.client.get('/v2/hub/app/manifests/v1')).status).toBe(200)
    // Two a client, whatever it asks for.
    expect(ranged().length).toBe(2)
  })
})
