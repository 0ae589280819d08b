/** @module PROXY protocol headers, of both versions: whole, in pieces, and wrong. */
import { describe, expect, test } from 'vitest'
import { readProxyHeader } from '../../../src/http/engine/proxy-header.ts'

const signature = '0d0a0d0a000d0a515549540a'
const read = (bytes: string | Buffer) => readProxyHeader(Buffer.from(bytes as string))
const binary = (hex: string) => Buffer.from(signature + hex, 'hex')

const v4 = binary('2111000c cb007109 7f000001 1234 1388'.replaceAll(' ', ''))
const v6 = binary(`21210024${'20010db8000000000000000000000001'.repeat(2)}12341388`)

describe('a header', () => {
  test.each([
    ['PROXY TCP4 203.0.113.9 127.0.0.1 1 2\r\nGET', 38, '203.0.113.9'],
    ['PROXY TCP6 2001:DB8::1 ::1 1 2\r\n', 32, '2001:db8::1'],
    ['PROXY UNKNOWN ffff 1\r\n', 22, undefined],
  ])('of version 1: %j', (text, bytes, client) => {
    expect(read(text)).toEqual({ bytes, client })
  })

  test('of version 2', () => {
    expect(readProxyHeader(v4)).toEqual({ bytes: 28, client: '203.0.113.9' })
    expect(readProxyHeader(v6)).toEqual({ bytes: 52, client: '2001:db8::1' })
    const withMore = Buffer.concat([
      binary('2111000f cb0071097f00000112341388'.replaceAll(' ', '')),
      Buffer.from([4, 0, 0, 71]),
    ])
    expect(readProxyHeader(withMore)).toEqual({ bytes: 31, client: '203.0.113.9' })
    expect(readProxyHeader(binary('20000000'))).toEqual({ bytes: 16, client: undefined })
    expect(readProxyHeader(binary('21000000'))).toEqual({ bytes: 16, client: undefined })
  })

  test('is waited for, byte by byte', () => {
    for (const whole of [v4, v6, Buffer.from('PROXY TCP4 203.0.113.9 127.0.0.1 1 2\r\n')]) {
      for (let length = 1; length < whole.length; length += 1) {
        expect(readProxyHeader(whole.subarray(0, length))).toBe('more')
      }
    }
  })
})

test.each([
  'GET / HTTP/1.1\r\n',
  'PROXY TCP4 203.0.113.9\r\n',
  'PROXY TCP4 2001:db8::1 ::1 1 2\r\n',
  'PROXY TCP6 203.0.113.9 127.0.0.1 1 2\r\n',
  'PROXY TCP4 203.0.113.9 127.0.0.1 1 2 3\r\n',
  'PROXY TCP5 203.0.113.9 127.0.0.1 1 2\r\n',
  'PROXY  \r\n',
  `PROXY ${'x'.repeat(200)}`,
  `PROXY ${' '.repeat(65_536)}`,
  '\x16\x03\x01',
])('%j is none', (text) => {
  expect(read(text)).toBe('none')
})

test.each([
  '22110000',
  '11110000',
  '2111ffff',
  '211100080102030405060708',
  '2141000c'.padEnd(32, '0'),
])('version 2 with %s is none', (hex) => {
  expect(readProxyHeader(binary(hex))).toBe('none')
})
