/** @module Requests at the rate of an account: what never had its turn costs the others nothing. */
import { expect, test } from 'vitest'
import { systemClock } from '../../../src/runtime/clock.ts'
import { Accounts } from '../../../src/upstream/accounts.ts'
import type { HttpClient } from '../../../src/upstream/client.ts'
import { Upstream } from '../../../src/upstream/upstream.ts'

/** One that always answers, at once. */
const http = {
  isPrivate: () => true,
  send: async () => {
    const body = { read: async () => undefined, pause() {}, resume() {}, abort() {} }
    return { status: 200, headers: {}, body }
  },
} as unknown as HttpClient

test('requests without time for their turn do not put off those that come after them', async () => {
  const upstream = new Upstream({
    bases: ['http://127.0.0.1:1'],
    credentials: [],
    limits: { connections: 4, bytesPerSecond: 0, requestsPerSecond: 1 },
    caFile: undefined,
    proxy: undefined,
    accounts: new Accounts(systemClock),
    http,
    clock: systemClock,
    random: () => 0,
    onRequest: () => undefined,
    onFailure: () => undefined,
    onBytes: () => undefined,
  })
  const ask = (ms: number) =>
    upstream.ask({
      method: 'GET',
      repository: 'app',
      tail: 'manifests/v1',
      deadline: systemClock.monotonic() + ms,
    })
  const hasty = await Promise.allSettled(Array.from({ length: 20 }, () => ask(100)))
  expect(hasty.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
  await expect(ask(1_500)).resolves.toMatchObject({ status: 200 })
})
