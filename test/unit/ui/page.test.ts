/**
 * What the pages decide without a browser: addresses, and which rules fit.
 */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { parsePattern } from '../../../src/registry/pattern.ts'
import {
  parseFragment,
  toImage,
  toRepository,
  toScreen,
} from '../../../src/ui/page/core/fragment.ts'
import { fits } from '../../../src/ui/page/core/patterns.ts'

describe('an address', () => {
  const digest = `sha256:${'a'.repeat(64)}`

  test.each([
    ['', 'home', '', ''],
    ['#/', 'home', '', ''],
    ['#/-/activity', 'activity', '', ''],
    ['#/team/app', 'repository', 'team/app', ''],
    ['#/team%2Fapp', 'repository', 'team/app', ''],
    ['#/team/app:v1.2', 'image', 'team/app', 'v1.2'],
    [`#/team/app@${digest}`, 'image', 'team/app', digest],
    ['#/docker.io/library/alpine:3', 'image', 'docker.io/library/alpine', '3'],
    ['#/%E0%A4%A', 'repository', '%E0%A4%A', ''],
  ])('%s', (text, screen, repository, reference) => {
    expect(parseFragment(text)).toMatchObject({ screen, repository, reference })
  })

  test('that was made is read as it was meant', () => {
    for (const [text, expected] of [
      [toScreen('home'), { screen: 'home' }],
      [toScreen('activity', { by: 'a&b=c d' }), { screen: 'activity' }],
      [toRepository('a/b', { q: '' }), { repository: 'a/b' }],
      [toImage('a/b', 'v1'), { repository: 'a/b', reference: 'v1' }],
      [toImage('a/b', digest), { repository: 'a/b', reference: digest }],
    ] as const) {
      expect(parseFragment(text)).toMatchObject(expected)
    }
    expect(parseFragment(toScreen('x', { by: 'a&b=c d' })).query.get('by')).toBe('a&b=c d')
  })
})

test('a glob fits the names that it fits in the rules of the server', () => {
  const word = fc.constantFrom('a', 'b', 'ab', '*', '**', 'a*', '*b', '?', 'a?')
  const pattern = fc.array(word, { minLength: 1, maxLength: 4 }).map((all) => all.join('/'))
  const name = fc
    .array(fc.constantFrom('a', 'b', 'ab', 'aab', 'c'), { minLength: 1, maxLength: 4 })
    .map((all) => all.join('/'))
  fc.assert(
    fc.property(pattern, name, (glob, text) => {
      const parsed = parsePattern(glob)
      if (!parsed.ok) return
      expect(fits(glob, text), `${glob} ${text}`).toBe(parsed.value(text))
    }),
  )
})
