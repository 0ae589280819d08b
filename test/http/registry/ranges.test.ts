/**
 * @module Ranges of a blob over real sockets: the same suite on inline blobs, on mapped files and on
 * files that are read, because each has a source of its own.
 */
import { beforeAll, describe, expect, test } from 'vitest'
import { describeRegistry, type InProcessRegistry } from '../../support/in-process.ts'
import { parseMultipart } from '../../support/multipart.ts'
import { type Answer, refusal, sha256, someBytes } from '../../support/registry-client.ts'

type Registry = () => InProcessRegistry

describeRegistry('ranges', {}, (registry) => {
  describe('of an inline blob', () => rangeSuite(registry, 20_000))
  describe('of a mapped file', () => rangeSuite(registry, 3_000_000))
  describe('of an empty blob', () => emptySuite(registry))
})

describeRegistry('ranges', { config: { storage: { reader: 'file' } } }, (registry) => {
  describe('of a file that is read', () => rangeSuite(registry, 3_000_001))
})

function rangeSuite(registry: Registry, size: number): void {
  const content = someBytes(size, size)
  const digest = sha256(content)
  const path = `/v2/app/blobs/${digest}`
  const get = (range: string, headers: Record<string, string> = {}) =>
    registry().client.get(path, { Range: range, ...headers })

  beforeAll(async () => {
    await registry().client.pushBlob('app', content)
  })

  function expectPart(answer: Answer, first: number, last: number): void {
    expect(answer.status).toBe(206)
    expect(answer.headers['content-range']).toBe(`bytes ${first}-${last}/${size}`)
    expect(answer.headers['content-length']).toBe(String(last - first + 1))
    expect(answer.headers['docker-content-digest']).toBe(digest)
    expect(answer.headers['etag']).toBe(`"${digest}"`)
    expect(answer.body.equals(content.subarray(first, last + 1))).toBe(true)
  }

  test.each([
    ['bytes=0-0', 0, 0],
    ['bytes=5-99', 5, 99],
    ['BYTES=5-99', 5, 99],
    ['bytes= 5 - 99 ', 5, 99],
    ['bytes=0-', 0, size - 1],
    [`bytes=${size - 1}-`, size - 1, size - 1],
    [`bytes=0-${size - 1}`, 0, size - 1],
    [`bytes=7-${size + 5}`, 7, size - 1],
    ['bytes=1-99999999999999999999999', 1, size - 1],
    ['bytes=-1', size - 1, size - 1],
    ['bytes=-500', size - 500, size - 1],
    [`bytes=-${size * 2}`, 0, size - 1],
    [`bytes=4095-12288`, 4095, 12288],
    // One of two cannot be satisfied: the other is served as a single part.
    [`bytes=5-9,${size}-`, 5, 9],
  ])('%s is served', async (range, first, last) => {
    expectPart(await get(range), first, last)
  })

  test.each([
    `bytes=${size}-`,
    `bytes=${size}-${size + 1}`,
    'bytes=500-0',
    'bytes=-0',
    'bytes=-',
    'bytes=',
    'bytes=a-b',
    'bytes=1-2-3',
    'bytes=99999999999999999999999-',
    `bytes=${size}-,-0`,
  ])('%s is not satisfiable', async (range) => {
    const answer = await get(range)
    expect(refusal(answer)).toBe('416 BLOB_UPLOAD_INVALID')
    expect(answer.headers['content-range']).toBe(`bytes */${size}`)
  })

  test('an unknown unit and a header that is none are ignored', async () => {
    for (const range of ['lines=0-5', 'items=1-2', 'nonsense', '']) {
      const answer = await get(range)
      expect(answer.status, range).toBe(200)
      expect(answer.body.equals(content)).toBe(true)
      expect(answer.headers['accept-ranges']).toBe('bytes')
    }
  })

  test('HEAD ignores Range', async () => {
    for (const range of ['bytes=0-4', 'bytes=500-0', 'bytes=0-1,3-4']) {
      const answer = await registry().client.head(path, { Range: range })
      expect(answer.status).toBe(200)
      expect(answer.headers['content-length']).toBe(String(size))
    }
  })

  test('If-Range honours the range for the same strong tag alone', async () => {
    expectPart(await get('bytes=2-5', { 'If-Range': `"${digest}"` }), 2, 5)
    const others = [
      `W/"${digest}"`,
      `"${sha256('other')}"`,
      digest,
      'Wed, 21 Oct 2015 07:28:00 GMT',
      '*',
    ]
    for (const ifRange of others) {
      const answer = await get('bytes=2-5', { 'If-Range': ifRange })
      expect(answer.status, ifRange).toBe(200)
      expect(answer.body).toHaveLength(size)
    }
  })

  test('If-None-Match is judged before Range', async () => {
    const answer = await get('bytes=2-5', { 'If-None-Match': `"${digest}"` })
    expect(answer.status).toBe(304)
  })

  function expectParts(answer: Answer, spans: readonly (readonly [number, number])[]): void {
    expect(answer.status).toBe(206)
    expect(answer.headers['content-range']).toBeUndefined()
    expect(answer.headers['content-length']).toBe(String(answer.body.length))
    const parts = parseMultipart(answer.headers['content-type']!, answer.body)
    expect(parts).toHaveLength(spans.length)
    for (const [index, [first, last]] of spans.entries()) {
      const { headers, body } = parts[index]!
      expect(headers).toEqual({
        'content-type': 'application/octet-stream',
        'content-range': `bytes ${first}-${last}/${size}`,
      })
      expect(body.equals(content.subarray(first, last + 1)), `part ${index}`).toBe(true)
    }
  }

  test('two ranges are two parts, in the order asked for', async () => {
    expectParts(await get('bytes=100-199,0-49'), [
      [100, 199],
      [0, 49],
    ])
    expectParts(await get('bytes=-5, 3-3'), [
      [size - 5, size - 1],
      [3, 3],
    ])
  })

  test('adjoining and overlapping ranges are not merged', async () => {
    expectParts(await get('bytes=0-9,10-19,5-14'), [
      [0, 9],
      [10, 19],
      [5, 14],
    ])
  })

  test.each([1000, 1024])('%i ranges are as many parts', async (count) => {
    const width = Math.floor(size / count)
    const spans = Array.from({ length: count }, (_, index) => {
      // Backwards, so that no part follows the one before it in the file.
      const first = (count - 1 - index) * width
      return [first, first + Math.min(width, 700) - 1] as const
    })
    const range = `bytes=${spans.map(([first, last]) => `${first}-${last}`).join(',')}`
    expectParts(await get(range), spans)
  })

  test('more ranges than 1,024 and overlaps that multiply the bytes are refused', async () => {
    const many = Array.from({ length: 1025 }, (_, index) => `${index}-${index}`).join(',')
    expect(refusal(await get(`bytes=${many}`))).toBe('400 BLOB_UPLOAD_INVALID')
    expect(refusal(await get('bytes=0-,0-'))).toBe('400 BLOB_UPLOAD_INVALID')
    expect(refusal(await get(`bytes=0-${size - 1},5-5`))).toBe('400 BLOB_UPLOAD_INVALID')
  })
}

function emptySuite(registry: Registry): void {
  test('every range of nothing is the whole of it', async () => {
    const { digest } = await registry().client.pushBlob('app', '')
    for (const range of ['bytes=0-', 'bytes=-5', 'bytes=0-0', 'bytes=1-2,3-4', 'bytes=5-1']) {
      const answer = await registry().client.get(`/v2/app/blobs/${digest}`, { Range: range })
      expect(answer.status, range).toBe(200)
      expect(answer.headers['content-length']).toBe('0')
      expect(answer.body).toHaveLength(0)
    }
  })
}
