/** @module How long a token is used where its server does not say it: by the token's own word. */
import { describe, expect, test } from 'vitest'
import { parseToken } from '../../../src/upstream/token-answers.ts'
import { FakeClock } from '../../support/fake-clock.ts'

const clock = new FakeClock()
const now = clock.now() / 1000

function lifeSeconds(payload: object | string, more: object = {}): number {
  const text = typeof payload === 'string' ? payload : JSON.stringify(payload)
  const token = `e30.${Buffer.from(text).toString('base64url')}.c2ln`
  const { usableUntil } = parseToken(JSON.stringify({ token, ...more }), clock, 'h')
  return Math.round((usableUntil - clock.monotonic()) / 1000)
}

describe('a token without expires_in', () => {
  test.each([
    ['a minute before its end', { exp: now + 3600, iat: now }, 3540],
    ['a fifth before its end where that is less', { exp: now + 100, iat: now }, 80],
    [
      'by its own time of issue, where the clock here is slow',
      { exp: now + 7000, iat: now + 6000 },
      940,
    ],
    ['by the clock here, where it was issued long ago', { exp: now + 500, iat: now - 5000 }, 440],
    ['an hour at most', { exp: now + 1e9 }, 3540],
    ['an hour at most, whatever it says', { exp: 1e300, iat: -1e300 }, 3540],
    ['as any other where it has ended, or the clock here is wrong', { exp: now - 5 }, 50],
    ['as any other where its end is no number', { exp: 'late' }, 50],
    ['as any other where it is no JSON', '{"exp":', 50],
    ['as any other where it is null', 'null', 50],
    ['as any other where it is long', { exp: now + 3600, pad: 'x'.repeat(20_000) }, 50],
  ])('is used %s', (_how, payload, expected) => {
    expect(lifeSeconds(payload)).toBe(expected)
  })

  test('that is opaque is used for 50 s', () => {
    const { usableUntil } = parseToken('{"token":"opaque"}', clock, 'h')
    expect(usableUntil - clock.monotonic()).toBe(50_000)
  })
})

test('expires_in counts more than the token', () => {
  expect(lifeSeconds({ exp: now + 3600 }, { expires_in: 100 })).toBe(90)
})
