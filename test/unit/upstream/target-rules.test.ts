import { describe, expect, test } from 'vitest'
import { HttpClient } from '../../../src/upstream/client.ts'
import { Slots } from '../../../src/upstream/slots.ts'
import {
  type AddressKind,
  isOutOfReach,
  judgeTarget,
  kindOfAddress,
  lookupWithin,
} from '../../../src/upstream/target-rules.ts'

const TABLE: readonly (readonly [kind: AddressKind | undefined, addresses: readonly string[]])[] = [
  [
    'forbidden',
    [
      '169.254.169.254',
      '[fe80::1%eth0]',
      '168.63.129.16',
      '100.100.100.200',
      'fd00:ec2::254',
      'fd20:ce::254',
      '0.0.0.0',
      '::',
      '255.255.255.255',
      '2001:0:1:2:3:4:5:6',
    ],
  ],
  // The same, carried in IPv6.
  [
    'forbidden',
    [
      '::ffff:169.254.169.254',
      '[::ffff:a9fe:a9fe]',
      '64:ff9b::a9fe:a9fe',
      '64:ff9b::169.254.169.254',
      '2002:a9fe:a9fe::1',
      '::169.254.169.254',
      '[::a9fe:a9fe]',
    ],
  ],
  [
    'private',
    [
      '127.0.0.1',
      '127.255.0.3',
      '10.1.2.3',
      '172.31.255.255',
      '192.168.0.1',
      '100.64.0.1',
      '::1',
      'fd12:3456::1',
      '::ffff:127.0.0.1',
      '64:ff9b::7f00:1',
      '64:ff9b:1::808:808',
      '2002:7f00:1::',
      '::127.0.0.1',
    ],
  ],
  ['public', ['8.8.8.8', '172.32.0.1', '2606:4700::1', '64:ff9b::808:808', '2002:808:808::1']],
  [undefined, ['registry.example.com', '', '1.2.3', '[::1', ':'.repeat(64 * 1024)]],
]

describe('the kind of an address', () => {
  test.each(TABLE)('%s', (kind, addresses) => {
    for (const address of addresses) expect(kindOfAddress(address), address.slice(0, 60)).toBe(kind)
  })
})

describe('reach', () => {
  test('keeps what an upstream names out of private networks', async () => {
    expect(isOutOfReach('127.0.0.1', 'any')).toBe(false)
    for (const host of ['127.0.0.1', '[::1]', 'localhost', 'a.localhost', '10.0.0.1']) {
      expect(isOutOfReach(host, 'public'), host).toBe(true)
    }
  })

  test('is judged again where a name is resolved, which is remembered as private', async () => {
    const seen: string[] = []
    const ask = (reach: 'any' | 'public') =>
      new Promise<unknown>((resolve) => {
        lookupWithin(reach, (hostname) => seen.push(hostname))('localhost', { all: true }, resolve)
      })
    expect(await ask('public')).toMatchObject({ code: 'ENOTFOUND' })
    expect(seen).toEqual([])
    expect(await ask('any')).toBeNull()
    expect(seen).toEqual(['localhost'])
  })

  test.each([false, true])('holds for requests (bulk: %s)', async (isBulk) => {
    const client = await HttpClient.open({
      caFile: undefined,
      proxy: undefined,
      connectMs: 500,
      firstByteMs: 500,
      stallMs: 500,
    })
    const send = (url: string) =>
      client.send({
        method: 'GET',
        url: new URL(url),
        headers: {},
        deadline: performance.now() + 2_000,
        reach: 'public',
        isBulk,
        slots: new Slots(1),
      })
    await expect(send('http://127.0.0.1:1/')).rejects.toMatchObject({ kind: 'redirect' })
    await expect(send('http://[::ffff:7f00:1]:1/')).rejects.toMatchObject({ kind: 'redirect' })
    await client.close()
  })

  test.each([
    'http://metadata/x',
    'http://metadata.google.internal/x',
    'http://[64:ff9b::a9fe:a9fe]/',
    'http://2852039166/',
    'http://0xa9fea9fe/',
    'ftp://a.test/',
    'http://user@a.test/',
    `http://a.test/${'x'.repeat(9000)}`,
  ])('no target is %s', (target) => {
    const judge = () => judgeTarget(target, new URL('http://a.test'), false)
    expect(judge).toThrow(expect.objectContaining({ kind: 'redirect' }))
  })
})
