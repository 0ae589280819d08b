/** @module Pages of strangers: what is read of them, and what is no page. */
import { describe, expect, test } from 'vitest'
import {
  fieldsOf,
  JsonPage,
  msOfDate,
  msOfSeconds,
  textOf,
} from '../../../../src/sync/sources/json-page.ts'

const page = (value: unknown) =>
  new JsonPage(Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)))

async function all<T>(entries: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = []
  for await (const entry of entries) found.push(entry)
  return found
}

describe('a page', () => {
  test('is read entry by entry', async () => {
    const one = page({
      list: [1, 'a', null, { b: 2 }],
      none: null,
      map: { x: 1, y: [2] },
      next: 'n',
    })
    expect(await all(one.list('list'))).toEqual([1, 'a', null, { b: 2 }])
    expect(await all(one.list('none'))).toEqual([])
    expect(await all(one.object('map'))).toEqual([
      ['x', 1],
      ['y', [2]],
    ])
    expect([one.value('next'), one.value('other'), one.has('map')]).toEqual(['n', undefined, true])
  })

  test('may be an array', async () => {
    expect(await all(page(' \n[1, 2]').list(''))).toEqual([1, 2])
  })

  test.each([
    ['no JSON', 'text'],
    ['a number', '7'],
    ['cut', '{"list":[1'],
    ['of too many members', Object.fromEntries(Array.from({ length: 300 }, (_, it) => [it, 1]))],
  ])('that is %s is none', (_what, value) => {
    expect(() => page(value)).toThrow()
  })

  test.each([
    ['without the list', { other: [] }],
    ['with an object in its place', { list: {} }],
    ['with an entry that is too large', { list: ['x'.repeat(300_000)] }],
    ['with too many entries', `{"list":[${'1,'.repeat(200_000)}1]}`],
    ['with a name that is too long in its place', { ['x'.repeat(1000)]: [1] }],
  ])('%s has no list', async (_what, value) => {
    await expect(all(page(value).list('list'))).rejects.toMatchObject({ kind: 'garbage' })
    await expect(all(page(value).list(''))).rejects.toMatchObject({ kind: 'garbage' })
  })

  test('gives no value that is large', () => {
    expect(page({ next: 'x'.repeat(20_000) }).value('next')).toBeUndefined()
  })
})

describe('fields', () => {
  test('are read as what they should be, or not at all', () => {
    expect([textOf('a'), textOf(''), textOf(7), textOf('abc', 2)]).toEqual([
      'a',
      undefined,
      undefined,
      undefined,
    ])
    expect([msOfSeconds(1.9), msOfSeconds(-1), msOfSeconds('1'), msOfSeconds(1e300)]).toEqual([
      1000,
      undefined,
      undefined,
      undefined,
    ])
    expect(msOfDate('Thu, 21 Aug 2025 07:06:40 -0000')).toBe(1755760000_000)
    expect([msOfDate('late'), msOfDate('x'.repeat(100)), msOfDate(7)]).toEqual([
      undefined,
      undefined,
      undefined,
    ])
    expect([fieldsOf(null), fieldsOf('x'), fieldsOf({ a: 1 })]).toEqual([{}, {}, { a: 1 }])
  })
})
