/**
 * @module PROXY protocol, version 2, in front of a plain listener: believed from a trusted proxy,
 * ignored from everybody else, and joined with the headers that it may stand before.
 */
import { connect } from 'node:net'
import { describe, expect, test } from 'vitest'
import { describeRegistry, ENGINES, type InProcessRegistry } from '../support/in-process.ts'

const access = [
  {
    repositories: ['**'],
    anonymous: true,
    networks: ['203.0.113.0/24', '2001:db8::/32'],
    actions: ['pull', 'list'],
  },
]
const signature = Buffer.from('0d0a0d0a000d0a515549540a', 'hex')

/** A header for TCP over IPv4: version 2, command PROXY. */
function ipv4Header(source: readonly number[]): Buffer {
  const addresses = Buffer.from([...source, 127, 0, 0, 1, 0x12, 0x34, 0x13, 0x88])
  return Buffer.concat([signature, Buffer.from([0x21, 0x11, 0, addresses.length]), addresses])
}

function ipv6Header(source: string): Buffer {
  const ports = Buffer.from([0x12, 0x34, 0x13, 0x88])
  const own = Buffer.alloc(16)
  const addresses = Buffer.concat([Buffer.from(source, 'hex'), own, ports])
  return Buffer.concat([signature, Buffer.from([0x21, 0x21, 0, addresses.length]), addresses])
}

/** Status of a request behind these bytes; 0 when the connection closes without one. */
function statusBehind(registry: InProcessRegistry, header: Buffer, more = ''): Promise<number> {
  return new Promise((resolve, reject) => {
    const socket = connect(registry.port, '127.0.0.1', () => {
      const lines = `GET /v2/_catalog HTTP/1.1\r\nHost: registry.test\r\n${more}\r\n`
      socket.write(Buffer.concat([header, Buffer.from(lines)]))
    })
    socket.once('error', reject)
    socket.once('data', (bytes) => {
      resolve(Number(/^HTTP\/1\.1 (\d+)/.exec(bytes.toString())?.[1] ?? -1))
      socket.destroy()
    })
    socket.once('close', () => resolve(0))
  })
}

const inside = ipv4Header([203, 0, 113, 9])
const outside = ipv4Header([198, 51, 100, 7])

describe.runIf(ENGINES.includes('uws'))('PROXY protocol', () => {
  const trusting = { access, server: { trusted_proxies: ['127.0.0.0/8', '198.51.100.7'] } }

  describeRegistry('of a trusted proxy', { config: trusting, engines: ['uws'] }, (registry) => {
    test('names the client', async () => {
      expect(await statusBehind(registry(), inside)).toBe(200)
      expect(await statusBehind(registry(), outside)).toBe(401)
      expect(await statusBehind(registry(), ipv6Header('20010db8000000000000000000000001'))).toBe(
        200,
      )
      expect(await statusBehind(registry(), ipv6Header('20010db9000000000000000000000001'))).toBe(
        401,
      )
      expect(await statusBehind(registry(), Buffer.alloc(0))).toBe(401)
    })

    test('names a proxy whose own header counts, if that one is trusted too', async () => {
      const forwarded = 'X-Forwarded-For: 203.0.113.9\r\n'
      expect(await statusBehind(registry(), outside, forwarded)).toBe(200)
      const stranger = ipv4Header([192, 0, 2, 1])
      expect(await statusBehind(registry(), stranger, forwarded)).toBe(401)
    })
  })

  describeRegistry('of anybody else', { config: { access }, engines: ['uws'] }, (registry) => {
    test('is read over and not believed', async () => {
      expect(await statusBehind(registry(), inside)).toBe(401)
      expect(await statusBehind(registry(), inside, 'X-Forwarded-For: 203.0.113.9\r\n')).toBe(401)
    })
  })
})
