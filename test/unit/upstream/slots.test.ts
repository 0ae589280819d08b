import { describe, expect, test } from 'vitest'
import { Slots } from '../../../src/upstream/slots.ts'

const settled = () => new Promise((resolve) => setImmediate(resolve))

/** Names in the order in which they got a slot. */
function line(perOrigin: number) {
  const slots = new Slots(perOrigin)
  const taken: string[] = []
  return {
    slots,
    taken,
    ask: (name: string, isBulk = true, origin = 'a', isLater = false) =>
      slots.take(origin, isBulk, () => taken.push(name), isLater),
  }
}

describe('slots of an origin', () => {
  test('are given to so many, then to the next in line', async () => {
    const { slots, taken, ask } = line(1)
    for (const name of ['1', '2', '3']) ask(name)
    expect(taken).toEqual(['1'])
    slots.give('a', true)
    await settled()
    expect(taken).toEqual(['1', '2'])
    slots.give('a', true)
    await settled()
    expect(taken).toEqual(['1', '2', '3'])
  })

  test('are counted for each origin', () => {
    const { taken, ask } = line(1)
    ask('here')
    ask('there', true, 'b')
    expect(taken).toEqual(['here', 'there'])
  })

  test('are not all taken by large bodies, and small requests go first', async () => {
    const { slots, taken, ask } = line(8)
    for (let count = 0; count < 10; count += 1) ask(`layer ${count}`)
    expect(taken).toHaveLength(7)
    ask('manifest', false)
    ask('tag', false)
    expect(taken.slice(7)).toEqual(['manifest'])
    slots.give('a', true)
    await settled()
    expect(taken.slice(8)).toEqual(['tag'])
    slots.give('a', false)
    slots.give('a', false)
    await settled()
    expect(taken.slice(9)).toEqual(['layer 7'])
  })

  test('go to a sync when nobody else wants one', async () => {
    const { slots, taken, ask } = line(1)
    ask('first')
    ask('sync', false, 'a', true)
    ask('layer')
    ask('manifest', false)
    for (const isBulk of [true, false, true]) {
      slots.give('a', isBulk)
      await settled()
    }
    expect(taken).toEqual(['first', 'manifest', 'layer', 'sync'])
  })

  test('are left to others by the layers of a sync', async () => {
    const { slots, taken, ask } = line(8)
    for (let count = 0; count < 10; count += 1) ask(`sync ${count}`, true, 'a', true)
    expect(taken).toHaveLength(5)
    ask('layer')
    expect(taken.at(-1)).toBe('layer')
    slots.give('a', true, true)
    await settled()
    expect(taken.at(-1)).toBe('sync 5')
  })
})
