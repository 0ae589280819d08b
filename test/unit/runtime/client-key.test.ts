/** @module Whose share an address counts against, in every way that it can be written. */
import { expect, test } from 'vitest'
import { clientKey, networkKey } from '../../../src/runtime/client-key.ts'

test.each([
  ['192.0.2.7', '192.0.2.7', undefined],
  ['::ffff:192.0.2.7', '192.0.2.7', undefined],
  ['::FFFF:c000:207', '192.0.2.7', undefined],
  ['0:0:0:0:0:ffff:192.0.2.7', '192.0.2.7', undefined],
  ['64:ff9b::192.0.2.7', '192.0.2.7', undefined],
  ['64:ff9b::c000:207', '192.0.2.7', undefined],
  ['2001:db8:1:2::1', '2001:db8:1:2::/64', '2001:db8:1::/48'],
  ['2001:0DB8:0001:0002:ffff:ffff:ffff:ffff', '2001:db8:1:2::/64', '2001:db8:1::/48'],
  ['2001:db8:1:ff:a::192.0.2.7', '2001:db8:1:ff::/64', '2001:db8:1::/48'],
  ['2001:db8::1', '2001:db8:0:0::/64', '2001:db8:0::/48'],
  ['2001:db8:1:2::', '2001:db8:1:2::/64', '2001:db8:1::/48'],
  ['fe80::1%eth0', 'fe80:0:0:0::/64', 'fe80:0:0::/48'],
  ['::1', '0:0:0:0::/64', '0:0:0::/48'],
  ['::', '0:0:0:0::/64', '0:0:0::/48'],
  ['1:2:3:4:5:6:7::', '1:2:3:4::/64', '1:2:3::/48'],
  // What is no address stands for itself.
  ['', '', undefined],
  ['unknown', 'unknown', undefined],
  [':'.repeat(65_536), ':'.repeat(65_536), undefined],
])('%s is %s', (address, client, network) => {
  expect(clientKey(address)).toBe(client)
  expect(networkKey(client)).toBe(network)
})

test('all addresses of a /64 are one client, those of a /48 one network', () => {
  const addresses = Array.from({ length: 256 }, (_, index) => {
    const tail = (index * 40_503 + 1).toString(16)
    return `2001:db8:7:${(index % 4).toString(16)}:${tail.slice(-4)}::${index.toString(16)}`
  })
  const clients = new Set(addresses.map(clientKey))
  expect(clients.size).toBe(4)
  expect(new Set([...clients].map(networkKey)).size).toBe(1)
})
