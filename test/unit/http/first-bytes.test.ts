/** @module What the first bytes of a connection are judged to be. */
import { describe, expect, test } from 'vitest'
import {
  emptyLineBytes,
  firstBytesMax,
  judgeRequest,
  readOffer,
} from '../../../src/http/engine/first-bytes.ts'

const judge = (text: string) => {
  const bytes = Buffer.from(text, 'latin1')
  return judgeRequest(bytes.subarray(0, firstBytesMax), bytes.length)
}

describe('a request', () => {
  test.each([
    'GET /v2/ HTTP/1.1\r\nHost: a\r\n\r\n',
    `GET /v2/ HTTP/1.1\r\nX-A: ${'a'.repeat(firstBytesMax)}`,
    'PUT /a HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc',
    'PUT /a HTTP/1.1\r\nHost: a\r\nContent-Length: 300\r\n\r\nabc',
    'PATCH /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n',
    'PATCH /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nab',
    `PUT /a HTTP/1.1\r\nHost: a\r\nContent-Length: 50000\r\n\r\n${'x'.repeat(50_000)}`,
  ])('of HTTP/1.1 with a path, alone, is native: %j', (text) => {
    expect(judge(text)).toBe('native')
  })

  test.each([
    'GET /v2/ HTTP/1.0\r\n\r\n',
    'GET /v2/ HTTP/2.0\r\n\r\n',
    'GET /v2/\r\n',
    'GET http://a/v2/ HTTP/1.1\r\nHost: a\r\n\r\n',
    'OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n',
    'GET /a b HTTP/1.1\r\nHost: a\r\n\r\n',
    'GET /a HTTP/1.1\nHost: a\n\n',
    'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
    'GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\n',
    'PUT /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabcG',
    `PUT /a HTTP/1.1\r\nHost: a\r\ncontent-length:  50000 \r\n\r\n${'x'.repeat(50_001)}`,
    'PATCH /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nG',
    '\x16\x03\x01\x02',
    '\0',
    'x'.repeat(firstBytesMax),
  ])('of another kind is for the node engine: %j', (text) => {
    expect(judge(text)).toBe('node')
  })

  test('of which the head has not come is waited for', () => {
    const head = 'GET /v2/ HTTP/1.1\r\nHost: a\r\n\r'
    for (const text of ['G', 'GET /v2/ HTTP/1.', 'GET /v2/ HTTP/1.1\r\n', '\r', head]) {
      expect(judge(text)).toBe('more')
    }
  })
})

test('empty lines are counted in whole', () => {
  const count = (text: string) => emptyLineBytes(Buffer.from(text))
  expect([count('GET'), count('\r\nGET'), count('\r\n\n\r\nGET'), count('\r\n\r')]).toEqual([
    0, 2, 5, 2,
  ])
})

/** A ClientHello with these extensions. */
function hello(extensions: Buffer): Buffer {
  const body = Buffer.concat([
    Buffer.from([3, 3]),
    Buffer.alloc(32),
    Buffer.from([4, 1, 2, 3, 4, 0, 2, 0x13, 1, 1, 0]),
    Buffer.from([extensions.length >> 8, extensions.length & 255]),
    extensions,
  ])
  const message = Buffer.concat([Buffer.from([1, 0, body.length >> 8, body.length & 255]), body])
  return Buffer.concat([
    Buffer.from([0x16, 3, 1, message.length >> 8, message.length & 255]),
    message,
  ])
}

function extension(type: number, content: Buffer): Buffer {
  return Buffer.concat([Buffer.from([0, type, content.length >> 8, content.length & 255]), content])
}

function alpn(...names: readonly string[]): Buffer {
  const list = Buffer.concat(names.map((name) => Buffer.from(`\0${name}`)))
  let at = 0
  for (const name of names) {
    list[at] = name.length
    at += 1 + name.length
  }
  return extension(16, Buffer.concat([Buffer.from([list.length >> 8, list.length & 255]), list]))
}

describe('a TLS client', () => {
  test('offers what its hello says', () => {
    expect(readOffer(hello(alpn('h2', 'http/1.1')))).toEqual(['h2', 'http/1.1'])
    expect(
      readOffer(hello(Buffer.concat([extension(0, Buffer.alloc(9)), alpn('http/1.0')]))),
    ).toEqual(['http/1.0'])
    expect(readOffer(hello(extension(0, Buffer.alloc(9))))).toBeUndefined()
    expect(readOffer(hello(Buffer.alloc(0)))).toBeUndefined()
  })

  test('is waited for until its hello is whole, and what is none is told', () => {
    const whole = hello(alpn('http/1.1'))
    for (let length = 0; length < whole.length; length += 1) {
      expect(readOffer(whole.subarray(0, length))).toBe('more')
    }
    expect(readOffer(Buffer.from('GET / HTTP/1.1\r\n'))).toBe('none')
  })

  test('with lengths that lead out of its hello is none, or offers nothing', () => {
    const whole = hello(alpn('http/1.1'))
    for (let at = 9; at < whole.length; at += 1) {
      const bent = Buffer.from(whole)
      bent[at] = 255
      expect(() => readOffer(bent)).not.toThrow()
    }
  })
})

test('64 KiB of anything take no time', () => {
  for (const byte of [
    ' ',
    '\t',
    '\r',
    '\n',
    '\r\n',
    '0',
    ':',
    'G',
    '/',
    '\0',
    'GET / HTTP/1.1\r\n',
  ]) {
    const bytes = Buffer.alloc(firstBytesMax, byte)
    const head = Buffer.concat([Buffer.from('GET / HTTP/1.1\r\n'), bytes]).subarray(
      0,
      firstBytesMax,
    )
    const startedAt = performance.now()
    emptyLineBytes(bytes)
    for (const given of [bytes, head]) {
      judgeRequest(given, 65_536)
      readOffer(given)
    }
    // Anything but linear takes seconds.
    expect(performance.now() - startedAt).toBeLessThan(500)
  }
})
