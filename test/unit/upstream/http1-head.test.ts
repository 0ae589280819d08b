import { describe, expect, test } from 'vitest'
import { parseHead } from '../../../src/upstream/http1-head.ts'

const head = (...lines: string[]) => parseHead(['HTTP/1.1 200 OK', ...lines].join('\r\n'))

describe('the head of an answer', () => {
  test('has a status, headers in lower case, and a length', () => {
    const { status, headers, framing, isKept } = head('Content-Length: 12', 'X-Some:  a thing \t')
    expect(status).toBe(200)
    expect(headers).toEqual({ 'content-length': '12', 'x-some': 'a thing' })
    expect(framing).toEqual({ kind: 'length', bytes: 12 })
    expect(isKept).toBe(true)
  })

  test('keeps values of a header that comes twice apart', () => {
    expect(head('Content-Length: 0', 'A: 1', 'a: 2').headers['a']).toEqual(['1', '2'])
  })

  test('without a length ends with the connection, and is not kept', () => {
    expect(head()).toMatchObject({ framing: { kind: 'close' }, isKept: false })
  })

  test('of HTTP/1.0, or with "close", is not kept', () => {
    expect(parseHead('HTTP/1.0 200 OK\r\nContent-Length: 1').isKept).toBe(false)
    expect(head('Content-Length: 1', 'Connection: Close').isKept).toBe(false)
  })

  test('of 204, 304 and interim answers has no body whatever it says', () => {
    for (const status of [100, 204, 304]) {
      const { framing } = parseHead(`HTTP/1.1 ${status} X\r\nContent-Length: 7`)
      expect(framing, `${status}`).toEqual({ kind: 'length', bytes: 0 })
    }
  })

  test.each([
    ['another protocol', 'ICY 200 OK'],
    ['HTTP/2 in words', 'HTTP/2 200'],
    ['a status of two digits', 'HTTP/1.1 20 OK'],
    ['a line without a colon', 'HTTP/1.1 200 OK\r\nnothing'],
    ['a folded line', 'HTTP/1.1 200 OK\r\nA: b\r\n c'],
    ['a space before the colon', 'HTTP/1.1 200 OK\r\nContent-Length : 5'],
    ['a bare line feed', 'HTTP/1.1 200 OK\r\nA: b\nContent-Length: 5'],
    ['two lengths', 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6'],
    ['a list of lengths', 'HTTP/1.1 200 OK\r\nContent-Length: 5, 5'],
    ['a negative length', 'HTTP/1.1 200 OK\r\nContent-Length: -5'],
    ['a length and chunks', 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked'],
    ['a coding not asked for', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked'],
  ])('is refused with %s', (_what, text) => {
    expect(() => parseHead(text)).toThrow(expect.objectContaining({ kind: 'garbage' }))
  })
})
