/**
 * @module What a pattern says of names before any is there: the components that all of them begin with.
 */
import { expect, test } from 'vitest'
import { isLiteral, literalComponents } from '../../../src/registry/literal.ts'
import { parsePattern } from '../../../src/registry/pattern.ts'

test.each([
  ['team/app', ['team', 'app']],
  ['app', ['app']],
  ['team/*', ['team']],
  ['team/app-*', ['team']],
  ['team/**', ['team']],
  ['a/b/{c,d}/e', ['a', 'b']],
  ['te[ab]m/app', []],
  ['te?m/app', []],
  ['{a/b,c}/d', []],
  ['**', []],
  ['/team\\/app/', []],
])('%s begins with %j', (pattern, components) => {
  expect(literalComponents(pattern)).toEqual(components)
  const parsed = parsePattern(pattern)
  expect(parsed.ok).toBe(true)
  // What it says holds for every name that fits.
  for (const name of ['team/app', 'app', 'team/x', 'a/b/c/e', 'team/app-1', 'a/b/d', 'c/d']) {
    if (parsed.ok && parsed.value(name)) {
      expect(name.split('/').slice(0, components.length)).toEqual(components)
    }
  }
})

test.each([
  ['team/app', true],
  ['app', true],
  ['team/*', false],
  ['te?m', false],
  ['[a]', false],
  ['{a,b}', false],
  ['/app/', false],
])('%s fits one name alone: %s', (pattern, is) => {
  expect(isLiteral(pattern)).toBe(is)
})
