/**
 * @module Who answers reads on its own, and until when: what a simulation meets too seldom, or cannot see.
 */
import { describe, expect, test } from 'vitest'
import { conditionCheck } from '../../../src/mesh/condition.ts'
import { ServingSet } from '../../../src/mesh/serving.ts'
import type { Control, SeenEntry } from '../../../src/metadata/entry.ts'
import type { SessionRow } from '../../../src/metadata/rows/mesh.ts'

async function thrownBy(work: () => Promise<unknown>): Promise<unknown> {
  try {
    await work()
  } catch (error) {
    return error
  }
  throw new Error('nothing was thrown')
}

const leaseMs = 3_000
const marginMs = 500

function session(row: Partial<SessionRow> = {}): SessionRow {
  const times = { presentAt: 1, beat: 1, visible: 1, durable: 1 }
  return { boot: 1, seq: 1, reads: 'strict', ...times, ...row }
}

/** Member 1, with others that are present; its log is in the test's hands. */
function member(others: readonly number[] = [2]) {
  const state = { now: 0, head: 1, isSilent: false, asked: 0, hasLog: true, isShort: false }
  const sent: Control[] = []
  const reported: number[] = []
  const set = new ServingSet(
    {
      member: 1,
      boot: 5,
      reads: 'strict',
      leaseMs,
      marginMs,
      now: () => state.now,
      submit: (controls) => sent.push(...controls),
      isSilent: () => state.isSilent,
      head: () => {
        state.asked += 1
        return state.hasLog ? Promise.resolve(state.head) : Promise.reject(new Error('silent'))
      },
      durable: () => 1,
      isShort: () => state.isShort,
      report: (visible) => reported.push(visible),
    },
    1,
    others.map((number) => [number, session()] as const),
  )
  let index = 1
  const see = (
    from: number,
    control: Control | undefined,
    paths: readonly string[] = [],
  ): number => {
    index += 1
    const controls = control === undefined ? [] : [control]
    const boot = from === 1 ? 5 : 1
    const entry: SeenEntry = {
      index,
      member: from,
      boot,
      fate: 'applied',
      controls,
      done: controls.map(() => true),
      paths,
    }
    set.onSeen([entry])
    return index
  }
  const settle = async (): Promise<void> => {
    for (let turn = 0; turn < 10; turn += 1) await null
  }
  /** Ticks until it says something, and lets the log bring that. */
  const comeIn = async (): Promise<void> => {
    set.tick()
    await settle()
    see(1, sent.at(-1))
  }
  return { state, set, sent, reported, see, settle, comeIn }
}

describe('the lease', () => {
  test('runs from when its sign of life was sent, and not from when it was seen', async () => {
    const { state, set, sent, see, settle } = member()
    set.tick()
    await settle()
    expect(sent).toEqual([{ control: 'present', signal: 1, reads: 'strict' }])
    state.now = 2_500
    see(1, sent[0])
    expect([set.isServing, set.fresh()]).toEqual([true, undefined])
    state.now = 2_999
    expect(set.isServing).toBe(true)
    state.now = 3_000
    expect(set.isServing).toBe(false)
  })

  test('hangs on the sign that was seen, not on the one that is under way', async () => {
    const { state, set, sent, see, comeIn } = member()
    await comeIn()
    state.now = 2_000
    set.tick()
    expect(sent.at(-1)).toMatchObject({ control: 'beat', signal: 2 })
    see(1, { control: 'beat', signal: 1, visible: 1, durable: 1 })
    state.now = 3_100
    expect(set.isServing).toBe(false)
    see(1, sent.at(-1))
    expect(set.isServing).toBe(true)
    state.now = 5_001
    expect(set.isServing).toBe(false)
  })

  test('one sign at a time, a second apart', async () => {
    const { state, set, sent, comeIn } = member()
    await comeIn()
    state.now = 999
    set.tick()
    expect(sent).toHaveLength(1)
    for (state.now = 1_000; state.now < 5_000; state.now += 100) set.tick()
    expect(sent.filter(({ control }) => control === 'beat')).toHaveLength(1)
  })

  test('ends with the membership, and comes back with it', async () => {
    const { set, see, sent, settle } = member()
    set.tick()
    await settle()
    see(1, sent[0])
    see(2, { control: 'absent', member: 1, boot: 5, beat: 2 })
    expect(set.isServing).toBe(false)
    set.tick()
    await settle()
    expect(sent.at(-1)).toMatchObject({ control: 'present', signal: 2 })
  })

  test('is given up before the others hear of it', async () => {
    const { state, set, sent, see, comeIn } = member()
    await comeIn()
    const left = set.leave()
    expect(set.isServing).toBe(false)
    expect(sent.at(-1)).toEqual({ control: 'absent', member: 1, boot: 5, beat: 2 })
    see(1, sent.at(-1))
    await left
    const count = sent.length
    state.now = 10_000
    set.tick()
    expect([set.isServing, sent.length]).toEqual([false, count])
  })

  test('is not waited for longer than a second when a node leaves', async () => {
    const { state, set, comeIn } = member()
    await comeIn()
    const left = set.leave()
    state.now = 1_000
    set.tick()
    await left
  })
})

describe('others', () => {
  test('are put out once, when a lease and more have passed without a sign', async () => {
    const { state, set, sent, see, comeIn } = member()
    await comeIn()
    const said = () => sent.filter(({ control }) => control === 'absent')
    state.now = leaseMs + marginMs
    set.tick()
    expect(said()).toEqual([])
    state.now += 1
    set.tick()
    set.tick()
    expect(said()).toEqual([{ control: 'absent', member: 2, boot: 1, beat: 1 }])
    see(2, { control: 'beat', signal: 9, visible: 1, durable: 1 })
    state.now += leaseMs + marginMs + 1
    set.tick()
    expect(said()).toHaveLength(2)
  })

  test('have no time that passes while the log does not answer', async () => {
    const { state, set, sent, comeIn } = member()
    await comeIn()
    state.now = 1_000
    set.tick()
    state.isSilent = true
    for (; state.now < 60_000; state.now += 100) set.tick()
    state.isSilent = false
    set.tick()
    expect(sent.filter(({ control }) => control === 'absent')).toEqual([])
  })

  test('are waited for as far as they show, by word or by beat, of the same run', async () => {
    const { set, see, comeIn } = member([2, 3])
    await comeIn()
    const index = see(2, undefined, ['r:a'])
    expect(set.stable).toBeLessThan(index)
    const settled = set.settled('r:a')
    expect(settled).toBeInstanceOf(Promise)
    set.onReport(2, 1, index)
    set.onReport(3, 7, index)
    expect(set.stable).toBeLessThan(index)
    const beat = see(3, { control: 'beat', signal: 4, visible: index, durable: 1 })
    await settled
    expect([set.stable, set.settled('r:a')]).toEqual([index, undefined])
    expect(set.whenStable(index)).toBeUndefined()
    expect(set.whenStable(beat)).toBeInstanceOf(Promise)
  })

  test('an answer that may rest on what was not heard of waits for that', async () => {
    const { set, see, comeIn } = member()
    await comeIn()
    set.onReport(2, 1, 99)
    set.onShown(set.visible + 2)
    let isSettled = false
    const settled = set.settled('r:b')!.then(() => {
      isSettled = true
    })
    see(2, undefined, ['r:a'])
    for (let turn = 0; turn < 10; turn += 1) await null
    expect(isSettled).toBe(false)
    see(2, undefined, ['r:b'])
    await settled
    expect(set.settled('r:b')).toBeUndefined()
  })

  test('an answer waits for what it may rest on, and not for what reads show meanwhile', async () => {
    const { set, see, comeIn } = member()
    await comeIn()
    set.onReport(2, 1, 99)
    set.onShown(set.visible + 1)
    const settled = set.settled('r:b')!
    // As under load: reads are ahead again with each entry that is heard of.
    set.onShown(set.visible + 2)
    see(2, undefined, ['r:a'])
    await settled
    expect(set.settled('r:b')).toBeInstanceOf(Promise)
  })

  test('that ask the log for each read are waited for by none', async () => {
    const { set, see, comeIn } = member()
    await comeIn()
    see(2, { control: 'present', signal: 2, reads: 'barrier' })
    const index = see(1, undefined)
    expect([set.stable, set.servingMembers]).toEqual([index, [1]])
  })
})

describe('without a lease', () => {
  test('reads share one question, and one that comes later another', async () => {
    const { state, set, settle, see } = member()
    state.head = 2
    const first = set.fresh()!
    const second = set.fresh()!
    const third = set.fresh()!
    expect([state.asked, second === third, first === second]).toEqual([1, true, false])
    await settle()
    see(2, undefined)
    await Promise.all([first, second, third])
    expect(state.asked).toBe(2)
  })

  test('a log that does not answer is not asked again for a second', async () => {
    const { state, set } = member()
    state.hasLog = false
    const error = await thrownBy(() => set.fresh()!)
    expect(error).toMatchObject({ kind: 'LOG_SILENT', status: 503 })
    await thrownBy(() => set.fresh()!)
    expect(state.asked).toBe(1)
    state.now = 1_000
    await thrownBy(() => set.fresh()!)
    expect(state.asked).toBe(2)
  })

  test('no wait is longer than five seconds, or than the set', async () => {
    const { state, set, see, comeIn } = member()
    await comeIn()
    const index = see(2, undefined)
    const waits = [set.whenStable(index)!, set.whenStable(index)!]
    const all = Promise.all(waits.map((wait) => thrownBy(() => wait)))
    state.now = 5_000
    set.tick()
    expect((await all).map((error) => (error as { kind: string }).kind)).toEqual([
      'LOG_SILENT',
      'LOG_SILENT',
    ])
    const last = thrownBy(() => set.whenStable(index)!)
    set.close()
    expect(await last).toMatchObject({ kind: 'LOG_SILENT' })
  })
})

describe('a member that is slow', () => {
  test('asks the log for each read until it has kept up for a minute', async () => {
    const { state, set, sent, see, comeIn } = member()
    await comeIn()
    set.onReport(2, 1, 50)
    state.now = 801
    set.tick()
    expect(set.isServing).toBe(false)
    expect(sent.at(-1)).toMatchObject({ control: 'present', reads: 'barrier' })
    see(1, sent.at(-1))
    expect(set.isServing).toBe(false)
    for (let index = 4; index <= 50; index += 1) see(2, undefined)
    for (; state.now < 60_000; state.now += 500) {
      set.tick()
      const last = sent.at(-1)!
      if (last.control === 'beat') see(1, last)
      see(2, { control: 'beat', signal: 3, visible: set.visible, durable: 1 })
    }
    expect(set.isServing).toBe(false)
    for (; state.now < 63_000; state.now += 500) {
      set.tick()
      const last = sent.at(-1)!
      see(2, { control: 'beat', signal: 3, visible: set.visible, durable: 1 })
      see(1, last)
    }
    expect(set.isServing).toBe(true)
  })
})

describe('how it is', () => {
  test('it comes, serves, asks, hears nothing, and is closed', async () => {
    const { state, set, comeIn } = member()
    expect(set.state).toBe('coming')
    state.hasLog = false
    await set.fresh()?.catch(() => undefined)
    // What it has never shown is no old answer.
    expect(set.state).toBe('coming')
    state.hasLog = true
    state.now = 1_500
    await comeIn()
    expect(set.state).toBe('serving')
    state.now = 6_000
    expect(set.state).toBe('asking')
    state.isSilent = true
    expect(set.state).toBe('silent')
    state.isSilent = false
    state.hasLog = false
    await set.fresh()?.catch(() => undefined)
    expect(set.state).toBe('silent')
    state.hasLog = true
    state.now = 7_500
    await set.fresh()
    expect(set.state).toBe('asking')
    set.close()
    expect(set.state).toBe('closed')
  })

  test.each([
    ['coming', 'not-ready'],
    ['closed', 'unhealthy'],
    ['silent', 'degraded'],
  ] as const)('%s is %s', async (state, weight) => {
    await expect(conditionCheck(() => ({ state })).check()).rejects.toMatchObject({ weight })
  })

  test('before its writer is up it is not ready; what asks the log is well', async () => {
    const notUp = conditionCheck(() => undefined)
    await expect(notUp.check()).rejects.toMatchObject({ weight: 'not-ready' })
    await conditionCheck(() => ({ state: 'asking' })).check()
    await conditionCheck(() => ({ state: 'serving' })).check()
  })
})

test('while its disk is short of room no write waits for it, and it is back with the room', async () => {
  const { state, set, sent, see, comeIn } = member()
  await comeIn()
  expect(set.isServing).toBe(true)
  state.isShort = true
  state.now = 100
  set.tick()
  expect(sent.at(-1)).toMatchObject({ control: 'present', reads: 'barrier' })
  // At once: the others may stop waiting sooner than this node sees it.
  expect(set.isServing).toBe(false)
  see(1, sent.at(-1))
  expect([set.isServing, set.servingMembers]).toEqual([false, [2]])
  state.isShort = false
  state.now = 200
  set.tick()
  expect(sent.at(-1)).toMatchObject({ control: 'present', reads: 'strict' })
  see(1, sent.at(-1))
  expect([set.isServing, set.servingMembers]).toEqual([true, [2, 1]])
})
