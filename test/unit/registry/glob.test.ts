/**
 * @module The one grammar of globs: a table, random globs against a plain translation, hostile names.
 */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { RepositoryPattern } from '../../../src/auth/repository-pattern.ts'
import { compileGlob } from '../../../src/registry/glob.ts'
import { parsePattern } from '../../../src/registry/pattern.ts'

const fits = (glob: string, text: string) => {
  const compiled = compileGlob(glob)
  if (!compiled.ok) throw new Error(compiled.error)
  return compiled.value(text)
}

describe('a glob', () => {
  test.each([
    ['app', ['app'], ['ap', 'apps', 'a/app']],
    ['*', ['app', ''], ['a/b']],
    ['team/*', ['team/app', 'team/'], ['team', 'team/a/b', 'teams/a']],
    ['**', ['', 'a', 'a/b/c'], []],
    ['team/**', ['team/a', 'team/a/b'], ['team', 'teams/a']],
    ['**/app', ['app', 'a/app', 'a/b/app'], ['xapp', 'a/xapp', 'app/a']],
    ['ci/**/web', ['ci/web', 'ci/a/web', 'ci/a/b/web'], ['ciweb', 'ci/aweb', 'ci/web/a']],
    ['**/a/**/b', ['a/b', 'x/a/b', 'a/y/b', 'x/a/y/z/b'], ['ab', 'a/xb']],
    ['a**b', ['ab', 'a/b', 'ax/yb'], ['a', 'ba']],
    ['a***b', ['ab', 'a/b'], ['a']],
    ['v?', ['v1', 'vx'], ['v', 'v12', 'v/']],
    ['{a,b}/x', ['a/x', 'b/x'], ['c/x', '{a,b}/x']],
    ['{a,b{c,d}*}', ['a', 'bc', 'bdx'], ['b', 'ac']],
    ['{,v}1', ['1', 'v1'], ['vv1']],
    ['x/{**/y,z}', ['x/y', 'x/a/y', 'x/z'], ['xy', 'x/a/z']],
    ['[abc]', ['a', 'c'], ['d', '', 'ab']],
    ['v[0-9]*', ['v1', 'v1.2'], ['v', 'vx']],
    ['[!a-c]x', ['dx'], ['ax', 'x', '/x']],
    ['[a-]', ['a', '-'], ['b']],
    ['a.b+c', ['a.b+c'], ['axb+c', 'a.bbc']],
  ])('%s', (glob, fitting, others) => {
    for (const text of fitting) expect(fits(glob, text), text).toBe(true)
    for (const text of others) expect(fits(glob, text), text).toBe(false)
  })

  test.each([
    ['{a', 'braces'],
    ['a}', 'braces'],
    ['{a,{b}', 'braces'],
    ['[a', '"["'],
    ['a]', '"]"'],
    ['[]', 'no characters'],
    ['[!]', 'no characters'],
    ['[z-a]', 'range'],
    ['*'.repeat(513), 'longer'],
  ])('%s is none', (glob, words) => {
    const compiled = compileGlob(glob)
    expect(compiled.ok ? '' : compiled.error).toContain(words)
  })

  test('means what its translation into an expression means', () => {
    const part = fc.constantFrom('a', 'b', '/', '*', '**', '?', '{a,b}', '{b*,/a}', '[ab]', '[!a]')
    const glob = fc.array(part, { maxLength: 7 }).map((parts) => parts.join(''))
    const name = fc.array(fc.constantFrom('a', 'b', '/'), { maxLength: 7 }).map((it) => it.join(''))
    let fitting = 0
    fc.assert(
      fc.property(glob, fc.array(name, { minLength: 8, maxLength: 8 }), (text, names) => {
        const expression = new RegExp(`^(?:${translate(text)})$`, 's')
        for (const it of names) {
          if (expression.test(it)) fitting += 1
          expect(fits(text, it), `${text} and ${it}`).toBe(expression.test(it))
        }
      }),
      { numRuns: 4_000 },
    )
    expect(fitting).toBeGreaterThan(1_000)
  })

  test('is the same in access rules, clean-up and mirrors', () => {
    for (const [glob, name] of [
      ['**/app', 'app'],
      ['ci/**/web', 'ci/web'],
      ['{a,b}/x', 'a/x'],
      ['[a-c]*/x', 'bee/x'],
    ] as const) {
      expect(new RepositoryPattern(glob).matches(name, 'alice'), glob).toBe(true)
      expect(matcherOf(parsePattern(glob))(name), glob).toBe(true)
    }
    expect(new RepositoryPattern(`home/\${user}/**`).matches('home/alice/a', 'alice')).toBe(true)
    expect(new RepositoryPattern(`home/\${user}/**`).matches('home/alice/a', 'bob')).toBe(false)
  })
})

describe('whatever is matched', () => {
  const names = ['-', 'a', '/', '1', 'a-', 'a/', '{', '*'].map((it) => it.repeat(255).slice(0, 255))
  const patterns = [
    '*-*-*-*/x',
    '*-*-*-*-*',
    'ci-*-*-*-*-*',
    'a*a*a*a*a*a*a*a*b',
    '**/**/**/**/**/x',
    '{a,aa,aaa}'.repeat(40),
    '{*,**}'.repeat(80),
    `${'{'.repeat(100)}a${'}'.repeat(100)}`,
    `{${'*,'.repeat(250)}x}*`,
    '[!x]*[!y]*[!z]*1x',
    '/v?(\\d+\\.?)+/',
    '/(a+)+b/',
    '/(a|a)*b/',
    '/(.*)(.*)(.*)(.*)(.*)x/',
    '/(?!(a+)+b).*/',
  ]
  test.each(patterns)('%# takes some milliseconds at the most', (pattern) => {
    const match = matcherOf(parsePattern(pattern))
    for (const name of names) {
      match(name)
      const times = Array.from({ length: 5 }, () => {
        const startedAt = performance.now()
        match(`${name}_`)
        return performance.now() - startedAt
      })
      // The least of five: the machine has other work. A matcher that backtracks takes seconds.
      expect(Math.min(...times), name.slice(0, 4)).toBeLessThan(25)
    }
  })
})

describe('a regular expression', () => {
  test.each([
    ['/v\\d+/', ['v1', 'v12'], ['v', 'xv1', 'v1x']],
    ['/^v\\d+$/', ['v1'], ['v1x']],
    ['/a|b/', ['a', 'b'], ['ab', 'ax']],
    ['/(?!pr-).*/', ['main', 'xpr-'], ['pr-1', 'pr-']],
    ['/(?!v).*/', ['main'], ['v1']],
    ['/^(?!latest$)(?!pr-).+/', ['latest2', 'x'], ['latest', 'pr-1', '']],
    ['/(?=.*-rc)v.*/', ['v1-rc1'], ['v1', 'x-rc']],
    ['/(?!(a|[)])x).*/', ['b'], ['ax', ')x']],
  ])('%s', (pattern, fitting, others) => {
    const match = matcherOf(parsePattern(pattern))
    for (const text of fitting) expect(match(text), text).toBe(true)
    for (const text of others) expect(match(text), text).toBe(false)
  })

  test.each([
    ['/(a)\\1/', 'back references'],
    ['/(?<=a)b/', 'look-behind'],
    ['/a(?!b)/', 'at the beginning only'],
    ['/(?!a/', 'not closed'],
    ['/(/', 'not a regular expression'],
    ['/a{2000}/', 'not a regular expression'],
  ])('%s is refused with the reason', (pattern, words) => {
    const parsed = parsePattern(pattern)
    expect(parsed.ok ? '' : parsed.error).toContain(words)
  })
})

function matcherOf(parsed: ReturnType<typeof parsePattern>) {
  if (!parsed.ok) throw new Error(parsed.error)
  return parsed.value
}

/** A plain translation, which may take as long as it likes. */
function translate(glob: string): string {
  return glob
    .replaceAll(/\[!?[^\]]+\]|\*+|[{},?]|[^*?{},[]+/g, (token, at: number) => {
      const isWhole = token.startsWith('**') && (at === 0 || glob[at - 1] === '/')
      if (isWhole && glob[at + token.length] === '/') return WHOLE
      if (token.startsWith('**')) return '.*'
      if (token === '*') return '[^/]*'
      if (token === '?') return '[^/]'
      if (token === '{') return '(?:'
      if (token === '}') return ')'
      if (token === ',') return '|'
      if (token.startsWith('[!')) return `[^/${token.slice(2)}`
      return token
    })
    .replaceAll(`${WHOLE}/`, '(?:.*/)?')
}

const WHOLE = '\u0001'
