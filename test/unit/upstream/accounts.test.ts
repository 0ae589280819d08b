/** @module What those who ask one registry share: the ranges that they may ask for beside their fills. */
import { expect, test } from 'vitest'
import { systemClock } from '../../../src/runtime/clock.ts'
import { Accounts } from '../../../src/upstream/accounts.ts'
import type { HttpClient } from '../../../src/upstream/client.ts'
import { Upstream } from '../../../src/upstream/upstream.ts'

const [first, second] = ['http://127.0.0.1:1', 'http://127.0.0.1:2'] as const

function upstreamOf(accounts: Accounts, bases: readonly string[], connections: number): Upstream {
  return new Upstream({
    bases,
    credentials: [],
    limits: { connections, bytesPerSecond: 0, requestsPerSecond: 0 },
    caFile: undefined,
    proxy: undefined,
    accounts,
    http: {} as HttpClient,
    clock: systemClock,
    random: () => 0,
    onRequest: () => undefined,
    onFailure: () => undefined,
    onBytes: () => undefined,
  })
}

test.each([
  [32, 4],
  [4, 32],
])('two mirrors with %i and %i connections share the passes of the smaller one', (one, other) => {
  const accounts = new Accounts(systemClock)
  const a = upstreamOf(accounts, [first], one)
  const b = upstreamOf(accounts, [first], other)
  const give = a.takePass('app', 'client 1')
  expect(give).toBeDefined()
  expect(a.takePass('app', 'client 2')).toBeUndefined()
  expect(b.takePass('app', 'client 2')).toBeUndefined()
  give!()
  give!()
  expect(b.takePass('app', 'client 2')).toBeDefined()
  expect(a.takePass('app', 'client 1')).toBeUndefined()
})

test('a pass counts at every URL that may be asked, and at none when one has none left', () => {
  const accounts = new Accounts(systemClock)
  const both = upstreamOf(accounts, [first, second], 4)
  const [alone, other] = [upstreamOf(accounts, [first], 4), upstreamOf(accounts, [second], 4)]
  const give = other.takePass('app', 'client 1')
  expect(both.takePass('app', 'client 2')).toBeUndefined()
  const giveAlone = alone.takePass('app', 'client 2')
  expect(giveAlone).toBeDefined()
  giveAlone!()
  give!()
  expect(both.takePass('app', 'client 2')).toBeDefined()
  expect(alone.takePass('app', 'client 1')).toBeUndefined()
  expect(other.takePass('app', 'client 1')).toBeUndefined()
})
