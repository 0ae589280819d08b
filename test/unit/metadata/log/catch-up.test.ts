/** A node that the log has left behind: what it asks for, what it takes, and when it may be believed again. */
import { expect, test } from 'vitest'
import { CatchUp } from '../../../../src/metadata/log/catch-up.ts'
import type { LogEntry } from '../../../../src/metadata/log/port.ts'

const entry = (index: number): LogEntry => ({ index, token: `${index}`, bytes: Uint8Array.of(1) })

function scene() {
  const state = {
    now: 0,
    head: 9 as number | undefined,
    applied: 4,
    isProven: false,
    isStuck: false,
  }
  const done: string[] = []
  const catchUp = new CatchUp({
    log: {
      head: async () => {
        if (state.head === undefined) throw new Error('silent')
        return state.head
      },
      isPlace: ({ token }) => /^[0-9]+$/.test(token),
    },
    replica: {
      get applied() {
        return state.applied
      },
      get isProven() {
        return state.isProven
      },
      get isStuck() {
        return state.isStuck
      },
      get place() {
        return { index: state.applied, token: `${state.applied}` }
      },
      takeTail: (entries) => {
        if (entries[0]?.index !== state.applied + 1) return false
        state.applied = entries.at(-1)!.index
        return true
      },
      followAgain: () => done.push('follow'),
      accept: () => done.push('accept'),
      giveUp: () => done.push('give up'),
    },
    ask: ({ index }, upTo) => done.push(`ask ${index} to ${upTo}`),
    onLost: () => done.push('lost'),
    now: () => state.now,
  })
  const turns = async (): Promise<void> => {
    for (let turn = 0; turn < 5; turn += 1) await null
  }
  return { state, done, catchUp, turns }
}

test('it asks for what the log has, takes it in order, and follows again', async () => {
  const { state, done, catchUp, turns } = scene()
  catchUp.onCut()
  await turns()
  expect(done).toEqual(['ask 4 to 9'])
  expect(catchUp.take([entry(5), entry(6)])).toBe(6)
  expect(catchUp.take([entry(8)])).toBeUndefined()
  catchUp.end(true)
  expect(done).toEqual(['ask 4 to 9', 'follow'])
  state.isProven = true
  state.now = 120_000
  catchUp.tick()
  await turns()
  expect(done).toHaveLength(2)
})

test('a log that does not answer is asked again', async () => {
  const { state, done, catchUp, turns } = scene()
  state.head = undefined
  catchUp.onCut()
  await turns()
  state.now = 499
  catchUp.tick()
  state.head = 7
  await turns()
  expect(done).toEqual([])
  state.now = 500
  catchUp.tick()
  await turns()
  expect(done).toEqual(['ask 4 to 7'])
})

test('what goes beyond the log, or has a place of another engine, is refused', async () => {
  const { state, catchUp, turns } = scene()
  state.head = 5
  expect(catchUp.take([entry(5)])).toBeUndefined()
  catchUp.onCut()
  await turns()
  expect(catchUp.take([entry(5), entry(6)])).toBeUndefined()
  expect(catchUp.take([{ ...entry(5), token: 'x' }])).toBeUndefined()
  expect(catchUp.take([])).toBeUndefined()
  expect(catchUp.take([entry(5)])).toBe(5)
})

test('without a tail nothing more is applied', async () => {
  const { done, catchUp, turns } = scene()
  catchUp.onCut()
  await turns()
  catchUp.end(false)
  expect(done.slice(1)).toEqual(['give up', 'lost'])
  expect(catchUp.take([entry(5)])).toBeUndefined()
})

test('a store that refuses for now is no reason to give up', async () => {
  const { state, done, catchUp, turns } = scene()
  catchUp.onCut()
  await turns()
  state.isStuck = true
  catchUp.end(false)
  catchUp.onCut()
  await turns()
  expect(done).toEqual(['ask 4 to 9', 'ask 4 to 9'])
})

test.each([
  ['all of the log is here', 6, 'accept'],
  ['the log goes on without it', 7, 'give up,lost'],
])('what no member proves in a minute is judged by the log: %s', async (_, head, expected) => {
  const { state, done, catchUp, turns } = scene()
  catchUp.onCut()
  await turns()
  catchUp.take([entry(5), entry(6)])
  catchUp.end(true)
  state.now = 59_999
  catchUp.tick()
  await turns()
  expect(done).toHaveLength(2)
  state.now = 60_000
  state.head = head
  catchUp.tick()
  await turns()
  expect(done.slice(2).join()).toBe(expected)
})
