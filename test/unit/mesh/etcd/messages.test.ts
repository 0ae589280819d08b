/**
 * @module The bytes of etcd's messages about its members, by the field numbers of `rpc.proto`.
 */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  readAdded,
  readAlarms,
  readList,
  readNothing,
  writeAdd,
  writeAlarms,
  writeDisarm,
  writeId,
  writeList,
} from '../../../../src/mesh/etcd/messages.ts'
import { EtcdError } from '../../../../src/metadata/log/etcd/errors.ts'
import { WireReader, WireWriter } from '../../../../src/metadata/log/etcd/wire.ts'

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')
const text = (value: string) => Buffer.from(value)
const malformed = expect.objectContaining({ code: 'malformed' })

const HEADER = new WireWriter().uint64(1, 7n).number(3, 300)
const ID = 0xfeed_beef_0000_0001n

function member({ urls = 1, id = ID } = {}): WireWriter {
  const writer = new WireWriter().uint64(1, id).bytes(2, text('m1'))
  for (let at = 0; at < urls; at += 1) writer.bytes(3, text(`http://127.0.0.1:${at + 1}`))
  return writer.bytes(4, text('http://127.0.0.1:9')).boolean(5, true).number(99, 1)
}

function list(...members: readonly WireWriter[]): Uint8Array {
  const writer = new WireWriter().message(1, HEADER)
  for (const one of members) writer.message(2, one)
  return writer.finish()
}

const MEMBER = {
  id: ID,
  name: 'm1',
  peerUrls: ['http://127.0.0.1:1'],
  clientUrls: ['http://127.0.0.1:9'],
  isLearner: true,
}

describe('requests', () => {
  test('of lists, learners, ids and alarms', () => {
    expect(hex(writeList())).toBe('0801')
    expect(hex(writeAdd('u'))).toBe('0a01751001')
    expect(hex(writeId(1n))).toBe('0801')
    expect(hex(writeId(ID))).toBe('0881808080f0ddeff6fe01')
    expect(hex(writeAlarms())).toBe('0800')
    expect(hex(writeDisarm(5n))).toBe('080210051801')
  })

  test('have every id of 64 bits as it is', () => {
    fc.assert(
      fc.property(fc.bigInt(0n, 2n ** 64n - 1n), (id) => {
        const reader = new WireReader(writeId(id))
        expect(reader.next()).toBe(1)
        expect(reader.uint64()).toBe(id)
        expect(reader.next()).toBe(0)
      }),
    )
  })
})

describe('answers', () => {
  test('have the members at their place, and fields that nothing knows are skipped', () => {
    expect(readList(list(member()))).toEqual([MEMBER])
    expect(readAdded(list(member()))).toEqual(MEMBER)
    const fresh = list(new WireWriter().uint64(1, 3n).bytes(3, text('u')))
    const none = { name: '', clientUrls: [], isLearner: false }
    expect(readList(fresh)).toEqual([{ ...none, id: 3n, peerUrls: ['u'] }])
  })

  test('have the alarms of each member', () => {
    const alarm = (code: number) => new WireWriter().uint64(1, ID).number(2, code)
    expect(readAlarms(list(alarm(1), alarm(2), alarm(7)))).toEqual([
      { memberId: ID, kind: 'no-space' },
      { memberId: ID, kind: 'corrupt' },
      { memberId: ID, kind: 'other' },
    ])
    expect(readAlarms(list())).toEqual([])
  })

  test('of a moved leader and of a defragmentation are empty, or whole', () => {
    readNothing(new Uint8Array())
    readNothing(list())
    expect(() => readNothing(list().subarray(1))).toThrow(malformed)
  })

  test('are refused above their bounds', () => {
    expect(readList(list(...Array.from({ length: 64 }, () => member())))).toHaveLength(64)
    expect(() => readList(list(...Array.from({ length: 65 }, () => member())))).toThrow(malformed)
    expect(readList(list(member({ urls: 16 })))[0]!.peerUrls).toHaveLength(16)
    expect(() => readList(list(member({ urls: 17 })))).toThrow(malformed)
    const long = new WireWriter().bytes(77, new Uint8Array(256 * 1024)).finish()
    expect(() => readList(long)).toThrow(malformed)
  })

  test('without an id, or without the member that was added, are refused', () => {
    expect(() => readList(list(new WireWriter().bytes(2, text('m'))))).toThrow(malformed)
    expect(() => readAdded(list())).toThrow(malformed)
  })

  test('that are cut off in the middle of a field are refused', () => {
    const whole = list(member())
    const ends = new Set([0, list().length, whole.length])
    for (let length = 0; length < whole.length; length += 1) {
      if (ends.has(length)) continue
      expect(() => readList(whole.subarray(0, length)), `${length} bytes`).toThrow(EtcdError)
    }
  })

  test.each([
    ['list', readList],
    ['alarms', readAlarms],
    ['added', readAdded],
    ['nothing', readNothing],
  ])('%s: any bytes are read or refused, nothing else', (_, read) => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        try {
          read(bytes)
        } catch (error) {
          expect(error).toBeInstanceOf(EtcdError)
        }
      }),
    )
  })
})
