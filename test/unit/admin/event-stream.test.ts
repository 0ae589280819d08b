/**
 * @module Answers that last and the credentials that they were asked with: the stream asks again with
 * each keep-alive and ends with them; a long answer is not given any more.
 */
import { expect, test } from 'vitest'
import type { EventStream } from '../../../src/admin/endpoint.ts'
import { eventEndpoints } from '../../../src/admin/events/endpoints.ts'
import { EventTail } from '../../../src/admin/events/tail.ts'
import { type Asker, openAsker } from '../../../src/auth/asker.ts'
import type { Change } from '../../../src/metadata/transaction.ts'
import { MemoryMetadataStore } from '../../support/memory/memory-metadata.ts'

const keepAliveMs = 5

function listen(asker: Asker, signal: AbortSignal) {
  const store = new MemoryMetadataStore()
  const tail = new EventTail(store)
  const stream = eventEndpoints({ tail, keepAliveMs }).find(({ path }) => path.endsWith('/stream'))!
  const context = {
    requestId: 'r',
    actor: 'a',
    signal,
    asker,
    lastEventId: undefined,
    bearer: undefined,
    sessions: undefined,
  }
  const input = { params: undefined, query: {}, body: undefined }
  const pieces = (stream.handle(input as never, context) as EventStream).pieces
  return { store, pieces: pieces[Symbol.asyncIterator]() }
}

const event = (repository: string): Change => ({
  change: 'event',
  in: 'events',
  row: { at: 1, action: 'push', repository, by: 'x' },
})

/** Someone who may see `mine/…`, as long as `renewals` lasts. */
function asker(renewals: number, sees = 'mine/'): Asker {
  return {
    ...openAsker,
    isAdmin: false,
    may: (_action, repository) => repository.startsWith(sees),
    mayAnywhere: () => sees !== '',
    renew: async () => {
      if (renewals === 0) throw new Error('401')
      return asker(renewals - 1, sees)
    },
  }
}

async function rest(pieces: AsyncIterator<string>): Promise<string> {
  let text = ''
  for (let piece = await pieces.next(); piece.done !== true; piece = await pieces.next()) {
    text += piece.value
  }
  return text
}

test.each([0, 1, 3])(
  'a stream ends after %i keep-alives, when the password does',
  async (count) => {
    const { pieces } = listen(asker(count), new AbortController().signal)
    const text = await rest(pieces)
    expect(text.match(/still here/g) ?? []).toHaveLength(count)
    expect(text).toMatch(/event: end\ndata: .*not good any more/)
  },
)

test('it ends also while events never pause', async () => {
  const { store, pieces } = listen(asker(0), new AbortController().signal)
  let isOver = false
  const busy = (async () => {
    while (!isOver) await store.commit({ checks: [], changes: [event('mine/app')] })
  })()
  const text = await rest(pieces)
  isOver = true
  await busy
  expect(text).toContain('event: end')
})

test('what a right that was taken away showed is not shown any more', async () => {
  const taken = { ...asker(5), renew: async () => asker(0, '') }
  const { pieces } = listen(taken, new AbortController().signal)
  expect(await rest(pieces)).toContain('event: end')
})

test('a reader that was passed by what is kept is told where to go on', async () => {
  const { store, pieces } = listen(openAsker, new AbortController().signal)
  await pieces.next()
  await store.commit({ checks: [], changes: [event('a'), event('b'), event('c')] })
  const keys = store.keys('events', [], undefined, 2)
  await store.commit({
    checks: [],
    changes: keys.map((key) => ({ change: 'delete', in: 'events', key })),
  })
  expect(await rest(pieces)).toContain('event: gone\ndata: {"oldest":3,"last":3}')
})

test('a listener that leaves is gone', async () => {
  const leaving = new AbortController()
  const { pieces } = listen(openAsker, leaving.signal)
  await pieces.next()
  const next = pieces.next()
  leaving.abort()
  expect((await next).done).toBe(true)
})
