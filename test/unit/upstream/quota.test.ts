/** @module What hosts say that is left, and what of it a sync may take. */
import { describe, expect, test } from 'vitest'
import { Account } from '../../../src/upstream/account.ts'
import { isReserved, readQuota } from '../../../src/upstream/quota.ts'
import { parseRetryAfter } from '../../../src/upstream/status.ts'
import { FakeClock } from '../../support/fake-clock.ts'

const now = 1_700_000_000_000

describe('a quota', () => {
  test.each([
    [{ 'ratelimit-limit': '100;w=21600', 'ratelimit-remaining': '76;w=21600' }, 100, 76, undefined],
    [
      {
        'x-ratelimit-limit': '180',
        'x-ratelimit-remaining': '3',
        'x-ratelimit-reset': '1700000060',
      },
      180,
      3,
      now + 60_000,
    ],
    [{ 'ratelimit-remaining': '3', 'ratelimit-reset': '30' }, undefined, 3, now + 30_000],
    [
      { 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': '99999999999' },
      undefined,
      0,
      now + 6 * 3600_000,
    ],
    [{ 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': '1600000000' }, undefined, 0, now],
  ])('is read from %j', (headers, limit, remaining, saidResetAt) => {
    expect(readQuota(headers, now)).toMatchObject({ limit, remaining })
    expect(readQuota(headers, now)?.saidResetAt).toBe(saidResetAt)
  })

  test('is not there without a number', () => {
    expect(readQuota({ 'ratelimit-limit': 'many', 'x-ratelimit-reset': '5' }, now)).toBeUndefined()
  })

  test.each([
    ['manifest', 100, 20, false],
    ['manifest', 100, 19, true],
    ['blob', undefined, 9, true],
    ['blob', undefined, 10, false],
    ['manifest', 6, 3, false],
    ['manifest', 6, 2, true],
    ['api', 100, 1, false],
    ['list', 100, 0, true],
    ['manifest', 100, undefined, false],
  ] as const)(
    'of class %s with limit %s: %s left is kept: %s',
    (of, limit, remaining, expected) => {
      const quota = { limit, remaining, resetAt: now, saidResetAt: undefined }
      expect(isReserved(quota, of)).toBe(expected)
    },
  )
})

describe('an account', () => {
  const limits = { connections: 4, bytesPerSecond: 0, requestsPerSecond: 0 }
  const scene = () => {
    const clock = new FakeClock()
    const account = new Account({ credential: undefined, origin: 'https://h' }, limits, clock)
    return { clock, account }
  }

  test('is closed to a sync while little is left, for GETs of that class, until the reset', () => {
    const { clock, account } = scene()
    const headers = {
      'ratelimit-limit': '100',
      'ratelimit-remaining': '5',
      'ratelimit-reset': '60',
    }
    account.noteBudget(headers, 'manifest')
    const until = clock.now() + 60_000
    expect(account.closedUntil('manifest', 'GET')).toBe(until)
    expect(account.closedUntil('manifest', 'HEAD')).toBeUndefined()
    expect(account.closedUntil('list', 'GET')).toBeUndefined()
    clock.advance(60_000)
    expect(account.closedUntil('manifest', 'GET')).toBeUndefined()
  })

  test('is put off for what a host says, a day at most', () => {
    const { clock, account } = scene()
    account.putOff('api', 100_000)
    account.putOff('api', 50_000)
    expect(account.closedUntil('api', 'HEAD')).toBe(clock.now() + 100_000)
    clock.advance(100_000)
    expect(account.closedUntil('api', 'GET')).toBeUndefined()
    account.putOff('api', 1e12)
    expect(account.closedUntil('api', 'GET')).toBe(clock.now() + 24 * 3600_000)
  })

  test('of quay.io keeps below its limits', async () => {
    const account = new Account(
      { credential: undefined, origin: 'https://quay.io' },
      limits,
      new FakeClock(),
    )
    const entered = async (of: 'api' | 'list' | 'manifest' | 'blob') => {
      let count = 0
      for (let index = 0; index < 30; index += 1) {
        const leave = await account.gateOf(of).enter('sync', 1, undefined)
        if (leave === undefined) break
        leave('good')
        count += 1
      }
      return count
    }
    expect(await entered('api')).toBe(1)
    expect(await entered('list')).toBe(1)
    expect(await entered('manifest')).toBe(10)
    expect(await entered('blob')).toBe(10)
  })
})

test('a time to ask again is seconds, seconds since 1970, or a date', () => {
  // By the clock that it is given, however wrong that of the machine is.
  const now = Date.parse('2031-01-01T00:00:00Z')
  const soon = now / 1000 + 100
  expect(parseRetryAfter('7', now)).toBe(7000)
  for (const text of [String(soon), new Date(soon * 1000).toUTCString()]) {
    expect(parseRetryAfter(text, now), text).toBe(100_000)
  }
  expect(parseRetryAfter('1000000000', now)).toBe(0)
})
