/**
 * @module Retention: every case of the table, and what must hold for all tags and rules.
 */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { KeepRule } from '../../../src/config/config.ts'
import { markRepository } from '../../../src/gc/mark/repository.ts'
import type { Rows } from '../../../src/gc/mark/rows.ts'
import { compileRules, decideTags } from '../../../src/gc/mark/rules.ts'
import type { Digest } from '../../../src/registry/digest.ts'
import { mediaTypes } from '../../../src/registry/media-type.ts'
import { anyPattern } from '../../../src/registry/pattern.ts'
import { asName, inByteOrder } from '../../support/registry-client.ts'
import { digestOfText } from '../../support/store.ts'
import { type Case, configOf, factsOf, NOW } from './retention-case.ts'
import { CASES } from './retention-cases.ts'

/** `name rule` of the untagged manifests of a case that go. */
function goingUntagged({ untagged = [], repository = 'team/app', ...it }: Case): string[] {
  const names = new Map(untagged.map((text) => [digestOfText(factsOf(text).tag), factsOf(text)]))
  const manifests = [...names].map(([digest, { pushedAt, reliedAt }]) => ({
    key: [asName(repository), digest] as const,
    row: { mediaType: mediaTypes.ociManifest, sizeBytes: 2, pushedAt, reliedAt },
  }))
  const rows: Rows = {
    get: () => undefined,
    below: (database) => (database === 'manifests' ? manifests : []) as never,
    keysBelow: () => [],
  }
  const marked = markRepository(rows, asName(repository), {
    rules: compileRules(configOf({ ...it, repository })),
    now: NOW,
    pinsOf: () => [],
    mayDelete: () => true,
  })
  return marked.items.map(({ digest, rule }) => `${names.get(digest as Digest)!.tag} ${rule}`)
}

describe('retention', () => {
  test('the table is large enough', () => {
    expect(CASES.length).toBeGreaterThanOrEqual(40)
  })

  test.each(CASES.map((it) => [it.name, it] as const))('%s', (_name, it) => {
    const rules = compileRules(configOf(it))
    const verdicts = decideTags(rules, it.repository ?? 'team/app', it.tags.map(factsOf), NOW)
    const goes = verdicts.filter(({ stays }) => !stays).map(({ tag, rule }) => `${tag} ${rule}`)
    expect([...goes, ...goingUntagged(it)].sort(inByteOrder)).toEqual(
      [...it.goes].sort(inByteOrder),
    )
    for (const { reason } of verdicts) expect(reason).not.toBe('')
  })
})

const hours = 3_600_000
const arbitraryTags = fc.uniqueArray(
  fc.record({
    tag: fc.oneof(
      fc.stringMatching(/^[a-z][a-z0-9-]{0,6}$/),
      fc.stringMatching(/^v?[0-3]\.[0-3]\.[0-9](-rc\.[0-9])?$/),
    ),
    digest: fc.constant('sha256:x'),
    pushedAt: fc.integer({ min: NOW - 1_000 * hours, max: NOW }),
    pulledAt: fc.option(fc.integer({ min: NOW - 1_000 * hours, max: NOW }), { nil: undefined }),
    expiresAfterMs: fc.option(fc.integer({ min: 1, max: 1_000 * hours }), { nil: undefined }),
    isPinned: fc.boolean(),
  }),
  { selector: ({ tag }) => tag, maxLength: 40 },
)
const arbitraryKeep: fc.Arbitrary<KeepRule> = fc.record(
  {
    tags: fc.constantFrom(['**'], ['v*'], ['a*', 'b*'], ['/[0-9].*/']),
    newestPushed: fc.integer({ min: 1, max: 5 }),
    newestPulled: fc.integer({ min: 1, max: 5 }),
    pushedWithinMs: fc.integer({ min: 1, max: 500 * hours }),
    pulledWithinMs: fc.integer({ min: 1, max: 500 * hours }),
    newestPerMinor: fc.integer({ min: 1, max: 3 }),
  },
  { requiredKeys: ['tags'] },
)
const arbitraryRules = fc.array(arbitraryKeep, { minLength: 1, maxLength: 4 }).map((keep) => {
  const policy = { name: 'p', repositories: ['**'], keep }
  return {
    keep,
    rules: compileRules(configOf({ name: '', policies: [policy], tags: [], goes: [] })),
  }
})

describe('whatever the tags and rules', () => {
  test('what a keep rule names is never in a plan', () => {
    fc.assert(
      fc.property(arbitraryTags, arbitraryRules, (tags, { keep, rules }) => {
        const going = new Set(
          decideTags(rules, 'a/b', tags, NOW).flatMap(({ tag, stays }) => (stays ? [] : [tag])),
        )
        for (const rule of keep) {
          const fits = anyPattern(rule.tags)
          const fitting = tags.filter(({ tag }) => fits(tag))
          const byPush = [...fitting].sort(
            (a, b) => b.pushedAt - a.pushedAt || (a.tag < b.tag ? -1 : 1),
          )
          const named = [
            ...byPush.slice(0, rule.newestPushed ?? 0),
            ...fitting.filter(({ pushedAt }) => pushedAt > NOW - (rule.pushedWithinMs ?? 0)),
            ...fitting.filter(({ pulledAt }) => (pulledAt ?? 0) > NOW - (rule.pulledWithinMs ?? 0)),
          ]
          for (const { tag } of named) expect(going.has(tag)).toBe(false)
        }
        for (const { tag, isPinned } of tags) if (isPinned) expect(going.has(tag)).toBe(false)
      }),
    )
  })

  test('the order of the rows changes nothing', () => {
    fc.assert(
      fc.property(arbitraryTags, arbitraryRules, (tags, { rules }) => {
        const going = (list: typeof tags) =>
          decideTags(rules, 'a/b', list, NOW)
            .filter(({ stays }) => !stays)
            .map(({ tag, rule, reason }) => `${tag} ${rule} ${reason}`)
            .sort(inByteOrder)
        expect(going([...tags].reverse())).toEqual(going(tags))
      }),
    )
  })

  test('each tag has one verdict', () => {
    fc.assert(
      fc.property(arbitraryTags, arbitraryRules, (tags, { rules }) => {
        const verdicts = decideTags(rules, 'a/b', tags, NOW)
        expect(verdicts.map(({ tag }) => tag)).toEqual(tags.map(({ tag }) => tag))
      }),
    )
  })
})
