/**
 * @module The bytes of etcd's messages. The hexadecimal ones were written by protobufjs from etcd's
 * definitions.
 */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { EtcdError } from '../../../../src/metadata/log/etcd/errors.ts'
import {
  readHeaderOnly,
  readRange,
  readStatus,
  readTxn,
  readWatch,
  writeCompact,
  writeCreate,
  writePut,
  writeRange,
  writeWatch,
} from '../../../../src/metadata/log/etcd/messages.ts'
import { WireReader, WireWriter } from '../../../../src/metadata/log/etcd/wire.ts'

const HEADER = '0a1b08b298eaf1948386fccd0110cdd2918bd2b881cf8e0118ac022004'
const header = { clusterId: 14841639068965178418n, revision: 300 }
const RANGE = `${HEADER}12150a036c6f67100518ac0220112a05656e747279300918012003`
const PUT = `${HEADER}12070a036c6f672003`
const TXN = `${HEADER}10011a1d${HEADER}`
const EVENTS = `${HEADER}10ffffffffffffffffff0138015a1712150a036c6f67100518ffffffffffffff0f20112a01655a13080112080a036c6f6718ad021a050a036c6f67`
const CANCELED = `${HEADER}1801200128ab02320b66c3bc72206e6963687473`
const STATUS = `${HEADER}1206332e342e323318c0f0f50b20cdd2918bd2b881cf8e012805300642074e4f53504143454201784880a0015001`

const READERS = {
  range: readRange,
  header: readHeaderOnly,
  txn: readTxn,
  watch: readWatch,
  status: readStatus,
} as const

function bytes(hex: string): Uint8Array {
  return Buffer.from(hex, 'hex')
}

function hex(value: Uint8Array): string {
  return Buffer.from(value).toString('hex')
}

const log = Buffer.from('log')

describe('requests', () => {
  test('of a range ask for a majority, keys alone, or an earlier revision', () => {
    const all = writeRange({ key: log, end: Buffer.from('loh'), isKeysOnly: true })
    expect(hex(all)).toBe('0a036c6f6712036c6f6818414001')
    const then = writeRange({ key: log, revision: 70000, isKeysOnly: false })
    expect(hex(then)).toBe('0a036c6f67184120f0a204')
  })

  test('of a put, a compaction and a watch', () => {
    expect(hex(writePut(log, Buffer.from('entry')))).toBe('0a036c6f671205656e747279')
    expect(hex(writeCompact(300))).toBe('08ac02')
    expect(hex(writeWatch(log, 301))).toBe('0a0a0a036c6f6718ad024001')
  })

  test('of a creation compare the version of the first key with 0', () => {
    const puts = [
      [log, Buffer.from('first')],
      [Buffer.from('name'), Buffer.from('x')],
    ] as const
    expect(hex(writeCreate(puts))).toBe(
      '0a071a036c6f672000120e120c0a036c6f6712056669727374120b12090a046e616d65120178',
    )
    expect(() => writeCreate([])).toThrow(RangeError)
  })
})

describe('answers', () => {
  test('of a range have keys at their place; unknown fields are skipped', () => {
    const answer = readRange(bytes(RANGE))
    expect(answer.header).toEqual(header)
    expect(answer.kvs.map((kv) => ({ ...kv, key: hex(kv.key), value: hex(kv.value) }))).toEqual([
      {
        key: hex(log),
        createRevision: 5,
        modRevision: 300,
        version: 17,
        value: hex(Buffer.from('entry')),
      },
    ])
  })

  test('of a put and of a transaction', () => {
    expect(readHeaderOnly(bytes(PUT))).toEqual(header)
    expect(readTxn(bytes(TXN))).toEqual({ header, hasSucceeded: true })
    expect(readTxn(bytes(HEADER))).toEqual({ header, hasSucceeded: false })
  })

  test('of a watch have events, up to the largest revision that is exact', () => {
    const { events, ...rest } = readWatch(bytes(EVENTS))
    expect(rest).toEqual({
      header,
      isCreated: false,
      isCanceled: false,
      compactRevision: 0,
      cancelReason: '',
    })
    expect(events.map(({ isDelete, kv }) => [isDelete, kv.modRevision, kv.version])).toEqual([
      [false, Number.MAX_SAFE_INTEGER, 17],
      [true, 301, 0],
    ])
  })

  test('of a watch that is over say why', () => {
    expect(readWatch(bytes(CANCELED))).toEqual({
      header,
      isCreated: true,
      isCanceled: true,
      compactRevision: 299,
      cancelReason: 'für nichts',
      events: [],
    })
  })

  test('of a member have its version, size and alarms', () => {
    expect(readStatus(bytes(STATUS))).toEqual({
      header,
      version: '3.4.23',
      dbBytes: 25_000_000,
      dbBytesInUse: 20480,
      leader: 10276657743932975437n,
      memberId: 10276657743932975437n,
      errors: ['NOSPACE', 'x'],
    })
  })

  test.each(Object.entries(READERS))('%s: a message that is cut off is refused', (_, read) => {
    for (const whole of [RANGE, EVENTS, STATUS]) {
      const message = bytes(whole)
      // The first field is the header: within it, everything is in the middle of something.
      for (let length = 0; length < 29; length += 1) {
        expect(() => read(message.subarray(0, length)), `${length} bytes`).toThrow(EtcdError)
      }
    }
  })

  test.each([
    ['a field that ends behind the message', `${HEADER}1205656e74`],
    ['a length without end', `${HEADER}12ffffffffffffffffffff`],
    ['a length above the message', `${HEADER}12ffffffff0f`],
    ['a number of eleven bytes', `${HEADER}10ffffffffffffffffffff01`],
    ['a zero of eleven bytes', `${HEADER}10${'80'.repeat(10)}00`],
    ['a number of 65 bits', `${HEADER}10ffffffffffffffffff02`],
    ['field 0', `${HEADER}0000`],
    ['a field number above 2^29', `${HEADER}8080808080010a`],
    ['a group', `${HEADER}7b7c`],
    ['kind 6', `${HEADER}7e`],
    ['a fixed field that is cut off', `${HEADER}79000000`],
    ['another kind of a known field', '0801'],
  ])('%s is refused', (_, message) => {
    for (const read of Object.values(READERS)) {
      expect(() => read(bytes(message))).toThrow(expect.objectContaining({ code: 'malformed' }))
    }
  })

  test('a negative revision, and one above 2^53, is refused', () => {
    for (const revision of ['ffffffffffffffffff01', '8080808080808010']) {
      const message = bytes(
        `0a${(revision.length / 2 + 1).toString(16).padStart(2, '0')}18${revision}`,
      )
      expect(() => readHeaderOnly(message)).toThrow(expect.objectContaining({ code: 'malformed' }))
    }
  })

  test('fixed unknown fields are skipped', () => {
    expect(readHeaderOnly(bytes(`790000000000000000${HEADER}7d00000000`))).toEqual(header)
  })

  test('without a header, an event without its key, a text that is none: refused', () => {
    expect(() => readRange(bytes('2003'))).toThrow(expect.objectContaining({ code: 'malformed' }))
    expect(() => readWatch(bytes(`${HEADER}5a020801`))).toThrow(EtcdError)
    expect(() => readWatch(bytes(`${HEADER}3201ff`))).toThrow(EtcdError)
  })

  test('more keys or alarms than were to be expected take no memory', () => {
    const kv = '12050a036c6f67'
    expect(readRange(bytes(HEADER + kv.repeat(65))).kvs).toHaveLength(65)
    expect(() => readRange(bytes(HEADER + kv.repeat(66)))).toThrow(EtcdError)
    expect(readStatus(bytes(HEADER + '420178'.repeat(500))).errors).toHaveLength(100)
    const events = Buffer.concat([bytes(HEADER), Buffer.alloc(4 * 262_145, bytes('5a021200'))])
    expect(() => readWatch(events)).toThrow(expect.objectContaining({ code: 'malformed' }))
  })

  test.each(Object.entries(READERS))(
    '%s: any bytes are read or refused, nothing else',
    (_, read) => {
      const whole = [RANGE, PUT, TXN, EVENTS, CANCELED, STATUS].map(bytes)
      const damaged = fc
        .tuple(fc.constantFrom(...whole), fc.nat(), fc.nat(255))
        .map(([message, at, value]) => {
          const copy = Uint8Array.from(message)
          copy[at % copy.length] = value
          return copy
        })
      fc.assert(
        fc.property(fc.oneof(damaged, fc.uint8Array({ maxLength: 200 })), (message) => {
          try {
            read(message)
          } catch (error) {
            expect(error).toMatchObject({ code: 'malformed' })
          }
        }),
        { numRuns: 2000 },
      )
    },
  )
})

test('what is written is read', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 2 ** 29 - 1 }),
      fc.maxSafeNat(),
      fc.uint8Array({ maxLength: 300 }),
      (field, number, value) => {
        const written = new WireWriter().number(field, number).bytes(field, value).finish()
        const reader = new WireReader(written)
        expect([reader.next(), reader.number()]).toEqual([field, number])
        expect([reader.next(), hex(reader.bytes())]).toEqual([field, hex(value)])
        expect(reader.next()).toBe(0)
      },
    ),
  )
})
