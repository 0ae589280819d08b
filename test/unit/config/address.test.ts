import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { formatAddress, parseAddress } from '../../../src/config/address.ts'

describe('addresses', () => {
  test.each([
    [':5000', '', 5000],
    [':0', '', 0],
    ['127.0.0.1:5000', '127.0.0.1', 5000],
    ['0.0.0.0:65535', '0.0.0.0', 65535],
    ['[::1]:5000', '::1', 5000],
    ['[::]:80', '::', 80],
    ['localhost:5000', 'localhost', 5000],
    ['registry-1.example.com:443', 'registry-1.example.com', 443],
  ])('%s is read', (text, host, port) => {
    expect(parseAddress(text)).toEqual({ ok: true, value: { host, port } })
  })

  test.each([
    ['', 'with a port'],
    ['5000', 'such as ":5000"'],
    ['localhost', 'with a port'],
    ['localhost:', 'a port from 0 to 65535'],
    [':65536', 'a port from 0 to 65535'],
    [':-1', 'a port from 0 to 65535'],
    [':http', 'a port from 0 to 65535'],
    [': 5000', 'a port from 0 to 65535'],
    [':5e3', 'a port from 0 to 65535'],
    ['http://localhost:5000', 'without a scheme'],
    ['::1:5000', 'in brackets'],
    ['[]:5000', 'an IPv6 address between the brackets'],
    ['[127.0.0.1]:5000', 'an IPv6 address between the brackets'],
    ['300.0.0.1:5000', 'four numbers'],
    ['local host:5000', 'an address such as'],
    ['-a:5000', 'an address such as'],
  ])('%j is refused with what was expected', (text, expected) => {
    expect(parseAddress(text)).toEqual({ ok: false, error: expect.stringContaining(expected) })
  })

  test('what format writes, parse reads back', () => {
    const host = fc.oneof(fc.constant(''), fc.ipV4(), fc.ipV6(), fc.domain())
    const port = fc.integer({ min: 0, max: 65535 })
    return fc.assert(
      fc.property(fc.record({ host, port }), (address) => {
        expect(parseAddress(formatAddress(address))).toEqual({ ok: true, value: address })
      }),
    )
  })

  test('any text is either read or refused, and what is read is in range', () => {
    return fc.assert(
      fc.property(fc.string(), (text) => {
        const result = parseAddress(text)
        if (result.ok) expect(result.value.port).toBeLessThanOrEqual(65535)
      }),
    )
  })
})
