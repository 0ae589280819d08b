/**
 * @module The filter of tags against the plainest thing that does the same; and that a part of the tags,
 * the newest of a source that says times, selects what all of them would.
 */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { SyncTagsConfig } from '../../src/config/config.ts'
import type { ListedTag } from '../../src/sync/port.ts'
import { TagFilter } from '../../src/sync/selection/tags.ts'

const now = 100
const hex = 'b'.repeat(64)

const tag = fc.oneof(
  fc
    .tuple(
      fc.constantFrom('', 'v'),
      fc.array(fc.nat({ max: 3 }), { minLength: 1, maxLength: 3 }),
      fc.constantFrom('', '-rc', '-a'),
    )
    .map(([v, numbers, suffix]) => `${v}${numbers.join('.')}${suffix}`),
  fc.constantFrom('latest', 'main', `sha256-${hex}`, `sha256-${hex}.sig`, '-bad', 'b/d'),
)

const listedTags = (isTimed: boolean) =>
  fc.uniqueArray(tag, { maxLength: 12 }).chain((tags) =>
    fc
      .array(
        fc.option(fc.integer({ min: 0, max: now }), { nil: undefined, freq: isTimed ? 30 : 2 }),
        {
          minLength: tags.length,
          maxLength: tags.length,
        },
      )
      .map((times) =>
        tags.map((name, index): ListedTag => {
          const pushedAt = isTimed ? (times[index] ?? 0) : times[index]
          return pushedAt === undefined ? { tag: name } : { tag: name, pushedAt }
        }),
      ),
  )

const patterns = fc.array(fc.constantFrom('v*', '1*', '*-rc', 'latest', '*.*.*', '**', '[0-2]*'), {
  maxLength: 2,
})

const config: fc.Arbitrary<SyncTagsConfig> = fc.record({
  include: patterns,
  exclude: fc.array(fc.constantFrom('*-rc', 'latest', 'v3*'), { maxLength: 2 }),
  semver: fc.constantFrom(undefined, '*', '>=1', '^1', '1.x || 3'),
  newest: fc.nat({ max: 4 }),
  maxAgeMs: fc.constantFrom(0, 0, 30),
  min: fc.nat({ max: 2 }),
})

/** Globs of this test as expressions. */
const fits = (globs: readonly string[], text: string) =>
  globs.some((glob) =>
    new RegExp(`^${glob.replaceAll('.', '\\.').replaceAll(/\*+/g, '.*')}$`).test(text),
  )

const version = (text: string) => /^v?(\d+)\.(\d+)\.(\d+)(?:-(.*))?$/.exec(text)

function isInRange(range: string, text: string): boolean {
  const [, major, , , suffix] = version(text) ?? []
  if (major === undefined || suffix !== undefined) return false
  const number = Number(major)
  return { '*': true, '>=1': number >= 1, '^1': number === 1 }[range] ?? [1, 3].includes(number)
}

/** Greater is newer. Numbers below ten, so that texts order as they do. */
const versionKey = (text: string) => {
  const found = version(text)
  if (found === null) return '0'
  const [, major, minor, patch, suffix] = found
  return `1${major}.${minor}.${patch}${suffix === undefined ? '~' : `-${suffix}`}`
}

function model(rules: SyncTagsConfig, listed: readonly ListedTag[]): string[] {
  const candidates = listed.filter(
    ({ tag: text, pushedAt }) =>
      /^\w[\w.-]*$/.test(text) &&
      !text.startsWith('sha256-') &&
      (rules.include.length === 0 || fits(rules.include, text)) &&
      (rules.semver === undefined || isInRange(rules.semver, text)) &&
      !fits(rules.exclude, text) &&
      (rules.maxAgeMs === 0 || pushedAt === undefined || now - pushedAt <= rules.maxAgeMs),
  )
  const isTimed = candidates.every(({ pushedAt }) => pushedAt !== undefined)
  const key = ({ tag: text, pushedAt }: ListedTag) =>
    `${isTimed ? String(pushedAt).padStart(5, '0') : ''} ${versionKey(text)} ${text}`
  const isCut = rules.newest > 0 && candidates.length > rules.newest
  const newest = [...candidates].sort((one, other) => (key(one) < key(other) ? 1 : -1))
  const kept = isCut ? newest.slice(0, rules.newest) : candidates
  return kept.length < rules.min ? [] : kept.map(({ tag: text }) => text)
}

async function select(rules: SyncTagsConfig, listed: readonly ListedTag[], size = 100) {
  async function* pages() {
    for (let at = 0; at < listed.length; at += size) yield listed.slice(at, at + size)
  }
  return new TagFilter(rules).select(pages(), now)
}

test('selects what the plain model selects, however the pages are cut', async () => {
  await fc.assert(
    fc.asyncProperty(
      config,
      fc.boolean().chain(listedTags),
      fc.integer({ min: 1, max: 5 }),
      async (rules, listed, size) => {
        const found = await select(rules, listed, size)
        const names: string[] = found.selected.map(({ tag: text }) => text)
        expect(names).toEqual(model(rules, listed))
        // Each tag has one verdict, and those of the selected say so.
        expect(found.verdicts.map((verdict) => verdict.listed)).toEqual(listed)
        const said = found.verdicts.filter(({ rule }) => rule === 'selected')
        if (!found.isShort) expect(new Set(said.map((it) => it.listed.tag))).toEqual(new Set(names))
      },
    ),
    { numRuns: 500 },
  )
})

test('of a source that says times, the newest tags select what they do among all', async () => {
  await fc.assert(
    fc.asyncProperty(
      config,
      listedTags(true),
      fc.nat({ max: now }),
      async (some, listed, since) => {
        const rules = { ...some, min: 0 }
        expect(new TagFilter(rules).needsAllTags(true)).toBe(false)
        const recent = listed.filter(({ pushedAt }) => pushedAt! >= since)
        const selectedOf = async (tags: readonly ListedTag[]) =>
          new Set((await select(rules, tags)).selected.map(({ tag: text }) => text as string))
        const all = await selectedOf(listed)
        const expected = recent.filter(({ tag: text }) => all.has(text)).map((it) => it.tag)
        expect(await selectedOf(recent)).toEqual(new Set(expected))
      },
    ),
    { numRuns: 300 },
  )
})

test('whatever a source lists, nothing but tags is selected', async () => {
  const anything = fc.array(fc.record({ tag: fc.string({ unit: 'binary' }) }))
  await fc.assert(
    fc.asyncProperty(config, anything, async (rules, listed) => {
      const found = await select(rules, listed)
      for (const { tag: text } of found.selected) {
        expect(text).toMatch(/^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$/)
      }
    }),
  )
})
