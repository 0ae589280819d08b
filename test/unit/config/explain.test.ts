import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  ConfigError,
  editDistance,
  nearestKey,
  quoteValue,
  unknownKeyMessage,
} from '../../../src/config/explain.ts'
import { KEYS } from '../../../src/config/schema.ts'

describe('the nearest key', () => {
  test.each([
    ['storge.path', 'storage.path'],
    ['server.adr', 'server.addr'],
    ['server.maxconnections', 'server.max_connections'],
    ['Server.Addr', 'server.addr'],
    ['log.levle', 'log.level'],
    ['storage.level', 'log.level'],
    ['mirror', 'mirrors'],
  ])('of %s is %s', (key, nearest) => {
    expect(nearestKey(key, KEYS)).toBe(nearest)
  })

  test.each(['enabled', 'completely.different', 'x'])('of %s is none', (key) => {
    expect(nearestKey(key, KEYS)).toBeUndefined()
    expect(unknownKeyMessage(key, KEYS)).toBe(`unknown key "${key}"; remove it`)
  })

  test('of a known key is the key itself', () => {
    for (const key of KEYS) expect(nearestKey(key, KEYS)).toBe(key)
  })
})

describe('edit distance', () => {
  test('counts letters inserted, deleted, replaced and swapped', () => {
    expect(editDistance('', 'abc')).toBe(3)
    expect(editDistance('kitten', 'sitting')).toBe(3)
    expect(editDistance('adrr', 'addr')).toBe(1)
    expect(editDistance('levle', 'level')).toBe(1)
  })

  test('is symmetric, and zero only for equal words', () => {
    return fc.assert(
      fc.property(fc.string({ maxLength: 12 }), fc.string({ maxLength: 12 }), (a, b) => {
        expect(editDistance(a, b)).toBe(editDistance(b, a))
        expect(editDistance(a, b) === 0).toBe(a === b)
      }),
    )
  })
})

test('an error lists its problems in the order of the file, flags first', () => {
  const error = new ConfigError([
    { source: 'c.yaml', position: { line: 12, column: 5 }, message: 'third' },
    { source: 'c.yaml', position: { line: 2, column: 9 }, message: 'second' },
    { source: '--addr', message: 'first' },
  ])
  expect(error.message).toBe('--addr: first\nc.yaml:2:9: second\nc.yaml:12:5: third')
})

test('a secret is never quoted', () => {
  expect(quoteValue('hunter2', true)).toBe('***')
  expect(quoteValue('plain', false)).toBe('"plain"')
  expect(quoteValue('x'.repeat(500), false).length).toBeLessThan(100)
})
