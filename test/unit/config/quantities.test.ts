import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  formatDuration,
  formatSize,
  parseDuration,
  parseSize,
} from '../../../src/config/quantities.ts'

describe('durations', () => {
  test.each([
    ['0', 0],
    ['0s', 0],
    ['500ms', 500],
    ['30s', 30_000],
    ['10m', 600_000],
    ['1.5h', 5_400_000],
    ['24h', 86_400_000],
    ['7d', 604_800_000],
    ['1h30m', 5_400_000],
    ['1h0m0s', 3_600_000],
  ])('%s is read', (text, value) => {
    expect(parseDuration(text)).toEqual({ ok: true, value })
  })

  test('a number without a unit is refused with the unit to add', () => {
    expect(parseDuration('30')).toEqual({ ok: false, error: expect.stringContaining('"30s"') })
  })

  test.each(['', 's', '-5s', '1 h', '1y', '1h30', '1e3s', 'forever', '9999999999999999d'])(
    '%j is refused',
    (text) => {
      expect(parseDuration(text).ok).toBe(false)
    },
  )

  test('what format writes, parse reads back', () => {
    return fc.assert(
      fc.property(fc.nat({ max: 2 ** 50 }), (value) => {
        expect(parseDuration(formatDuration(value))).toEqual({ ok: true, value })
      }),
    )
  })
})

describe('sizes', () => {
  test.each([
    ['0', 0],
    ['65536', 65_536],
    ['64KiB', 65_536],
    ['64kib', 65_536],
    ['64 KiB', 65_536],
    ['64KB', 64_000],
    ['1.5GiB', 1_610_612_736],
    ['2TiB', 2_199_023_255_552],
    ['10B', 10],
  ])('%s is read', (text, value) => {
    expect(parseSize(text)).toEqual({ ok: true, value })
  })

  test.each(['', 'KiB', '-1', '1K', '64Ki', '1.5B', '0.3KiB', '1e3', '99999999999TiB', '1iB'])(
    '%j is refused',
    (text) => {
      expect(parseSize(text).ok).toBe(false)
    },
  )

  test('what format writes, parse reads back', () => {
    return fc.assert(
      fc.property(fc.maxSafeNat(), (value) => {
        expect(parseSize(formatSize(value))).toEqual({ ok: true, value })
      }),
    )
  })
})
