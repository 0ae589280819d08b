/** @module How many names of lists are held at once: large lists wait for each other, and all of them end. */
import { expect, test } from 'vitest'
import { HeldNames } from '../../../../../src/sync/runs/waits/held-names.ts'

const { signal } = new AbortController()
const turns = () => new Promise((resolve) => setImmediate(resolve))

async function* pagesOf(count: number, told: () => void = () => undefined) {
  for (let page = 0; page < count; page += 1) {
    told()
    yield Array.from({ length: 10 }, (_, at) => at)
  }
}

async function readAll(pages: AsyncIterable<readonly number[]>): Promise<number> {
  let count = 0
  for await (const page of pages) count += page.length
  return count
}

test('lists beyond the bound wait for those that came before, and all of them end', async () => {
  const names = new HeldNames(25, 0)
  const owners = [{}, {}, {}]
  let most = 0
  const tell = () => {
    most = Math.max(most, names.total)
  }
  const all = owners.map(async (owner) => {
    const count = await readAll(names.through(owner, pagesOf(5, tell), signal))
    await turns()
    names.release(owner)
    return count
  })
  expect(await Promise.all(all)).toEqual([50, 50, 50])
  // The first list whole, and a page of each of the others: another one is read, and not yet held.
  expect(most).toBeLessThanOrEqual(50 + 2 * 10)
  expect(names.total).toBe(0)
})

test('a list that is begun again counts once', async () => {
  const names = new HeldNames(1_000)
  const owner = {}
  for (let time = 0; time < 3; time += 1) await readAll(names.through(owner, pagesOf(2), signal))
  expect(names.total).toBe(20)
})

test('neither a list of one page nor a small one waits for a large one', async () => {
  const names = new HeldNames(100, 20)
  await readAll(names.through({}, pagesOf(50), signal))
  for (const pages of [1, 2, 3]) {
    const owner = {}
    expect(await readAll(names.through(owner, pagesOf(pages), signal))).toBe(pages * 10)
    names.release(owner)
  }
  const stop = new AbortController()
  const waiting = readAll(names.through({}, pagesOf(4), stop.signal))
  await turns()
  stop.abort(new Error('stopped'))
  await expect(waiting).rejects.toThrow('stopped')
})

test('who waits can be stopped', async () => {
  const names = new HeldNames(5, 0)
  await readAll(names.through({}, pagesOf(1), signal))
  const stop = new AbortController()
  const waiting = readAll(names.through({}, pagesOf(2), stop.signal))
  await turns()
  stop.abort(new Error('stopped'))
  await expect(waiting).rejects.toThrow('stopped')
})
