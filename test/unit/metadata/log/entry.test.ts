/**
 * @module Entries of the log: what they are as bytes, and what they come to at their place. Once each, whole, and
 * of runs that take part.
 */
import { deflateRawSync } from 'node:zlib'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { applyEntry } from '../../../../src/metadata/apply/entry.ts'
import type { AppliedEntry, Control, EntryBody } from '../../../../src/metadata/entry.ts'
import {
  decodeBody,
  decodeEntry,
  encodeBody,
  encodeEntry,
  MalformedEntry,
  pieceBytesMax,
} from '../../../../src/metadata/log/codec.ts'
import type { MemberRow, MemberState, SessionRow } from '../../../../src/metadata/rows/mesh.ts'
import type { Transaction } from '../../../../src/metadata/transaction.ts'
import { factsOf } from '../../../support/mesh/member-facts.ts'
import { SeededRandom } from '../../../support/mesh/seeded-random.ts'
import { SimDisk } from '../../../support/mesh/sim-disk.ts'

const present: Control = { control: 'present', signal: 1, reads: 'strict' }
const joins = (member: number): Control => ({
  control: 'member',
  member,
  facts: factsOf(`n${member}`),
})

function put(name: string, row = 1): Transaction {
  return { checks: [], changes: [{ change: 'put', in: 'approvals', key: name, row }] }
}

function manifest(bytes: Uint8Array): Transaction {
  const change = { change: 'put', in: 'manifestBytes', key: 'sha256:a', row: bytes } as const
  return { checks: [], changes: [change] } as unknown as Transaction
}

/** A store, and who sends what to it. */
class Log {
  readonly disk = new SimDisk()
  index = 0

  apply(
    head: readonly [member: number, boot: number, seq: number],
    body: Partial<EntryBody> | { readonly piece: Uint8Array; readonly left: number },
  ): AppliedEntry {
    const [member, boot, seq] = head
    this.index += 1
    const [bytes, piecesLeft] =
      'piece' in body
        ? [body.piece, body.left]
        : [encodeBody({ controls: [], transactions: [], ...body })[0]!, 0]
    const entry = { member, boot, seq, piecesLeft, body: bytes }
    return this.disk.writeSync(() =>
      applyEntry(this.disk, this.index, entry, { decode: decodeBody }),
    )
  }

  has(name: string): boolean {
    return this.disk.get('approvals', name) !== undefined
  }

  session(member: number): SessionRow {
    return this.disk.get('sessions', String(member)) as SessionRow
  }
}

/** With members 1 and 2, the first of which is present. */
function meshLog(): Log {
  const log = new Log()
  log.apply([1, 1, 1], { controls: [joins(1), joins(2), present] })
  return log
}

describe('as bytes', () => {
  test('come back as they were', () => {
    const value = fc.oneof(
      fc.string(),
      fc.integer(),
      fc.double({ noNaN: true }).map((it) => it + 0),
      fc.constant(undefined),
    )
    const rows = fc.dictionary(
      // Never a field of a row: the decoder takes it for an attack, and gives it another name.
      fc.string().filter((name) => name !== '__proto__'),
      value,
      { noNullPrototype: true },
    )
    fc.assert(
      fc.property(rows, fc.uint8Array(), fc.nat(), (row, bytes, seq) => {
        const transactions = [manifest(bytes), put('a', row as never)]
        const [body] = encodeBody({ controls: [present], transactions })
        const entry = { member: 3, boot: 2 ** 40, seq, piecesLeft: 0, body: body! }
        const read = decodeEntry(encodeEntry(entry))
        expect({ ...read, body: [...read.body] }).toEqual({ ...entry, body: [...entry.body] })
        const again = decodeBody([read.body])
        expect(again.controls).toEqual([present])
        expect(again.transactions[1]).toStrictEqual(transactions[1])
        const change = again.transactions[0]!.changes[0] as { row: Uint8Array }
        expect([...change.row]).toEqual([...bytes])
      }),
    )
  })

  test('are refused unless they are understood to the last byte', () => {
    const [body] = encodeBody({ controls: [present], transactions: [put('a')] })
    const bytes = encodeEntry({ member: 1, boot: 1, seq: 1, piecesLeft: 0, body: body! })
    for (let length = 0; length < bytes.length; length += 1) {
      expect(() => decodeEntry(bytes.subarray(0, length)), `${length}`).toThrow(MalformedEntry)
    }
    expect(() => decodeEntry(Buffer.concat([bytes, Buffer.of(1)]))).toThrow(MalformedEntry)
    expect(() => decodeEntry(Buffer.concat([Buffer.of(2), bytes.subarray(1)]))).toThrow('format 2')
    for (let length = 0; length < body!.length; length += 1) {
      expect(() => decodeBody([body!.subarray(0, length)]), `${length}`).toThrow(MalformedEntry)
    }
  })

  test('have their bounds', () => {
    const long = {
      member: 1,
      boot: 1,
      seq: 1,
      piecesLeft: 0,
      body: Buffer.alloc(pieceBytesMax + 1),
    }
    expect(() => decodeEntry(encodeEntry(long))).toThrow('too long')
    const many = { ...long, body: Buffer.alloc(1), piecesLeft: 1_000 }
    expect(() => decodeEntry(encodeEntry(many))).toThrow('too long')
    const bomb = deflateRawSync(Buffer.alloc(65 * 1024 * 1024))
    expect(() => decodeBody([bomb])).toThrow(MalformedEntry)
    const nested = deflateRawSync(Buffer.alloc(1024 * 1024, 0x91))
    expect(() => decodeBody([nested])).toThrow(MalformedEntry)
  })
})

describe('once', () => {
  test('what is sent again counts no more', () => {
    const log = meshLog()
    expect(log.apply([1, 1, 2], { transactions: [put('a', 1)] }).fate).toBe('applied')
    expect(log.apply([1, 1, 3], { transactions: [put('a', 2)] }).fate).toBe('applied')
    expect(log.apply([1, 1, 2], { transactions: [put('a', 1)] }).fate).toBe('repeated')
    expect(log.disk.get('approvals', 'a')).toBe(2)
  })

  test('what leaves a number out is void', () => {
    const log = meshLog()
    expect(log.apply([1, 1, 3], { transactions: [put('a')] }).fate).toBe('void')
    expect(log.has('a')).toBe(false)
    expect(log.apply([1, 1, 2], { transactions: [put('b')] }).fate).toBe('applied')
  })
})

describe('of runs that take part', () => {
  test('not before they say so, as members', () => {
    const log = meshLog()
    expect(log.apply([2, 1, 1], { transactions: [put('a')] }).fate).toBe('void')
    expect(log.apply([2, 1, 1], { controls: [present], transactions: [put('b')] }).fate).toBe(
      'applied',
    )
    expect(log.apply([3, 1, 1], { controls: [present], transactions: [put('c')] }).fate).toBe(
      'void',
    )
    expect([log.has('a'), log.has('b'), log.has('c')]).toEqual([false, true, false])
    expect(log.disk.get('sessions', '3')).toBeUndefined()
  })

  test('not of one that a newer run has followed', () => {
    const log = meshLog()
    expect(log.apply([1, 2, 1], { controls: [present] }).fate).toBe('applied')
    expect(log.apply([1, 1, 2], { transactions: [put('a')] }).fate).toBe('void')
    expect(log.has('a')).toBe(false)
    expect(log.session(1)).toMatchObject({ boot: 2, seq: 1 })
  })

  test('not of one that was put out, until it is present again; its numbers go on', () => {
    const log = meshLog()
    log.apply([2, 1, 1], { controls: [present] })
    const { beat } = log.session(1)
    const absent: Control = { control: 'absent', member: 1, boot: 1, beat }
    expect(log.apply([2, 1, 2], { controls: [absent] }).done).toEqual([true])
    expect(log.apply([1, 1, 2], { transactions: [put('late')] }).fate).toBe('void')
    expect(log.apply([1, 1, 3], { controls: [{ ...present, signal: 2 }] }).fate).toBe('applied')
    expect(log.apply([1, 1, 2], { transactions: [put('late')] }).fate).toBe('repeated')
    expect(log.apply([1, 1, 4], { transactions: [put('new')] }).fate).toBe('applied')
    expect([log.has('late'), log.has('new')]).toEqual([false, true])
  })

  test('a newer beat keeps a run in, and a newer run is not meant', () => {
    const log = meshLog()
    log.apply([2, 1, 1], { controls: [present] })
    const { beat } = log.session(1)
    log.apply([1, 1, 2], { controls: [{ control: 'beat', signal: 2, visible: 1, durable: 1 }] })
    const absent: Control = { control: 'absent', member: 1, boot: 1, beat }
    expect(log.apply([2, 1, 2], { controls: [absent] }).done).toEqual([false])
    log.apply([1, 2, 1], { controls: [present] })
    const late: Control = { ...absent, beat: log.session(1).beat }
    expect(log.apply([2, 1, 3], { controls: [late] }).done).toEqual([false])
    expect(log.session(1).presentAt).toBeGreaterThan(0)
  })

  test('a run goes out by its own word, whatever beat of it is under way', () => {
    const log = meshLog()
    const own: Control = { control: 'absent', member: 1, boot: 1, beat: 0 }
    log.apply([1, 1, 2], { controls: [{ control: 'beat', signal: 2, visible: 1, durable: 1 }] })
    expect(log.apply([1, 1, 3], { controls: [own] }).done).toEqual([true])
    expect(log.session(1).presentAt).toBe(0)
  })

  test('a number is given to one member only', () => {
    const log = meshLog()
    expect(log.apply([1, 1, 2], { controls: [joins(2), joins(3)] }).done).toEqual([false, true])
  })

  test('what a member was seen to show goes back by no beat', () => {
    const log = meshLog()
    const beat = (visible: number): Control => ({ control: 'beat', signal: 1, visible, durable: 0 })
    log.apply([1, 1, 2], { controls: [beat(9)] })
    log.apply([1, 1, 3], { controls: [beat(7)] })
    expect(log.session(1).visible).toBe(9)
  })
})

describe('of what members are', () => {
  const is = (state: MemberState): Control => ({ control: 'state', member: 2, state })
  const stateOf = (log: Log) => (log.disk.get('members', '2') as MemberRow).state

  /** Both take part; the first one speaks of the second from its next number on. */
  function both(): { readonly log: Log; readonly say: (state: MemberState) => boolean } {
    const log = meshLog()
    log.apply([2, 1, 1], { controls: [present] })
    let seq = 1
    const say = (state: MemberState) => {
      seq += 1
      return log.apply([1, 1, seq], { controls: [is(state)] }).done[0]!
    }
    return { log, say }
  }

  const leaves = (log: Log, seq: number) =>
    log.apply([2, 1, seq], { controls: [{ control: 'absent', member: 2, boot: 1, beat: 0 }] })

  test('who joins is active when its run has come in, and who left never comes back', () => {
    const log = meshLog()
    expect(stateOf(log)).toBe('joining')
    log.apply([2, 1, 1], { controls: [present] })
    expect(stateOf(log)).toBe('active')
    const { log: other, say } = both()
    expect(say('left')).toBe(true)
    expect(other.session(2).presentAt).toBe(0)
    expect(say('active')).toBe(false)
    expect(other.apply([2, 2, 1], { controls: [present] }).fate).toBe('void')
    expect(stateOf(other)).toBe('left')
  })

  test('only who is away is out, and is active again when its run comes in', () => {
    const { log, say } = both()
    expect(say('out')).toBe(false)
    leaves(log, 2)
    expect(say('out')).toBe(true)
    log.apply([2, 2, 1], { controls: [present] })
    expect(stateOf(log)).toBe('active')
  })

  test('who is to go does not come back by being away', () => {
    const { log, say } = both()
    expect(say('draining')).toBe(true)
    leaves(log, 2)
    expect(say('out')).toBe(false)
    log.apply([2, 2, 1], { controls: [present] })
    expect(stateOf(log)).toBe('draining')
  })
})

describe('whole', () => {
  const bytes = Buffer.from(new SeededRandom(1).bytes(3 * pieceBytesMax))
  const pieces = encodeBody({ controls: [], transactions: [manifest(bytes), put('a')] })
  const send = (log: Log, first: number, upTo = pieces.length): AppliedEntry[] =>
    pieces
      .slice(0, upTo)
      .map((piece, at) => log.apply([1, 1, first + at], { piece, left: pieces.length - 1 - at }))

  test('a long one comes in pieces, and is applied with the last', () => {
    expect(pieces.length).toBeGreaterThan(1)
    const log = meshLog()
    const fates = send(log, 2).map(({ fate }) => fate)
    expect(fates.slice(0, -1).every((fate) => fate === 'kept')).toBe(true)
    expect(fates.at(-1)).toBe('applied')
    expect(Buffer.compare(log.disk.get('manifestBytes', 'sha256:a') as Buffer, bytes)).toBe(0)
    expect(log.disk.firstKeys('parts', [])).toEqual([])
  })

  test('what is packed already is copied, text is packed', () => {
    const size = 20_000
    const blob = (inlineBytes: Uint8Array): Transaction => ({
      checks: [],
      changes: [
        { change: 'arrive', in: 'blobs', key: 'sha256:a', row: { sizeBytes: size }, inlineBytes },
      ] as never,
    })
    const lengthOf = (content: Uint8Array) =>
      encodeBody({ controls: [], transactions: [blob(content)] })[0]!.byteLength
    expect(lengthOf(new SeededRandom(2).bytes(size))).toBeGreaterThan(size)
    expect(lengthOf(Buffer.alloc(size, '{"created":"by a builder"}'))).toBeLessThan(size / 10)
  })

  test('pieces of other members do not mix', () => {
    const log = meshLog()
    log.apply([2, 1, 1], { controls: [present] })
    for (const [at, piece] of pieces.entries()) {
      const left = pieces.length - 1 - at
      log.apply([2, 1, 2 + at], { piece, left })
      expect(log.apply([1, 1, 2 + at], { piece, left }).fate).toBe(left === 0 ? 'applied' : 'kept')
    }
  })

  test('what a run has left goes when it is over, or put out', () => {
    for (const end of [
      (log: Log) => log.apply([1, 2, 1], { controls: [present] }),
      (log: Log) => {
        log.apply([2, 1, 1], { controls: [present] })
        const { beat } = log.session(1)
        log.apply([2, 1, 2], { controls: [{ control: 'absent', member: 1, boot: 1, beat }] })
      },
    ]) {
      const log = meshLog()
      send(log, 2, 1)
      expect(log.disk.firstKeys('parts', [])).toHaveLength(1)
      end(log)
      expect(log.disk.firstKeys('parts', [])).toEqual([])
    }
  })

  test('what a transaction rests on is judged at its place, each alone', () => {
    const log = meshLog()
    const once: Transaction = {
      checks: [{ check: 'absent', in: 'approvals', key: 'a' }],
      changes: [{ change: 'put', in: 'approvals', key: 'a', row: 1 }],
    }
    const { outcomes } = log.apply([1, 1, 2], { transactions: [once, once, put('b')] })
    expect(outcomes.map(({ applied }) => applied)).toEqual([true, false, true])
  })
})

describe('a witness', () => {
  const facts = { ...factsOf('w'), witness: true } as const
  const joins2: Control = { control: 'member', member: 2, facts }
  const stateOf = (log: Log) => (log.disk.get('members', '2') as MemberRow).state

  test('takes no part, and is nothing else until it has left', () => {
    const log = new Log()
    log.apply([1, 1, 1], { controls: [joins(1), present, joins2] })
    expect(stateOf(log)).toBe('witness')
    expect(log.apply([2, 1, 1], { controls: [present] }).fate).toBe('void')
    const states = ['active', 'draining', 'out', 'left', 'active'] as const
    const controls = states.map((state): Control => ({ control: 'state', member: 2, state }))
    expect(log.apply([1, 1, 2], { controls }).done).toEqual([false, false, false, true, false])
    expect(stateOf(log)).toBe('left')
  })

  test('needs to know no rules', () => {
    const log = new Log()
    log.apply([1, 1, 1], { controls: [joins(1), { ...present, level: 1 }, joins2] })
    const raise: Control = { control: 'raise', level: 1 }
    expect(log.apply([1, 1, 2], { controls: [raise] }).done).toEqual([false])
    log.disk.writeSync(() => log.disk.put('cluster', 'settings', { level: 0 }))
    expect(log.apply([1, 1, 3], { controls: [raise] }).done).toEqual([true])
  })
})
