/** @module The leads of a run, as its front end hears of them: taken, refused, late, lost. */
import { createHash } from 'node:crypto'
import { beforeEach, describe, expect, test } from 'vitest'
import type { Lead } from '../../../src/jobs/leads.ts'
import { MemberClocks } from '../../../src/mesh/clocks.ts'
import { Leads } from '../../../src/mesh/leads.ts'
import { SharedWork } from '../../../src/mesh/shared-work.ts'
import type { Control, EntryFate, SeenEntry } from '../../../src/metadata/entry.ts'
import { Applier } from '../../../src/metadata/log/applier.ts'
import { encodeBody, encodeEntry } from '../../../src/metadata/log/codec.ts'
import type { ReadGate } from '../../../src/metadata/port.ts'
import { FakeClock } from '../../support/fake-clock.ts'
import { factsOf } from '../../support/mesh/member-facts.ts'
import { SimDisk } from '../../support/mesh/sim-disk.ts'

let sent: Control[]
let leads: Leads
let index: number
let late: (() => void) | undefined

beforeEach(() => {
  sent = []
  index = 10
  leads = new Leads(1, (_ms, run) => {
    late = run
    return () => {
      late = undefined
    }
  })
  leads.begin(4, (controls) => sent.push(...controls))
})

function seen(controls: readonly Control[], of: Partial<SeenEntry> = {}): SeenEntry {
  index += 1
  const done = controls.map(() => true)
  const fate: EntryFate = 'applied'
  return { index, member: 1, boot: 4, fate, controls, done, paths: [], ...of }
}

/** What was sent comes in the log. */
function answer(isDone: boolean, of: Partial<SeenEntry> = {}): void {
  const controls = sent.splice(0)
  leads.onSeen([seen(controls, { done: controls.map(() => isDone), ...of })])
}

async function taken(job = 'gc'): Promise<Lead> {
  const lead = leads.take(job)
  answer(true)
  return (await lead)!
}

describe('a lead is taken', () => {
  test('with the entry in which it is given, and with what names it', async () => {
    const lead = await taken()
    expect(lead.check).toEqual({
      check: 'lead',
      in: 'leads',
      job: 'gc',
      member: 1,
      boot: 4,
      index: 11,
    })
    expect([lead.signal.aborted, leads.jobs]).toEqual([false, ['gc']])
  })

  test('not where the log says no, nor twice here', async () => {
    const refused = leads.take('gc')
    answer(false)
    expect(await refused).toBeUndefined()
    await taken()
    expect(await leads.take('gc')).toBeUndefined()
    expect(sent).toEqual([])
    const wanted = leads.take('other')
    expect(await leads.take('other')).toBeUndefined()
    answer(true)
    expect((await wanted)?.check.job).toBe('other')
  })

  test('not by what another node, or an earlier run, was given', async () => {
    const lead = leads.take('gc')
    leads.onSeen([seen(sent, { member: 2 }), seen(sent, { boot: 3 })])
    answer(false)
    expect(await lead).toBeUndefined()
  })

  test('not without a run', async () => {
    leads.end()
    await expect(leads.take('gc')).rejects.toMatchObject({ kind: 'LOG_SILENT' })
    expect(leads.run).toBeUndefined()
  })

  test('late: its caller has gone, and it is given back', async () => {
    const lead = leads.take('gc')
    late!()
    await expect(lead).rejects.toMatchObject({ kind: 'LOG_SILENT' })
    answer(true)
    expect(sent).toEqual([{ control: 'yield', job: 'gc' }])
    expect(leads.jobs).toEqual([])
  })

  test('late, by who asks again meanwhile', async () => {
    const first = leads.take('gc').catch(() => undefined)
    late!()
    await first
    const again = leads.take('gc')
    const [one] = sent.splice(0, 1)
    leads.onSeen([seen([one!])])
    expect((await again)?.check.index).toBe(11)
    // The second question finds that this run has it.
    answer(false)
    expect([sent, leads.jobs]).toEqual([[], ['gc']])
  })
})

describe('a lead is lost', () => {
  test('when the run is put out, and not when another is', async () => {
    const lead = await taken()
    const absent = (member: number, boot: number) =>
      seen([{ control: 'absent', member, boot, beat: 1 }], { member: 2 })
    leads.onSeen([absent(3, 4), absent(1, 3)])
    leads.onSeen([{ ...absent(1, 4), done: [false] }])
    expect(lead.signal.aborted).toBe(false)
    leads.onSeen([absent(1, 4)])
    expect([lead.signal.aborted, leads.jobs]).toEqual([true, []])
  })

  test('when what the run sends is void, with what it has asked for', async () => {
    const lead = await taken()
    const other = leads.take('other')
    sent.length = 0
    leads.onSeen([seen([], { fate: 'void', done: [] })])
    expect(lead.signal.aborted).toBe(true)
    await expect(other).rejects.toMatchObject({ kind: 'LOG_SILENT' })
  })

  test('with the run', async () => {
    const lead = await taken()
    leads.end()
    expect(lead.signal.aborted).toBe(true)
    leads.begin(5, (controls) => sent.push(...controls))
    expect([leads.run, leads.jobs]).toEqual([{ member: 1, boot: 5 }, []])
    leads.give(lead)
    expect(sent).toEqual([])
  })

  test('when it is given back, once', async () => {
    const lead = await taken()
    leads.give(lead)
    leads.give(lead)
    expect([lead.signal.aborted, sent]).toEqual([true, [{ control: 'yield', job: 'gc' }]])
  })

  test('and one that was taken since is not given back with it', async () => {
    const before = await taken()
    leads.give(before)
    sent.length = 0
    const after = await taken()
    leads.give(before)
    expect([after.signal.aborted, sent]).toEqual([false, []])
  })
})

describe('clocks of members', () => {
  const beat = (member: number, clock?: number) =>
    seen([{ control: 'beat', signal: 1, visible: 1, durable: 1, ...(clock && { clock }) }], {
      member,
    })

  test('are apart by what their beats say, of which the least late counts', () => {
    let now = 1_000
    const clocks = new MemberClocks(() => now)
    const say = (member: number, aheadMs: number, lateMs = 0) => {
      clocks.onSeen([beat(member, now - lateMs + aheadMs)])
    }
    expect(clocks.spreadMs).toBe(0)
    for (let turn = 0; turn < 5; turn += 1) {
      say(1, 5_000)
      say(2, 12_000, turn === 3 ? 60_000 : 500)
      now += 1_000
    }
    expect(clocks.spreadMs).toBe(6_500)
    // Set right: its old beats are forgotten.
    for (let turn = 0; turn < 10; turn += 1) say(2, 5_000)
    expect(clocks.spreadMs).toBe(0)
  })

  test('count from the third beat on, while their member takes part', () => {
    const clocks = new MemberClocks(() => 0)
    for (const turn of [1, 2, 3]) {
      clocks.onSeen([beat(1, 1_000), beat(2, 50_000), beat(3)])
      expect(clocks.spreadMs).toBe(turn < 3 ? 0 : 49_000)
    }
    clocks.onSeen([seen([{ control: 'absent', member: 2, boot: 1, beat: 1 }])])
    expect(clocks.spreadMs).toBe(0)
  })

  test('that are no numbers are left out', () => {
    const clocks = new MemberClocks(() => 0)
    const bad = [Number.NaN, Number.POSITIVE_INFINITY, 'x' as unknown as number]
    for (const clock of [...bad, ...bad]) clocks.onSeen([beat(1, 1_000), beat(2, clock)])
    expect(clocks.spreadMs).toBe(0)
  })
})

test('a beat that says all that it can is no more than a sign of life: it is not written at once', () => {
  const disk = new SimDisk()
  const applier = new Applier({
    store: disk,
    identity: 'log',
    now: () => 0,
    withLocal: () => undefined,
    onPoison: () => undefined,
  })
  const entry = (seq: number, controls: readonly Control[]) => {
    const [body] = encodeBody({ controls, transactions: [] })
    const bytes = encodeEntry({ member: 1, boot: 1, seq, piecesLeft: 0, body: body! })
    return { index: seq, token: '', bytes }
  }
  const member = { control: 'member', member: 1, facts: factsOf('n') } as const
  applier.apply([entry(1, [member, { control: 'present', signal: 1, reads: 'strict' }])])
  const [signal, visible, durable] = [1e9, 2 ** 40, 2 ** 40 - 1]
  const hash = createHash('sha256').update('chain').digest()
  const beat: Control = { control: 'beat', signal, visible, durable, clock: 1.8e12 + 0.25 }
  applier.apply([entry(2, [{ ...beat, chain: { at: 2 ** 40, hash } }])])
  expect(applier.place.index).toBe(2)
  expect(disk.get('places', 'applied')).toMatchObject({ index: 1 })
})

test('a node’s work hangs beside its gate: beats say the time, entries are heard, its end ends leads', async () => {
  const clock = new FakeClock()
  const said: Control[] = []
  const heard: string[] = []
  let submit: (controls: readonly Control[]) => void = () => undefined
  const gate = {
    onSeen: () => heard.push('seen'),
    close: () => heard.push('closed'),
  } as unknown as ReadGate
  const startGate = (run: { readonly submit: typeof submit }) => {
    submit = run.submit
    return gate
  }
  const work = new SharedWork({ member: 1, startGate } as never, clock)
  const around = work.mesh.startGate({
    boot: 4,
    submit: (controls: readonly Control[]) => said.push(...controls),
  } as never)
  submit([{ control: 'beat', signal: 1, visible: 1, durable: 1 }])
  submit([{ control: 'present', signal: 2, reads: 'strict' }])
  expect(said).toMatchObject([{ control: 'beat', clock: clock.now() }, { control: 'present' }])
  expect(said[1]).not.toHaveProperty('clock')
  const asked = work.leads.take('gc')
  around.onSeen([seen([{ control: 'lead', job: 'gc' }])])
  const lead = await asked
  expect([lead?.signal.aborted, heard]).toEqual([false, ['seen']])
  around.close()
  expect([lead?.signal.aborted, heard]).toEqual([true, ['seen', 'closed']])
})
