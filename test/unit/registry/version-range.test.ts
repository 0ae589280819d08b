/**
 * @module Ranges of versions: what each form holds, what is none, and that texts of strangers cost little.
 */
import { describe, expect, test } from 'vitest'
import { parseVersionRange } from '../../../src/registry/version-range.ts'

const isIn = (range: string, tag: string) => {
  const parsed = parseVersionRange(range)
  if (!parsed.ok) throw new Error(parsed.error)
  return parsed.value(tag)
}

describe('a range', () => {
  test.each([
    ['1.2.3', ['1.2.3', 'v1.2.3', '1.2.3+build', '1.2.3_build'], ['1.2.4', '1.2.3-rc.1']],
    ['=v1.2.3', ['1.2.3'], ['1.2.2']],
    ['*', ['0.0.0', '9.9.9'], ['1.0.0-rc.1', '1.2', 'latest', '']],
    ['1', ['1.0.0', '1.9.9'], ['0.9.9', '2.0.0', '2.0.0-rc.1']],
    ['1.x', ['1.0.0', '1.9.9'], ['2.0.0']],
    ['1.2.*', ['1.2.0', '1.2.9'], ['1.3.0', '1.1.9']],
    ['>=1.2 <2', ['1.2.0', '1.99.0'], ['1.1.9', '2.0.0', '2.0.0-0']],
    ['>= 1.2  < 2', ['1.2.0'], ['2.0.0']],
    ['>1.2', ['1.3.0'], ['1.2.9', '1.2.0']],
    ['>1.2.3', ['1.2.4'], ['1.2.3']],
    ['<=1.2', ['1.2.9', '0.0.0'], ['1.3.0']],
    ['<=1.2.3', ['1.2.3'], ['1.2.4']],
    ['<1.2', ['1.1.9'], ['1.2.0']],
    ['<*', [], ['0.0.0', '1.0.0']],
    ['>*', [], ['0.0.0', '1.0.0']],
    ['^1.2.3', ['1.2.3', '1.9.0'], ['1.2.2', '2.0.0', '2.0.0-alpha']],
    ['^0.2.3', ['0.2.3', '0.2.9'], ['0.3.0', '0.2.2']],
    ['^0.0.3', ['0.0.3'], ['0.0.4', '0.0.2']],
    ['^0.0', ['0.0.0', '0.0.9'], ['0.1.0']],
    ['^0', ['0.0.1', '0.9.0'], ['1.0.0']],
    ['~1.2.3', ['1.2.3', '1.2.9'], ['1.3.0', '1.2.2']],
    ['~1.2', ['1.2.0', '1.2.9'], ['1.3.0']],
    ['~1', ['1.0.0', '1.9.0'], ['2.0.0']],
    ['1.2 - 1.4', ['1.2.0', '1.4.9'], ['1.5.0', '1.1.9']],
    ['1.2.3 - 1.4.5', ['1.2.3', '1.4.5'], ['1.4.6', '1.2.2']],
    ['1.2.3 || >=3 <4 || 5', ['1.2.3', '3.5.0', '5.1.1'], ['1.2.4', '4.0.0']],
  ])('%s', (range, inside, outside) => {
    for (const tag of inside) expect(isIn(range, tag), tag).toBe(true)
    for (const tag of outside) expect(isIn(range, tag), tag).toBe(false)
  })

  test.each([
    // Only where the range names a suffix of the same three numbers.
    ['>=1.2.3-alpine', ['1.2.3-alpine', '1.2.3-beta', '1.2.4', '1.2.3'], ['1.2.4-alpine']],
    ['>=1.2.3-rc.2 <1.2.3', ['1.2.3-rc.2', '1.2.3-rc.10'], ['1.2.3-rc.1', '1.2.3']],
    ['^1.2.3-rc.1', ['1.2.3-rc.1', '1.2.3', '1.3.0'], ['1.3.0-rc.1', '2.0.0-rc.1']],
    ['1.2.3-alpine', ['1.2.3-alpine', 'v1.2.3-alpine'], ['1.2.3', '1.2.3-alpine3']],
  ])('%s, with a suffix', (range, inside, outside) => {
    for (const tag of inside) expect(isIn(range, tag), tag).toBe(true)
    for (const tag of outside) expect(isIn(range, tag), tag).toBe(false)
  })

  test.each([
    '',
    ' ',
    '1.2.3 ||',
    'latest',
    '>=',
    '^',
    '1.2.3.4',
    '01.2.3',
    '1.2.3 -',
    '- 1',
    '>>1',
    '=>1',
  ])('"%s" is none', (text) => expect(parseVersionRange(text).ok).toBe(false))

  test('is bounded in length', () => {
    expect(parseVersionRange(`1.2.3${' '.repeat(251)}`).ok).toBe(true)
    expect(parseVersionRange(`1.2.3${' '.repeat(252)}`).ok).toBe(false)
  })
})
