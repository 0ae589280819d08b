/**
 * @module The value types, as whole values and as parts of lists and items: one set for all sections.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import * as type from '../../../src/config/values.ts'

const rule = type.item({
  name: type.text({ lengthMin: 1 }),
  keep: type.optional(type.duration('1ms')),
  count: type.withDefault(type.integer(1, 10), 3),
  tags: type.withDefault(type.list('list of patterns', type.pattern(), { lengthMin: 1 }), ['**']),
})
const rules = type.list('list of rules', rule)

const issues = (of: type.ValueType<unknown>, raw: unknown) => {
  const parsed = of.parse(raw)
  return parsed.ok ? [] : parsed.error.map(({ path, message }) => `${path.join('.')}: ${message}`)
}

describe('an item of a list', () => {
  test('has its defaults, and no key that is optional and missing', () => {
    expect(rules.parse([{ name: 'a' }])).toEqual({
      ok: true,
      value: [{ name: 'a', count: 3, tags: ['**'] }],
    })
  })

  test('reads its values as a whole key does: quantities, and numbers that are text', () => {
    expect(rules.parse([{ name: 'a', keep: '1h30m', count: '7', tags: ['/^v/'] }])).toEqual({
      ok: true,
      value: [{ name: 'a', keep: 5_400_000, count: 7, tags: ['/^v/'] }],
    })
  })

  test('names every part that is wrong, with the nearest key', () => {
    const wrong = [{ nam: 'a' }, 'b', { name: '', keep: '0s', count: 11, tags: ['/(/'] }]
    expect(issues(rules, wrong)).toEqual([
      '0.nam: unknown key "nam"; did you mean "name"?',
      '0.name: "name" is missing',
      '1: expected a mapping',
      '2.name: expected text that is not empty',
      '2.keep: expected a duration of 1ms or more, this is 0s',
      '2.count: expected a whole number from 1 to 10',
      expect.stringMatching(/^2\.tags\.0: pattern \/\(\/: /),
    ])
    expect(issues(rules, [{ name: 'a', tags: [] }])).toEqual([
      '0.tags: expected a list of patterns that is not empty',
    ])
    expect(issues(rules, { name: 'a' })).toEqual([': expected a list of rules'])
  })

  test('has no key by inheritance', () => {
    expect(issues(rule, JSON.parse('{ "name": "a", "__proto__": {}, "constructor": 1 }'))).toEqual([
      '__proto__: unknown key "__proto__"; remove it',
      'constructor: unknown key "constructor"; remove it',
    ])
  })
})

describe('a mapping', () => {
  const groups = type.mapping(
    'mapping of groups',
    type.text({ lengthMin: 1 }),
    type.list('list of users', type.text({ lengthMin: 1 })),
  )

  test('has any names, also those of every object', () => {
    const raw = JSON.parse('{ "__proto__": ["a"], "constructor": [] }') as object
    const parsed = groups.parse(raw)
    expect(parsed.ok && Object.entries(parsed.value)).toEqual([
      ['__proto__', ['a']],
      ['constructor', []],
    ])
  })

  test('names what is wrong below which name', () => {
    expect(issues(groups, { ci: 'alice', ops: ['', 'bob'] })).toEqual([
      'ci: expected a list of users',
      'ops.0: expected text that is not empty',
    ])
  })
})

describe('one or more', () => {
  const urls = type.oneOrMore('list of URLs', type.url())

  test('is a value alone or a list', () => {
    expect(urls.parse('https://a')).toEqual({ ok: true, value: ['https://a'] })
    expect(urls.parse(['https://a', 'http://b'])).toEqual({
      ok: true,
      value: ['https://a', 'http://b'],
    })
    expect(issues(urls, [])).toEqual([': expected a list of URLs that is not empty'])
    expect(issues(urls, ['https://a', 'ftp://b'])).toEqual([
      '1: expected an http or https URL such as "https://auth.example.com"',
    ])
  })
})

const sections = new URL('../../../src/config/sections/', import.meta.url)

const files = readdirSync(sections, { recursive: true, encoding: 'utf8' })

test.each(files.filter((name) => name.endsWith('.ts')))(
  '%s reads its values by these types alone',
  (name) => {
    const text = readFileSync(new URL(name, sections), 'utf8')
    expect(text).not.toMatch(/from '(valibot|croner|[^']*\/(quantities|expression|pattern)\.ts)'/)
  },
)
