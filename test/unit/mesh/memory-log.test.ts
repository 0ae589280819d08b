/** @module The faults of the log in memory do what they say, and the same for a seed. */
import { describe, expect, onTestFinished, test } from 'vitest'
import type { LogEntry } from '../../../src/metadata/log/port.ts'
import type { LogFaults } from '../../support/mesh/log-faults.ts'
import type { MemoryLogClient } from '../../support/mesh/memory-log-client.ts'
import { type OpenMemoryLog, openMemoryLog } from '../../support/mesh/open-memory-log.ts'

const START = { index: 0, token: '' }
const bytesOf = (text: string): Uint8Array => Buffer.from(text)

async function scene(seed: number, faults: Partial<LogFaults> = {}) {
  const opened: OpenMemoryLog = openMemoryLog(seed, faults)
  const { log, time } = opened
  const node = time.boot('a')
  const client = log.client(node)
  const wasFaulty = { ...log.faults }
  Object.assign(log.faults, { loseRequest: 0, loseReply: 0, late: 0 })
  await opened.settle(client.create(bytesOf('first')))
  Object.assign(log.faults, wasFaulty)
  onTestFinished(() => client.close())
  return { ...opened, log, time, node, client }
}

/** The number of each entry that a follower is given, in batches; `cut` where it is cut. */
function watch(client: MemoryLogClient, after: LogEntry | typeof START = START) {
  const batches: (number[] | 'cut')[] = []
  client.follow(after, {
    onEntries: (entries) => batches.push(entries.map(({ index }) => index)),
    onCut: () => batches.push('cut'),
  })
  return batches
}

const outcome = (promise: Promise<unknown>) =>
  promise.then(
    () => 'resolved',
    (error: Error) => error.message,
  )

describe('an append', () => {
  test('whose request is lost rejects and is not in the log', async () => {
    const { log, client, settle, rest } = await scene(1)
    client.planAppends('loseRequest')
    expect(await settle(outcome(client.append(bytesOf('x'))))).toMatch(/^the (log|connection)/)
    await rest()
    expect(log.last).toBe(1)
  })

  test('whose reply is lost rejects and is in the log', async () => {
    const { log, client, settle, rest } = await scene(1)
    client.planAppends('loseReply')
    expect(await settle(outcome(client.append(bytesOf('x'))))).toMatch(/^the (log|connection)/)
    await rest()
    expect(log.last).toBe(2)
  })

  test('that is late rejects first and comes in then, behind its own second try', async () => {
    const { log, client, settle, rest } = await scene(1)
    client.planAppends('late', 'done')
    expect(await settle(outcome(client.append(bytesOf('x'))))).not.toBe('resolved')
    expect(log.last).toBe(1)
    await settle(client.append(bytesOf('x')))
    expect(log.last).toBe(2)
    await rest()
    expect(log.entries.map(({ bytes }) => Buffer.from(bytes).toString())).toEqual([
      'first',
      'x',
      'x',
    ])
  })

  test('that is late comes in after its node has crashed', async () => {
    const { log, client, node, settle, rest } = await scene(1)
    client.planAppends('late')
    await settle(outcome(client.append(bytesOf('x'))))
    node.crash()
    await rest()
    expect(log.last).toBe(2)
  })

  test('that is repeated resolves and is in the log twice', async () => {
    const { log, client, settle, rest } = await scene(1)
    client.planAppends('repeat')
    await settle(client.append(bytesOf('x')))
    await rest()
    expect(log.last).toBe(3)
  })

  test('is answered in another order than that of the log', async () => {
    const { client, settle } = await scene(3, { requestMs: 0, replyMs: 10 })
    const order: number[] = []
    const all = Array.from({ length: 20 }, (_, at) =>
      client.append(bytesOf(`${at}`)).then(() => order.push(at)),
    )
    await settle(Promise.all(all))
    expect(order).not.toEqual([...order].sort((a, b) => a - b))
    expect(order).toHaveLength(20)
  })

  test('by chance meets every fate', async () => {
    const { log, client, settle, rest } = await scene(2, {
      loseRequest: 0.2,
      loseReply: 0.2,
      late: 0.2,
    })
    const results: string[] = []
    for (let at = 0; at < 100; at += 1)
      results.push(await settle(outcome(client.append(bytesOf('x')))))
    const done = results.filter((it) => it === 'resolved').length
    expect(new Set(results).size).toBe(3)
    await rest()
    // Lost replies and late ones are there too, lost requests are not.
    expect(log.last - 1).toBeGreaterThan(done + 20)
    expect(log.last - 1).toBeLessThan(95)
  })
})

describe('a follower', () => {
  test('gets what piled up in one batch, and in pieces where deliveries are split', async () => {
    const { log, client, time, rest, settle } = await scene(1)
    const other = log.client(time.boot('b'))
    const batches = watch(other)
    await rest()
    log.faults.deliveryMs = 1000
    await settle(client.append(bytesOf('x')))
    // One is under way already.
    other.stick(20_000)
    for (let at = 3; at <= 9; at += 1) await settle(client.append(bytesOf('x')))
    await time.run({ ms: time.now() + 19_000 })
    expect(batches).toEqual([[1]])
    await rest()
    expect(batches).toEqual([[1], [2, 3, 4, 5, 6, 7, 8, 9]])
    log.faults.split = 1
    const pieces = watch(other)
    await rest()
    expect(pieces.length).toBeGreaterThan(2)
    expect(pieces.flat()).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9])
  })

  test('that is stuck by chance goes on later, with all that came meanwhile', async () => {
    const { log, client, time, settle, rest } = await scene(1, { stuck: 1, stuckMs: 50_000 })
    const batches = watch(client)
    log.faults.stuck = 0
    await settle(client.append(bytesOf('x')))
    await time.run({ ms: time.now() + 100 })
    expect(batches).toEqual([])
    for (let at = 0; at < 20; at += 1) await rest()
    expect(batches).toEqual([[1, 2]])
  })

  test('on a node that is paused gets everything when it wakes, and nothing once it has crashed', async () => {
    const { log, client, node, time, settle, rest } = await scene(1)
    const other = log.client(time.boot('b'))
    const batches = watch(client)
    await rest()
    node.pause()
    for (let at = 0; at < 3; at += 1) await settle(other.append(bytesOf('x')))
    await rest()
    expect(batches).toEqual([[1]])
    node.wake()
    await rest()
    expect(batches).toEqual([[1], [2, 3, 4]])
    node.crash()
    await settle(other.append(bytesOf('x')))
    await rest()
    expect(batches).toHaveLength(2)
    expect(log.followerCount).toBe(0)
  })

  test('that is cut by a truncation while it is stuck hears so, once', async () => {
    const { log, client, time, settle, rest } = await scene(1)
    const other = log.client(time.boot('b'))
    const batches = watch(other)
    await rest()
    other.stick(10_000)
    for (let at = 0; at < 3; at += 1) await settle(client.append(bytesOf('x')))
    await settle(client.truncate(log.entries[2]!))
    await settle(client.append(bytesOf('x')))
    await rest()
    expect(batches).toEqual([[1], 'cut'])
    expect(log.forgotten).toBe(3)
  })

  test('loses entries only where that is planted, and can see it by their indexes', async () => {
    for (const dropEntry of [0, 0.02]) {
      const { log, client, settle, rest } = await scene(1, { dropEntry })
      const indexes = watch(client)
      for (let at = 0; at < 300; at += 1) await settle(client.append(bytesOf('x')))
      await rest()
      expect(indexes).not.toContainEqual([])
      const found = indexes.flat()
      expect(log.last).toBe(301)
      if (dropEntry === 0) expect(found).toHaveLength(301)
      else {
        expect(found.length).toBeGreaterThan(285)
        expect(found.length).toBeLessThan(301)
      }
      expect(found).toEqual([...new Set(found)].sort((a, b) => Number(a) - Number(b)))
    }
  })

  test('is refused at a place that is not one of this log', async () => {
    const { client, log } = await scene(1)
    const wrong = [
      { index: 1, token: '' },
      { index: 2, token: 'log-1/2' },
      { index: 1, token: 'log-2/1' },
    ]
    for (const place of wrong) expect(() => watch(client, place as LogEntry)).toThrow(/place/)
    expect(() => watch(client, log.entries[0])).not.toThrow()
  })
})

describe('a node that is cut from the log', () => {
  test.each(['fails', 'hangs'] as const)('%s until it is healed', async (way) => {
    const { log, client, time, settle, rest } = await scene(1)
    const other = log.client(time.boot('b'))
    const batches = watch(client)
    await rest()
    client.cut(way)
    const results: string[] = []
    const calls = [client.append(bytesOf('x')), client.head(), client.identity()]
    for (const call of calls) void outcome(call).then((it) => results.push(it))
    await settle(other.append(bytesOf('y')))
    await rest()
    expect(results).toHaveLength(way === 'fails' ? 3 : 0)
    expect([log.last, batches]).toEqual([2, [[1]]])
    client.heal()
    await rest()
    expect(results).toHaveLength(3)
    expect(results).not.toContain('resolved')
    expect([log.last, batches, client.pendingCount]).toEqual([2, [[1], [2]], 0])
    await settle(client.append(bytesOf('z')))
    expect(await settle(client.head())).toBe(3)
  })

  test.each(['fails', 'hangs'] as const)('does not hear of what it had sent: %s', async (way) => {
    const { log, client, time, rest } = await scene(1, { requestMs: 0, replyMs: 20 })
    const results: string[] = []
    void outcome(client.append(bytesOf('x'))).then((it) => results.push(it))
    await time.run({ when: () => log.last === 2 })
    client.cut(way)
    // Broken connections are heard of before the time-out.
    await time.run({ ms: time.now() + 500 })
    expect(results).toHaveLength(way === 'fails' ? 1 : 0)
    await rest()
    client.heal()
    await rest()
    expect(results).toHaveLength(1)
    expect(results).not.toContain('resolved')
  })

  test('sends nothing, and nothing that is on its way comes through', async () => {
    const { log, client, rest } = await scene(1, { requestMs: 50 })
    const calls = [outcome(client.append(bytesOf('before')))]
    client.cut('hangs')
    await rest()
    calls.push(outcome(client.append(bytesOf('while'))))
    client.heal()
    await rest()
    expect(await Promise.all(calls)).not.toContain('resolved')
    expect(log.last).toBe(1)
  })
})

describe('the log', () => {
  test('without a majority appends nothing and answers nothing, but hands on what it has', async () => {
    const { log, client, time, settle, rest } = await scene(1)
    log.setMajority(false)
    const batches = watch(client)
    expect(await settle(outcome(client.append(bytesOf('x'))))).toBe('the log did not answer')
    expect(await settle(outcome(client.head()))).toBe('the log did not answer')
    expect(await settle(outcome(client.create(bytesOf('x'))))).toBe('the log did not answer')
    client.planAppends('late')
    await settle(outcome(client.append(bytesOf('late'))))
    await rest()
    expect([log.last, batches]).toEqual([1, [[1]]])
    log.setMajority(true)
    await time.run({ ms: time.now() + 100 })
    expect(batches).toEqual([[1], [2]])
    expect(await settle(client.head())).toBe(2)
  })

  test('that is erased can be created again, as another one', async () => {
    const { log, client, settle, rest } = await scene(1)
    const batches = watch(client)
    await rest()
    const identity = await settle(client.identity())
    log.erase()
    expect(await settle(client.identity())).toBeUndefined()
    expect(await settle(client.create(bytesOf('x')))).toBe(true)
    await settle(client.append(bytesOf('y')))
    await rest()
    expect(await settle(client.identity())).not.toBe(identity)
    expect(batches).toEqual([[1]])
  })
})
