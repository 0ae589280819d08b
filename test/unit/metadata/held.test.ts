/** @module Copies that members promise to keep, as the log judges them: by runs and revocations, at their place. */
import { describe, expect, test } from 'vitest'
import { applyEntry } from '../../../src/metadata/apply/entry.ts'
import { endedPinsMax } from '../../../src/metadata/apply/held.ts'
import type { AppliedEntry, Control, EntryBody } from '../../../src/metadata/entry.ts'
import { decodeBody, encodeBody } from '../../../src/metadata/log/codec.ts'
import { copyNewsOf } from '../../../src/metadata/log/copy-news.ts'
import type { SessionRow } from '../../../src/metadata/rows/mesh.ts'
import type { Candidate } from '../../../src/metadata/sweep.ts'
import type { HeldCopy, Transaction } from '../../../src/metadata/transaction.ts'
import { factsOf } from '../../support/mesh/member-facts.ts'
import { SimDisk } from '../../support/mesh/sim-disk.ts'

const present: Control = { control: 'present', signal: 1, reads: 'strict' }
const revoke = (pins: readonly number[], below = 0): Control => ({
  control: 'revoke',
  pins,
  below,
})

function copy(member: number, pin: number, boot = 1): HeldCopy {
  return { member, boot, pin }
}

function held(copies: readonly HeldCopy[], atLeast = 2): Transaction {
  return {
    checks: [{ check: 'held', in: 'sessions', copies, atLeast }],
    changes: [{ change: 'put', in: 'approvals', key: 'a', row: 1 }],
  }
}

/** Three members that are present, and the entries of each. */
class Log {
  readonly disk = new SimDisk()
  readonly #seqs = new Map<string, number>()
  #index = 0

  constructor() {
    const joins = [1, 2, 3].map((member) => ({
      control: 'member' as const,
      member,
      facts: factsOf(`n${member}`),
    }))
    this.apply(1, { controls: [...joins, present] })
    this.apply(2, { controls: [present] })
    this.apply(3, { controls: [present] })
  }

  apply(member: number, said: Partial<EntryBody>, boot = 1): AppliedEntry {
    const seq = (this.#seqs.get(`${member} ${boot}`) ?? 0) + 1
    this.#seqs.set(`${member} ${boot}`, seq)
    this.#index += 1
    const [body] = encodeBody({ controls: [], transactions: [], ...said })
    const entry = { member, boot, seq, piecesLeft: 0, body: body! }
    return this.disk.writeSync(() =>
      applyEntry(this.disk, this.#index, entry, { decode: decodeBody }),
    )
  }

  isHeld(copies: readonly HeldCopy[], atLeast = 2): boolean {
    const { outcomes } = this.apply(1, { transactions: [held(copies, atLeast)] })
    return outcomes[0]!.applied
  }

  ended(member: number): unknown {
    return this.disk.get('endedPins', String(member))
  }
}

describe('held copies', () => {
  test('are of distinct members, and enough', () => {
    const log = new Log()
    expect(log.isHeld([copy(1, 1), copy(2, 1)])).toBe(true)
    expect(log.isHeld([copy(2, 1)])).toBe(false)
    expect(log.isHeld([copy(2, 1), copy(2, 2)])).toBe(false)
    expect(log.isHeld([copy(2, 1), copy(2, 2), copy(3, 1)])).toBe(true)
    expect(log.isHeld([copy(2, 1)], 1)).toBe(true)
    expect(log.isHeld([], 1)).toBe(false)
  })

  test('are of the last run of each member', () => {
    const log = new Log()
    expect(log.isHeld([copy(1, 1), copy(2, 1, 2)]), 'a run that never came in').toBe(false)
    expect(log.isHeld([copy(1, 1), copy(4, 1)]), 'no member').toBe(false)
    log.apply(2, { controls: [present] }, 2)
    expect(log.isHeld([copy(1, 1), copy(2, 1)])).toBe(false)
    expect(log.isHeld([copy(1, 1), copy(2, 1, 2)])).toBe(true)
  })

  test('of a member that was put out count: it keeps its files', () => {
    const log = new Log()
    const { beat } = log.disk.get('sessions', '2') as SessionRow
    log.apply(3, { controls: [{ control: 'absent', member: 2, boot: 1, beat }] })
    expect(log.isHeld([copy(1, 1), copy(2, 1)])).toBe(true)
    expect(log.apply(2, { controls: [revoke([1])] }).fate).toBe('void')
    expect(log.isHeld([copy(1, 1), copy(2, 1)])).toBe(true)
  })

  test('all have to be kept, not only as many as are asked for', () => {
    const log = new Log()
    log.apply(3, { controls: [revoke([1])] })
    expect(log.isHeld([copy(1, 1), copy(2, 1), copy(3, 1)])).toBe(false)
  })
})

describe('revoked pins', () => {
  test('count no more, others of the member and of other members do', () => {
    const log = new Log()
    log.apply(2, { controls: [revoke([5, 7])] })
    expect(log.isHeld([copy(1, 1), copy(2, 5)])).toBe(false)
    expect(log.isHeld([copy(1, 1), copy(2, 7)])).toBe(false)
    expect(log.isHeld([copy(1, 1), copy(2, 6)])).toBe(true)
    expect(log.isHeld([copy(1, 5), copy(3, 7)])).toBe(true)
  })

  test('are judged at their place, before the transactions of their entry', () => {
    const log = new Log()
    const transactions = [held([copy(2, 1), copy(3, 1)])]
    const { outcomes } = log.apply(2, { controls: [revoke([1])], transactions })
    expect(outcomes[0]!.applied).toBe(false)
  })

  test('are forgotten below the number under which all are over', () => {
    const log = new Log()
    log.apply(2, { controls: [revoke([5, 7], 3)] })
    expect(log.ended(2)).toEqual({ below: 3, pins: [5, 7] })
    expect(log.isHeld([copy(1, 1), copy(2, 2)])).toBe(false)
    expect(log.isHeld([copy(1, 1), copy(2, 3)])).toBe(true)
    log.apply(2, { controls: [revoke([4, 9], 6)] })
    expect(log.ended(2)).toEqual({ below: 6, pins: [7, 9] })
    log.apply(2, { controls: [revoke([], 2)] })
    expect(log.ended(2), 'it goes back by no word').toEqual({ below: 6, pins: [7, 9] })
    expect(log.isHeld([copy(1, 1), copy(2, 5)])).toBe(false)
  })

  test('are forgotten when the next run of the member comes in, and not before', () => {
    const log = new Log()
    log.apply(2, { controls: [revoke([5])] })
    log.apply(3, { controls: [revoke([5])] })
    log.apply(2, { transactions: [held([], 0)] }, 2)
    expect(log.ended(2)).toBeDefined()
    const again = new Log()
    again.apply(2, { controls: [revoke([5])] })
    again.apply(3, { controls: [revoke([5])] })
    again.apply(2, { controls: [present] }, 2)
    expect([again.ended(2), again.ended(3)]).toEqual([undefined, { below: 0, pins: [5] }])
    expect(again.isHeld([copy(1, 1), copy(2, 5, 2)])).toBe(true)
  })

  test('are bounded: the oldest go, and all below them are over', () => {
    const log = new Log()
    const pins = Array.from({ length: endedPinsMax + 2 }, (_, at) => 10 + at * 2)
    log.apply(2, { controls: [revoke(pins)] })
    expect(log.ended(2)).toEqual({ below: 13, pins: pins.slice(2) })
    expect(log.isHeld([copy(1, 1), copy(2, 9)])).toBe(false)
    expect(log.isHeld([copy(1, 1), copy(2, 13)])).toBe(true)
  })
})

describe('news of copies', () => {
  test('of pins that were used: of the own run, and when the transaction was applied', () => {
    const log = new Log()
    const transactions = [
      held([copy(2, 1), copy(3, 2)]),
      held([copy(2, 4), copy(3, 5, 9)]),
      held([copy(2, 7), copy(3, 8)]),
    ]
    const applied = log.apply(1, { transactions })
    expect(copyNewsOf(applied, 2, 1).pinsUsed).toEqual([1, 7])
    expect(copyNewsOf(applied, 3, 1).pinsUsed).toEqual([2, 8])
    expect(copyNewsOf(applied, 2, 2).pinsUsed).toEqual([])
  })

  test('of revocations and of coming in: the own, and none of a void entry', () => {
    const log = new Log()
    const applied = log.apply(2, { controls: [present, revoke([3])] })
    expect(copyNewsOf(applied, 2, 1)).toMatchObject({ isPresent: true, pinsRevoked: [3] })
    expect(copyNewsOf(applied, 3, 1)).toMatchObject({ isPresent: false, pinsRevoked: [] })
    expect(copyNewsOf(applied, 2, 2)).toMatchObject({ isPresent: false, pinsRevoked: [] })
    const late = log.apply(3, { controls: [present] }, 0)
    expect(copyNewsOf(late, 3, 0).isPresent).toBe(false)
  })

  test('of blobs without a row, there or in the trash: by a sweep and by a delete', () => {
    const log = new Log()
    const row = { sizeBytes: 1, place: 'file', createdAt: 1, linkedAt: 1 } as const
    const put = (key: string) => ({ change: 'put', in: 'blobs', key, row }) as const
    const gone = (digest: string, at: number) => ({ kind: 'blob', digest, at, bytes: 1 }) as const
    const purged = { kind: 'purged-blob', digest: 'd', at: 1, hasObject: true, bytes: 1 } as const
    const candidates = [gone('b', 2), gone('c', 1), purged] as unknown as Candidate[]
    const batch = { at: 5, by: 'gc', pulledAfter: 0, isFinal: true, candidates }
    const trash = { sizeBytes: 1, place: 'file', createdAt: 1, trashedAt: 1 } as const
    const inTrash = { change: 'put', in: 'trash', key: 'd', row: trash } as const
    const changes = [put('a'), put('b'), put('c'), inTrash]
    log.apply(1, { transactions: [{ checks: [], changes } as unknown as Transaction] })
    const applied = log.apply(1, {
      transactions: [
        { checks: [], changes: [{ change: 'sweep', in: 'candidates', batch }] },
        { checks: [], changes: [{ change: 'delete', in: 'blobs', key: 'a' as never }] },
        {
          checks: [{ check: 'present', in: 'approvals', key: 'none' }],
          changes: [{ change: 'delete', in: 'blobs', key: 'b' as never }],
        },
      ],
    })
    expect(copyNewsOf(applied, 1, 1).blobsLoose).toEqual(['c', 'd', 'a'])
  })
})
