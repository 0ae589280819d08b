/**
 * @module PROXY protocol in front of a listener: taken once, at the beginning of a connection, from the
 * networks that are configured for it, on plain listeners and beneath TLS.
 */
import { connect, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { describe, expect, test } from 'vitest'
import { NodeEngine } from '../../../src/http/engine/node/engine.ts'
import { UwsEngine } from '../../../src/http/engine/uws/engine.ts'
import { loadUws } from '../../../src/http/engine/uws/loader.ts'
import { describeRegistry, type InProcessRegistry } from '../../support/in-process.ts'
import { ok, Served, testTls } from '../engine/harness.ts'

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

const inside = ipv4Header([203, 0, 113, 9])
const outside = ipv4Header([198, 51, 100, 7])
const local = Buffer.concat([signature, Buffer.from([0x20, 0, 0, 0])])
const text = (line: string) => Buffer.from(`${line}\r\n`)

const catalog = (more = '') => `GET /v2/_catalog HTTP/1.1\r\nHost: registry.test\r\n${more}\r\n`

/** All that comes back until the connection ends, or as many answers as are waited for. */
function exchange(socket: Socket, packets: readonly (Buffer | string)[], answers = 1) {
  return new Promise<readonly number[]>((resolve, reject) => {
    let received = ''
    const statuses = () =>
      [...received.matchAll(/HTTP\/1\.1 (\d+)/g)].map(([, status]) => Number(status))
    let next = 0
    const send = () => {
      if (next < packets.length) socket.write(packets[next]!)
      next += 1
    }
    socket.on('error', reject)
    socket.on('data', (bytes) => {
      received += bytes.toString('latin1')
      if (statuses().length >= answers) socket.destroy()
      else if (statuses().length >= next) send()
    })
    socket.on('close', () => resolve(statuses()))
    send()
  })
}

async function statusBehind(registry: InProcessRegistry, header: Buffer, more = '') {
  const socket = connect(registry.port, '127.0.0.1')
  const packet = Buffer.concat([header, Buffer.from(catalog(more))])
  return (await exchange(socket, [packet]))[0] ?? 0
}

const server = {
  trusted_proxies: ['127.0.0.0/8', '198.51.100.7'],
  proxy_protocol: ['127.0.0.0/8'],
}

describeRegistry('PROXY protocol of a balancer', { config: { access, server } }, (registry) => {
  test.each([
    ['version 2, IPv4', inside, 200],
    ['version 2, IPv4, another network', outside, 401],
    ['version 2, IPv6', ipv6Header('20010db8000000000000000000000001'), 200],
    ['version 2, IPv6, another network', ipv6Header('20010db9000000000000000000000001'), 401],
    ['version 1, IPv4', text('PROXY TCP4 203.0.113.9 127.0.0.1 4660 5000'), 200],
    ['version 1, IPv4, another network', text('PROXY TCP4 198.51.100.7 127.0.0.1 4660 5000'), 401],
    ['version 1, IPv6', text('PROXY TCP6 2001:db8::1 ::1 4660 5000'), 200],
    ['version 1, unknown', text('PROXY UNKNOWN'), 401],
    ['the balancer itself', local, 401],
    ['none', Buffer.alloc(0), 400],
    ['one that is wrong', text('PROXY TCP4 203.0.113.9'), 400],
    ['an address of the other family', text('PROXY TCP4 2001:db8::1 ::1 4660 5000'), 400],
  ])('%s', async (_name, header, status) => {
    expect(await statusBehind(registry(), header)).toBe(status)
  })

  test('names a proxy whose own header counts, if that one is trusted', async () => {
    const forwarded = 'X-Forwarded-For: 203.0.113.9\r\n'
    expect(await statusBehind(registry(), outside, forwarded)).toBe(200)
    const stranger = ipv4Header([192, 0, 2, 1])
    // The balancer is a trusted proxy too, and yet did not write this.
    expect(await statusBehind(registry(), stranger, forwarded)).toBe(401)
  })

  test('a header that comes byte by byte is read whole', async () => {
    const client = await registry().connect()
    for (const byte of inside) await client.send(Buffer.from([byte]))
    await client.send(catalog())
    expect((await client.readResponse()).status).toBe(200)
  })

  test.each([
    ['from the second request on', [Buffer.concat([outside, Buffer.from(catalog())])]],
    ['where the first said nothing', [Buffer.concat([local, Buffer.from(catalog())])]],
  ])('is not taken %s', async (_name, first) => {
    const second = Buffer.concat([inside, Buffer.from(catalog())])
    const socket = connect(registry().port, '127.0.0.1')
    const statuses = await exchange(socket, [...first, second], 2)
    expect(statuses[0]).toBe(401)
    expect([400, undefined]).toContain(statuses[1])
  })

  test('stays for all requests of a connection', async () => {
    const socket = connect(registry().port, '127.0.0.1')
    const packets = [Buffer.concat([inside, Buffer.from(catalog())]), catalog(), catalog()]
    expect(await exchange(socket, packets, 3)).toEqual([200, 200, 200])
  })
})

describeRegistry(
  'PROXY protocol of anybody else',
  { config: { access, server: { trusted_proxies: ['127.0.0.0/8'] } } },
  (registry) => {
    test.each([inside, text('PROXY TCP4 203.0.113.9 127.0.0.1 4660 5000')])(
      'is refused',
      async (header) => {
        expect([0, 400]).toContain(await statusBehind(registry(), header))
      },
    )

    test('is not believed later', async () => {
      const second = Buffer.concat([inside, Buffer.from(catalog())])
      const socket = connect(registry().port, '127.0.0.1')
      const statuses = await exchange(socket, [catalog(), second], 2)
      expect(statuses[0]).toBe(401)
      expect([400, 401, undefined]).toContain(statuses[1])
    })
  },
)

const load = loadUws()

test.each(load.ok ? ['uws', 'node'] : ['node'])(
  'behind a balancer that is a trusted proxy too, the client writes X-Forwarded-* itself (%s)',
  async (engine) => {
    const served = new Served(
      (given) => {
        const isOwn = (address: string) => address === '127.0.0.1'
        const options = { ...given, isBalancer: isOwn, isTrustedProxy: isOwn }
        return engine === 'uws' && load.ok ? new UwsEngine(options, load) : new NodeEngine(options)
      },
      ({ remoteAddress, scheme, host }, response) =>
        response.send(ok, JSON.stringify([remoteAddress, scheme, host])),
    )
    served.port = await served.engine.listen({ host: '127.0.0.1', port: 0 })
    const forged = [
      'X-Forwarded-For: 198.51.100.1',
      'X-Forwarded-Proto: https',
      'X-Forwarded-Host: evil.test',
    ]
    const client = await served.connect()
    await client.send(inside)
    await client.request('GET', '/', forged)
    const { body } = await client.readResponse()
    expect(JSON.parse(String(body))).toEqual(['203.0.113.9', 'http', 'test'])
    const local = await served.connect()
    await local.send(Buffer.concat([signature, Buffer.from([0x20, 0, 0, 0])]))
    await local.request('GET', '/', forged)
    expect(JSON.parse(String((await local.readResponse()).body))).toEqual([
      '198.51.100.1',
      'https',
      'evil.test',
    ])
  },
)

describe('PROXY protocol beneath TLS', () => {
  test.each(load.ok ? ['uws', 'node'] : ['node'])('names the client (%s)', async (engine) => {
    const served = new Served(
      (given) => {
        const options = { ...given, isBalancer: () => true }
        return engine === 'uws' && load.ok ? new UwsEngine(options, load) : new NodeEngine(options)
      },
      (request, response) => response.send(ok, request.remoteAddress),
    )
    const port = await served.engine.listen({ host: '127.0.0.1', port: 0, tls: testTls })
    const wire = connect(port, '127.0.0.1')
    wire.write(inside)
    const socket = connectTls({ socket: wire, rejectUnauthorized: false })
    const body = new Promise<string>((resolve) => {
      let all = ''
      socket.on('data', (bytes) => {
        all += bytes
        if (all.endsWith('.9')) resolve(all)
      })
    })
    socket.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
    expect(await body).toMatch(/\r\n\r\n203\.0\.113\.9$/)
    socket.destroy()
  })
})
