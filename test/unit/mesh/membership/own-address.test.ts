/** Where a node is reached, and which of the listed peers it is itself. */
import type { NetworkInterfaceInfo } from 'node:os'
import { describe, expect, test } from 'vitest'
import {
  findOwnAddress,
  type OwnAddressOptions,
  portAfter,
  splitAddress,
} from '../../../../src/mesh/membership/own-address.ts'

const info = (address: string, internal = false): NetworkInterfaceInfo =>
  ({ address, internal, family: address.includes(':') ? 'IPv6' : 'IPv4' }) as NetworkInterfaceInfo
const interfaces = () => ({
  lo: [info('127.0.0.1', true), info('::1', true)],
  eth0: [info('fe80::1'), info('10.0.0.1')],
})
const names: Readonly<Record<string, string>> = { 'node-1': '10.0.0.1', 'node-2': '10.0.0.2' }
const lookup = (host: string) => {
  const address = names[host]
  if (address === undefined) return Promise.reject(new Error('ENOTFOUND'))
  return Promise.resolve([{ address, family: 4 }])
}
const find = (some: Partial<OwnAddressOptions>) =>
  findOwnAddress(
    { bind: { host: '', port: 7946 }, advertise: '', peers: [], ...some },
    { lookup, interfaces },
  )

describe('a node is reached', () => {
  test.each([
    [{}, '10.0.0.1:7946'],
    [{ bind: { host: '127.0.0.1', port: 7950 } }, '127.0.0.1:7950'],
    [{ bind: { host: '::1', port: 7950 } }, '[::1]:7950'],
    [{ bind: { host: '0.0.0.0', port: 7950 } }, '10.0.0.1:7950'],
    [{ advertise: 'outside.example.com:80' }, 'outside.example.com:80'],
    [{ peers: ['node-1:7946', 'node-2:7946'] }, 'node-1:7946'],
  ])('%j at %s', async (some, address) => {
    expect((await find(some)).advertise).toBe(address)
  })
})

describe('the others of the list', () => {
  test('are without this node, by name, by address, and by what it advertises', async () => {
    const peers = ['node-1:7946', '10.0.0.1:7946', 'node-2:7946', 'node-2:7946']
    expect((await find({ peers })).others).toEqual(['node-2:7946'])
    const given = { peers: ['x:1', 'node-2:7946'], advertise: 'x:1' }
    expect((await find(given)).others).toEqual(['node-2:7946'])
  })

  test('are others on this machine with another port, and names that nothing knows yet', async () => {
    const peers = ['10.0.0.1:7950', 'node-9:7946', '127.0.0.1:7956']
    expect((await find({ peers })).others).toEqual(peers)
  })

  test('are without the names of which all addresses count', async () => {
    const { others, names: found } = await find({ peers: ['dns:mesh:7946', 'node-2:7946'] })
    expect(others).toEqual(['node-2:7946'])
    expect(found).toEqual(['mesh:7946'])
  })
})

test('addresses have a host and a port', () => {
  expect(splitAddress('[::1]:7946')).toEqual({ host: '::1', port: 7946 })
  expect(portAfter('[::1]:7946', 2)).toBe('[::1]:7948')
  expect(portAfter('node-1:7946', 1)).toBe('node-1:7947')
})
