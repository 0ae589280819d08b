/**
 * @module `/admin/events` over real sockets: whoever has read up to a number has seen everything
 * before it, while pushes and collections go on, from the list, the long poll and the stream.
 */

import { expect, onTestFinished, test } from 'vitest'
import { eventKey } from '../../../src/metadata/event-log.ts'
import { LmdbEnvironment } from '../../../src/metadata/lmdb/environment.ts'
import { metadataFolder } from '../../../src/metadata/lmdb/folder.ts'
import { adminJson, collect, pushOwnImage } from '../../support/admin.ts'
import { EventReader } from '../../support/event-stream.ts'
import { describeRegistry, type InProcessRegistry, until } from '../../support/in-process.ts'
import { RegistryClient, refusal } from '../../support/registry-client.ts'

interface Event {
  readonly id: number
  readonly action: string
  readonly repository: string
  readonly tag?: string
}
interface Page {
  readonly events: readonly Event[]
  readonly next?: number
  readonly last: number
}

const config = {
  storage: { gc: { enabled: false, grace: '0s', undelete_window: '0s', keep_recent: 1 } },
  log: { access: false },
}

describeRegistry('events', { config }, (registry) => {
  const page = (query = '') =>
    adminJson<Page>(registry().client, 'GET', `/admin/events${query === '' ? '' : `?${query}`}`)
  const readAll = async (query = ''): Promise<Event[]> => {
    const found: Event[] = []
    let after = 0
    while (true) {
      const { events, next } = await page(`limit=1000&after=${after}&${query}`)
      found.push(...events)
      if (next === undefined) return found
      after = next
    }
  }
  const stream = (query = '', headers = {}) => {
    const reader = new EventReader(registry().port, `/admin/events/stream${query}`, headers)
    onTestFinished(() => reader.close())
    return reader
  }

  test('what a reader has passed is complete, while everything goes on', async () => {
    const { client, port } = registry()
    let isOver = false
    const polled: number[] = []
    const live = stream()
    await live.response
    await until(() => live.text !== '')
    const poller = (async () => {
      let after = 0
      for (let rest = 3; rest > 0; ) {
        if (isOver) rest -= 1
        const found = await page(`limit=1000&after=${after}`)
        polled.push(...found.events.map(({ id }) => id))
        after = found.last
      }
    })()
    const pushers = Array.from({ length: 6 }, async (_, number) => {
      const own = new RegistryClient(port)
      for (let index = 0; index < 12; index += 1) {
        await pushOwnImage(own, `busy/app${number}`, `t${index % 3}`, `${number} ${index}`)
      }
      own.close()
    })
    const collecting = (async () => {
      for (let run = 0; run < 3; run += 1) await collect(client)
    })()
    await Promise.all([...pushers, collecting])
    isOver = true
    await poller
    const all = (await readAll()).map(({ id }) => id)
    expect(all.length).toBeGreaterThan(150)
    expect(polled).toEqual(all)
    // Numbers are dense: nobody has to wonder about a gap.
    expect(all).toEqual(all.map((_, index) => all[0]! + index))
    await until(() => live.events.length >= all.length)
    expect(live.events.map(({ id }) => id)).toEqual(all)
  })

  test('Last-Event-ID begins behind it, without a gap, then goes live', async () => {
    const { client } = registry()
    await pushOwnImage(client, 'later/app', 'v1', 'one')
    const { last } = await page('order=desc&limit=1')
    await pushOwnImage(client, 'later/app', 'v2', 'two')
    const reader = stream('', { 'Last-Event-ID': String(last) })
    const before = (await readAll()).filter(({ id }) => id > last)
    expect((await reader.untilEvents(before.length)).map(({ id }) => id)).toEqual(
      before.map(({ id }) => id),
    )
    await pushOwnImage(client, 'later/app', 'v3', 'three')
    const all = (await readAll()).filter(({ id }) => id > last)
    expect((await reader.untilEvents(all.length)).map(({ id }) => id)).toEqual(
      all.map(({ id }) => id),
    )
    // The same by a parameter, filtered.
    const filtered = stream(`?after=${last}&repository=later/app&action=push`)
    const pushes = all.filter((it) => it.action === 'push')
    const found = await filtered.untilEvents(pushes.length)
    expect(found.map(({ data }) => data?.['tag'])).toEqual(['v2', 'v3'])
    expect(found.every(({ event }) => event === 'push')).toBe(true)
  })

  test('order=desc is the same from the end, a page at a time', async () => {
    for (const query of ['', 'repository=later/app', 'action=push']) {
      const forward = (await readAll(query)).map(({ id }) => id)
      const backward: number[] = []
      let found = await page(`order=desc&limit=7&${query}`)
      backward.push(...found.events.map(({ id }) => id))
      while (found.next !== undefined) {
        found = await page(`order=desc&limit=7&after=${found.next}&${query}`)
        backward.push(...found.events.map(({ id }) => id))
      }
      expect(backward).toEqual(forward.toReversed())
    }
  })

  test('a long poll answers when something comes, and at its end', async () => {
    const { client } = registry()
    const { last } = await page('order=desc&limit=1')
    const waiting = page(`after=${last}&wait=30&repository=polled/app&action=push`)
    await pushOwnImage(client, 'other/app', 'v1', 'not this')
    await pushOwnImage(client, 'polled/app', 'v1', 'this')
    const { events, last: now } = await waiting
    expect(events).toMatchObject([{ action: 'push', repository: 'polled/app', tag: 'v1' }])
    expect(now).toBeGreaterThanOrEqual(events[0]!.id)
    const none = await page(`after=${now}&wait=0`)
    expect(none.events).toEqual([])
    expect(none.last).toBe(now)
    const short = await page(`after=${now}&wait=1s`)
    expect(short.events).toEqual([])
    const refused = await client.get('/admin/events?wait=1&order=desc')
    expect(refused.status).toBe(400)
  })

  test.each([
    'after=x',
    'after=-1',
    'after=1e3',
    'after=99999999999999999',
    'order=up',
    'wait=soon',
    'afer=1',
    'after=1&after=2',
    '__proto__=1',
    'constructor=1',
  ])('%s is refused', async (query) => {
    const { client } = registry()
    expect((await client.get(`/admin/events?${query}`)).status).toBe(400)
    expect((await client.get(`/admin/events/stream?${query}`)).status).toBe(400)
  })

  test('a number that was never given is 410, and says what there is', async () => {
    const { client } = registry()
    const { last } = await page('order=desc&limit=1')
    for (const target of [
      `/admin/events?after=${last + 1}`,
      `/admin/events/stream?after=${last + 1}`,
    ]) {
      const answer = await client.get(target)
      expect(answer.status).toBe(410)
      expect(answer.json).toMatchObject({ code: 'gone', context: { oldest: 1, last } })
    }
    const stale = await client.get('/admin/events/stream', { 'Last-Event-ID': String(last + 5) })
    expect(stale.status).toBe(410)
    const wrong = await client.get('/admin/events/stream', { 'Last-Event-ID': 'abc' })
    expect(wrong.status).toBe(400)
  })

  test('more than 64 listeners is 503, and a place that is left is free', async () => {
    const readers = Array.from({ length: 64 }, () => stream())
    await Promise.all(readers.map((it) => it.response))
    await until(() => readers.every(({ text }) => text !== ''))
    const { client } = registry()
    const refused = await client.get('/admin/events/stream')
    expect(refusal(refused)).toMatch(/^503 /)
    expect(refused.headers['retry-after']).toBe('5')
    readers[0]!.close()
    let next: EventReader | undefined
    await until(async () => {
      next?.close()
      next = stream()
      return (await next.response).statusCode === 200
    })
  })

  test('numbers go on after a restart', async () => {
    const before = await readAll()
    await registry().restart()
    expect(await readAll()).toEqual(before)
    await pushOwnImage(registry().client, 'again/app', 'v1', 'again')
    const after = await readAll()
    expect(after.slice(0, before.length)).toEqual(before)
    expect(after.length).toBeGreaterThan(before.length)
    expect(after[before.length]!.id).toBe(before.at(-1)!.id + 1)
  })

  test('a slow listener gets everything, and nothing is kept for it', async () => {
    const { client } = registry()
    const { last } = await page('order=desc&limit=1')
    const reader = stream(`?after=${last}`)
    const response = await reader.response
    response.pause()
    for (let index = 0; index < 20; index += 1) {
      await pushOwnImage(client, 'slow/app', `t${index}`, `slow ${index}`)
    }
    response.resume()
    const all = (await readAll()).filter(({ id }) => id > last)
    const found = await reader.untilEvents(all.length)
    expect(found.map(({ id }) => id)).toEqual(all.map(({ id }) => id))
  })
})

async function pushed({ client }: InProcessRegistry, count: number): Promise<void> {
  for (let index = 0; index < count; index += 1) {
    await pushOwnImage(client, 'old/app', `t${index}`, `old ${index}`)
  }
}

describeRegistry('events that are gone', { config, engines: ['uws'] }, (registry) => {
  test('make a cursor before them 410 with the oldest number', async () => {
    await pushed(registry(), 3)
    const { client } = registry()
    const { last } = await adminJson<Page>(client, 'GET', '/admin/events')
    await registry().stop()
    const environment = new LmdbEnvironment(metadataFolder(registry().folder), false)
    environment.writeSync(() => {
      for (let number = 1; number <= 4; number += 1) environment.delete('events', eventKey(number))
    })
    await environment.close()
    await registry().start()
    const again = registry().client
    for (const after of [0, 3]) {
      const answer = await again.get(`/admin/events?after=${after}`)
      expect(answer.status).toBe(410)
      expect(answer.json).toMatchObject({ context: { oldest: 5, last } })
    }
    const from = await adminJson<Page>(again, 'GET', '/admin/events?after=4')
    expect(from.events[0]!.id).toBe(5)
    const without = await adminJson<Page>(again, 'GET', '/admin/events')
    expect(without.events).toEqual(from.events)
  })
})
