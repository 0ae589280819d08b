/** @module Leads of jobs as the log gives them: one run at once, with the run, and no longer. */
import { describe, expect, test } from 'vitest'
import { applyEntry } from '../../../src/metadata/apply/entry.ts'
import { leadNameMax } from '../../../src/metadata/apply/leads.ts'
import type { AppliedEntry, Control, EntryBody } from '../../../src/metadata/entry.ts'
import { Applier } from '../../../src/metadata/log/applier.ts'
import { decodeBody, encodeBody, encodeEntry } from '../../../src/metadata/log/codec.ts'
import type { LeadRow } from '../../../src/metadata/rows/mesh.ts'
import type { LeadCheck, Transaction } from '../../../src/metadata/transaction.ts'
import { factsOf } from '../../support/mesh/member-facts.ts'
import { SimDisk } from '../../support/mesh/sim-disk.ts'

const present: Control = { control: 'present', signal: 1, reads: 'strict' }
const lead = (job = 'gc'): Control => ({ control: 'lead', job })
const giveBack = (job = 'gc'): Control => ({ control: 'yield', job })
const joins = [1, 2, 3].map((member) => {
  return { control: 'member', member, facts: factsOf(`n${member}`) } as const
})

/** Three members that are present, and the entries of each. */
class Log {
  readonly disk = new SimDisk()
  readonly #seqs = new Map<string, number>()
  index = 0

  constructor() {
    this.apply(1, { controls: [...joins, present] })
    this.apply(2, { controls: [present] })
    this.apply(3, { controls: [present] })
  }

  apply(member: number, said: Partial<EntryBody>, boot = 1): AppliedEntry {
    const seq = (this.#seqs.get(`${member} ${boot}`) ?? 0) + 1
    this.#seqs.set(`${member} ${boot}`, seq)
    this.index += 1
    const [body] = encodeBody({ controls: [], transactions: [], ...said })
    const entry = { member, boot, seq, piecesLeft: 0, body: body! }
    return this.disk.writeSync(() =>
      applyEntry(this.disk, this.index, entry, { decode: decodeBody }),
    )
  }

  /** Whether it was done. */
  says(member: number, control: Control, boot = 1): boolean {
    return this.apply(member, { controls: [control] }, boot).done[0] === true
  }

  /** The check of the lead that the last entry gave. */
  check(member: number, boot = 1, job = 'gc'): LeadCheck {
    return { check: 'lead', in: 'leads', job, member, boot, index: this.index }
  }

  holds(check: LeadCheck): boolean {
    const changes = [{ change: 'put', in: 'approvals', key: 'a', row: this.index }] as const
    const it: Transaction = { checks: [check], changes }
    const [outcome] = this.apply(3, { transactions: [it] }).outcomes
    if (!outcome!.applied) expect(outcome).toMatchObject({ failed: { check: 'lead' } })
    return outcome!.applied
  }

  putOut(member: number, by: number, boot = 1): boolean {
    const { beat } = this.disk.get('sessions', String(member)) as { beat: number }
    return this.says(by, { control: 'absent', member, boot, beat })
  }

  row(job = 'gc'): LeadRow | undefined {
    return this.disk.get('leads', job) as LeadRow | undefined
  }
}

describe('a lead', () => {
  test('is of one run, which cannot take it twice', () => {
    const log = new Log()
    expect(log.says(1, lead())).toBe(true)
    const check = log.check(1)
    expect(log.row()).toEqual({ member: 1, boot: 1, index: log.index })
    expect(log.says(2, lead())).toBe(false)
    expect(log.says(1, lead())).toBe(false)
    expect(log.row()).toEqual({ member: 1, boot: 1, index: check.index })
    expect(log.holds(check)).toBe(true)
  })

  test('is of one job', () => {
    const log = new Log()
    expect([log.says(1, lead('gc')), log.says(2, lead('sync:a'))]).toEqual([true, true])
    expect(log.holds(log.check(2, 1, 'gc'))).toBe(false)
  })

  test('is free again once it was given back, by its holder alone', () => {
    const log = new Log()
    log.says(1, lead())
    const check = log.check(1)
    expect(log.says(2, giveBack())).toBe(false)
    expect(log.holds(check)).toBe(true)
    expect(log.says(1, giveBack())).toBe(true)
    expect(log.says(1, giveBack())).toBe(false)
    expect([log.holds(check), log.row()]).toEqual([false, undefined])
    expect(log.says(2, lead())).toBe(true)
  })

  test('ends when its run is put out, and is not there again when the run comes in again', () => {
    const log = new Log()
    log.says(1, lead())
    const check = log.check(1)
    expect(log.putOut(1, 2)).toBe(true)
    expect(log.holds(check)).toBe(false)
    expect(log.says(1, present)).toBe(true)
    expect(log.holds(check)).toBe(false)
    expect(log.says(2, lead())).toBe(true)
    expect([log.holds(check), log.holds(log.check(2))]).toEqual([false, false])
  })

  test('is taken over from a run that was put out, and then is not its old holder’s', () => {
    const log = new Log()
    log.says(1, lead())
    const before = log.check(1)
    log.putOut(1, 2)
    expect(log.says(2, lead())).toBe(true)
    const after = log.check(2)
    log.says(1, present)
    expect(log.says(1, lead())).toBe(false)
    expect(log.says(1, giveBack())).toBe(false)
    expect([log.holds(before), log.holds(after)]).toEqual([false, true])
  })

  test('ends with the next run of its member', () => {
    const log = new Log()
    log.says(1, lead())
    const before = log.check(1)
    log.apply(1, { controls: [present] }, 2)
    expect(log.holds(before)).toBe(false)
    expect(log.says(1, giveBack(), 2)).toBe(false)
    expect(log.says(1, lead(), 2)).toBe(true)
    expect([log.holds(before), log.holds(log.check(1, 2))]).toEqual([false, false])
  })

  test('that the same run took again is not the one from before', () => {
    const log = new Log()
    log.says(1, lead())
    const before = log.check(1)
    log.says(1, giveBack())
    log.says(1, lead())
    const after = log.check(1)
    expect([log.holds(before), log.holds(after)]).toEqual([false, true])
  })

  test('taken with the entry of the presence counts from there', () => {
    const log = new Log()
    const { done } = log.apply(1, { controls: [present, lead()] }, 2)
    const check = log.check(1, 2)
    expect([done, log.holds(check)]).toEqual([[true, true], true])
  })

  test('a presence that is said again keeps it', () => {
    const log = new Log()
    log.says(1, lead())
    const check = log.check(1)
    log.says(1, { control: 'present', signal: 2, reads: 'barrier' })
    expect(log.holds(check)).toBe(true)
  })
})

test('a name that is none makes the entry poison, for all, and nothing of it is done', () => {
  for (const job of ['', 'x'.repeat(leadNameMax + 1), 7 as unknown as string]) {
    for (const control of [lead(job), giveBack(job)]) {
      const disk = new SimDisk()
      const poison: number[] = []
      const applier = new Applier({
        store: disk,
        identity: 'log',
        now: () => 0,
        withLocal: () => undefined,
        onPoison: (index) => poison.push(index),
      })
      const entry = (seq: number, controls: readonly Control[]) => {
        const [body] = encodeBody({ controls, transactions: [] })
        const bytes = encodeEntry({ member: 1, boot: 1, seq, piecesLeft: 0, body: body! })
        return { index: seq, token: '', bytes }
      }
      applier.apply([entry(1, [...joins, present])])
      const [applied] = applier.apply([entry(2, [lead('good'), control])])
      expect([applied!.fate, poison, disk.get('leads', 'good')]).toEqual(['poison', [2], undefined])
    }
  }
})
