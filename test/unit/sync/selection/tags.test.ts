/**
 * @module Which tags are copied: each rule, which one decides, and what is said of the rest.
 */
import { describe, expect, test } from 'vitest'
import type { SyncTagsConfig } from '../../../../src/config/config.ts'
import type { ListedTag } from '../../../../src/sync/port.ts'
import {
  followedDigest,
  repositoryTagsMax,
  TagFilter,
} from '../../../../src/sync/selection/tags.ts'

const hex = 'a'.repeat(64)
const now = 1_000_000

const filter = (some: Partial<SyncTagsConfig>) =>
  new TagFilter({
    include: [],
    exclude: [],
    semver: undefined,
    newest: 0,
    maxAgeMs: 0,
    min: 0,
    ...some,
  })

async function* pages(...all: readonly (readonly ListedTag[])[]) {
  for (const page of all) yield page
}

const names = (...tags: string[]): ListedTag[] => tags.map((tag) => ({ tag }))
const timed = (...tags: (readonly [string, number])[]): ListedTag[] =>
  tags.map(([tag, pushedAt]) => ({ tag, pushedAt }))

async function select(some: Partial<SyncTagsConfig>, listed: readonly ListedTag[]) {
  const selection = await filter(some).select(pages(listed), now)
  return { ...selection, tags: selection.selected.map(({ tag }) => tag as string) }
}

describe('a verdict', () => {
  test.each<[string, Partial<SyncTagsConfig>, string, string | undefined]>([
    ['v1', {}, 'selected', undefined],
    ['v1', { include: ['w*', 'v*'] }, 'selected', 'v*'],
    ['v1', { include: ['w*'] }, 'include', undefined],
    ['1.2.3', { semver: '^1' }, 'selected', '^1'],
    ['2.0.0', { semver: '^1' }, 'semver', '^1'],
    ['latest', { semver: '^1' }, 'semver', '^1'],
    // Both must hold.
    ['1.2.3', { include: ['v*'], semver: '^1' }, 'include', undefined],
    ['v2.0.0', { include: ['v*'], semver: '^1' }, 'semver', '^1'],
    // An exclusion wins.
    ['v1-rc', { include: ['v*'], exclude: ['*-dev', '*-rc'] }, 'exclude', '*-rc'],
    ['v1-rc', { include: ['v1-rc'], exclude: ['**'] }, 'exclude', '**'],
    // Never in a filter.
    [`sha256-${hex}`, { include: ['**'] }, 'attached', undefined],
    [`sha256-${hex}.sig`, { include: ['v*'] }, 'attached', undefined],
    [`sha256-${hex}.other`, { exclude: ['**'] }, 'attached', undefined],
    [`sha256-${hex}-amd64`, {}, 'selected', undefined],
    [`sha256-${hex.slice(1)}`, {}, 'selected', undefined],
    ['-v1', { include: ['**'] }, 'bad-name', undefined],
    ['a b', {}, 'bad-name', undefined],
    ['a'.repeat(129), {}, 'bad-name', undefined],
    ['', {}, 'bad-name', undefined],
  ])('of %s by %o is %s', (tag, config, rule, by) => {
    expect(filter(config).judge({ tag }, now)).toEqual({
      listed: { tag },
      rule,
      ...(by === undefined ? {} : { by }),
    })
  })

  test('of its age: by the time of the push, and kept where there is none', async () => {
    const rules = { maxAgeMs: 1_000 }
    const old = filter(rules).judge({ tag: 'v1', pushedAt: now - 1_001 }, now)
    expect(old.rule).toBe('max-age')
    expect(filter(rules).judge({ tag: 'v1', pushedAt: now - 1_000 }, now).rule).toBe('selected')
    const found = await select(rules, [...names('v2'), ...timed(['v1', 1], ['v3', now])])
    expect(found).toMatchObject({ tags: ['v2', 'v3'], unknownAges: 1 })
  })

  test('of a signature names the digest that it follows', () => {
    expect(followedDigest(`sha256-${hex}.sig`)).toBe(`sha256:${hex}`)
    expect(followedDigest('v1')).toBeUndefined()
  })
})

describe('the newest', () => {
  test('go by the time of the push when every candidate has one', async () => {
    const listed = timed(['v9.0.0', 1], ['v1.0.0', 3], ['old', 2], ['out-rc', 9])
    const found = await select({ newest: 2, exclude: ['*-rc'] }, listed)
    expect(found).toMatchObject({ tags: ['v1.0.0', 'old'], order: 'pushed' })
    expect(found.verdicts.map(({ rule }) => rule)).toEqual([
      'newest',
      'selected',
      'selected',
      'exclude',
    ])
  })

  test('of one second go by version', async () => {
    const listed = timed(['v1.9.0', 5], ['v1.10.0', 5], ['v1.2.0', 5])
    expect((await select({ newest: 2 }, listed)).tags).toEqual(['v1.10.0', 'v1.9.0'])
  })

  test('go by version when a time is missing, with what is no version behind', async () => {
    const listed = [
      ...timed(['v1.9.0', 9]),
      ...names('v1.10.0', 'latest', 'v1.10.0-rc.1', 'v2', 'alpha'),
    ]
    const found = await select({ newest: 4 }, listed)
    expect(found).toMatchObject({
      tags: ['v1.10.0', 'v1.10.0-rc.1', 'v1.9.0', 'v2'],
      order: 'version',
    })
  })

  test('go by name when nothing else is known', async () => {
    const listed = names('2026-01-02', '2026-02-01', '2025-12-31')
    const found = await select({ newest: 2 }, listed)
    expect(found).toMatchObject({ tags: ['2026-02-01', '2026-01-02'], order: 'name' })
  })

  test('are all when there are no more, in the order of the listing', async () => {
    const found = await select({ newest: 2 }, names('a', 'b'))
    expect(found).toMatchObject({ tags: ['a', 'b'], order: undefined })
  })

  test('never count what is attached', async () => {
    const listed = timed([`sha256-${hex}.sig`, 9], ['v1', 2], ['v2', 1])
    expect((await select({ newest: 2 }, listed)).tags).toEqual(['v1', 'v2'])
  })
})

describe('a selection', () => {
  test('with fewer than the minimum has none, and says what it would be', async () => {
    const found = await select({ include: ['v*'], min: 3 }, names('v1', 'v2', 'x'))
    expect(found).toMatchObject({ tags: [], isShort: true })
    expect(found.verdicts.map(({ rule }) => rule)).toEqual(['selected', 'selected', 'include'])
    expect(await select({ min: 2 }, names('v1', 'v2'))).toMatchObject({
      tags: ['v1', 'v2'],
      isShort: false,
    })
  })

  test('says which patterns fit nothing', async () => {
    const listed = names('v1', 'w1', `sha256-${hex}`)
    const found = await select({ include: ['v*', '{v,w}1', 'sha256*', 'z'] }, listed)
    expect(found.unmatched).toEqual(['sha256*', 'z'])
  })

  test('reads all pages', async () => {
    const found = await filter({ newest: 1 }).select(
      pages(timed(['a', 1]), [], timed(['b', 3]), timed(['c', 2])),
      now,
    )
    expect(found.selected.map(({ tag }) => tag)).toEqual(['b'])
    expect(found.verdicts).toHaveLength(3)
  })

  test('of a long page lets others have their turns', async () => {
    let turns = 0
    const count = () => {
      turns += 1
      timer = setImmediate(count)
    }
    let timer = setImmediate(count)
    const page = names(...Array.from({ length: 20_000 }, (_, index) => `t${index}`))
    const found = await filter({ newest: 5 }).select(pages(page), now)
    clearImmediate(timer)
    expect(found.selected).toHaveLength(5)
    // One for each thousand of every pass: verdicts, candidates, order, sort, those that are cut off.
    expect(turns).toBeGreaterThan(95)
  })

  test('of a listing without end is refused', async () => {
    const page = names(...Array.from({ length: 1000 }, (_, index) => `t${index}`))
    let given = 0
    async function* endless() {
      for (;;) {
        given += page.length
        yield page
      }
    }
    await expect(filter({ include: ['x'] }).select(endless(), now)).rejects.toMatchObject({
      reason: 'incomplete-listing',
    })
    expect(given).toBe(repositoryTagsMax + page.length)
  })

  test('of a listing that breaks off is none', async () => {
    async function* broken() {
      yield names('v1')
      throw new Error('cut')
    }
    await expect(filter({}).select(broken(), now)).rejects.toThrow('cut')
  })
})

test('says whether the first page decides, and whether a part of the tags does', () => {
  expect(filter({ include: ['v*'], maxAgeMs: 5 }).isImmediate).toBe(true)
  expect(filter({ newest: 1 }).isImmediate).toBe(false)
  expect(filter({ min: 1 }).isImmediate).toBe(false)
  expect(filter({}).needsAllTags(false)).toBe(false)
  expect(filter({ newest: 1 }).needsAllTags(true)).toBe(false)
  expect(filter({ newest: 1 }).needsAllTags(false)).toBe(true)
  expect(filter({ min: 1 }).needsAllTags(true)).toBe(true)
})
