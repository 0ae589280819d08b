import { expect, test } from 'vitest'
import type { ByteSource } from '../../../src/http/engine/port.ts'
import { MultipartSource, multipartType, SpanSource } from '../../../src/http/multipart.ts'
import { parseMultipart } from '../../support/multipart.ts'
import { someBytes } from '../../support/registry-client.ts'

const content = someBytes(10_000)

/** Gives at most `windowBytes` at a time, and every other time a promise first. */
class WindowedSource implements ByteSource {
  readonly sizeBytes = content.length
  closes = 0
  #asked = 0
  readonly #windowBytes: number

  constructor(windowBytes: number) {
    this.#windowBytes = windowBytes
  }

  ready(_offset: number, length: number): number | Promise<void> {
    this.#asked += 1
    return this.#asked % 2 === 0 ? Promise.resolve() : Math.min(length, this.#windowBytes)
  }

  use<R>(offset: number, length: number, callback: (bytes: Uint8Array) => R): R {
    return callback(content.subarray(offset, offset + length))
  }

  close(): void {
    this.closes += 1
  }
}

async function readAll(source: ByteSource, wantedBytes: number): Promise<Buffer> {
  const parts: Buffer[] = []
  let offset = 0
  while (offset < source.sizeBytes) {
    const ready = source.ready(offset, Math.min(wantedBytes, source.sizeBytes - offset))
    if (ready instanceof Promise) await ready
    else {
      expect(ready).toBeGreaterThan(0)
      expect(ready).toBeLessThanOrEqual(wantedBytes)
      const part = source.use(offset, ready, (bytes) => Buffer.from(bytes))
      parts.push(part)
      offset += part.length
    }
  }
  expect(offset).toBe(source.sizeBytes)
  return Buffer.concat(parts)
}

const spans = [
  { offset: 9_999, length: 1 },
  { offset: 0, length: 3_000 },
  { offset: 2_999, length: 2 },
]

test.each([1, 7, 64, 100_000])('parts come whole in windows of %i bytes', async (windowBytes) => {
  const inner = new WindowedSource(windowBytes)
  const source = new MultipartSource(inner, spans)
  const body = await readAll(source, Math.max(3, windowBytes))
  const parts = parseMultipart(multipartType(source.boundary), body)
  expect(parts.map(({ body: part }) => part)).toEqual(
    spans.map(({ offset, length }) => content.subarray(offset, offset + length)),
  )
  source.close()
  expect(inner.closes).toBe(1)
})

test('a span is a source of its own length', async () => {
  for (const span of spans) {
    const source = new SpanSource(new WindowedSource(100), span)
    expect(source.sizeBytes).toBe(span.length)
    const body = await readAll(source, 1_000)
    expect(body).toEqual(content.subarray(span.offset, span.offset + span.length))
  }
})
