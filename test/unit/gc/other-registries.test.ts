/**
 * @module The rules of zot, Harbor and Quay, and ours that do the same: docs/clean-up.md shows each pair side
 * by side (its rows are checked here), and for any tags the same ones stay. What theirs mean is written
 * out below from their documentation, a function each.
 */
import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { loadConfigText } from '../../../src/config/load.ts'
import { compileRules, decideTags } from '../../../src/gc/mark/rules.ts'
import { NOW } from './retention-case.ts'

const page = readFileSync(new URL('../../../docs/clean-up.md', import.meta.url), 'utf8')
const day = 86_400_000

interface Tag {
  readonly tag: string
  readonly pushedAt: number
  readonly pulledAt: number | undefined
}

/** Whether a tag stays, given all tags of its repository. */
type Keeps = (tag: Tag, all: readonly Tag[]) => boolean

const isOneOfNewest = (
  tag: Tag,
  all: readonly Tag[],
  count: number,
  at: (tag: Tag) => number | undefined,
) => {
  const before = all.filter((other) => (at(other) ?? 0) > (at(tag) ?? 0)).length
  return at(tag) !== undefined && before < count
}
const pushed = ({ pushedAt }: Tag) => pushedAt
const pulled = ({ pulledAt }: Tag) => pulledAt
const within = (at: number | undefined, days: number) => at !== undefined && at > NOW - days * day

/** zot: a tag stays that fits an entry's patterns, and for which any of its rules holds. */
const zot =
  (
    pattern: RegExp,
    rules: { pushedCount?: number; pulledCount?: number; pushedDays?: number; pulledDays?: number },
  ): Keeps =>
  (tag, all) => {
    if (!pattern.test(tag.tag)) return false
    if (Object.keys(rules).length === 0) return true
    const fitting = all.filter((other) => pattern.test(other.tag))
    return (
      isOneOfNewest(tag, fitting, rules.pushedCount ?? 0, pushed) ||
      isOneOfNewest(tag, fitting, rules.pulledCount ?? 0, pulled) ||
      within(tag.pushedAt, rules.pushedDays ?? 0) ||
      within(tag.pulledAt, rules.pulledDays ?? 0)
    )
  }

/** Harbor: an artifact stays that any rule retains; each looks at artifacts with matching tags. */
const harbor =
  (matches: (tag: string) => boolean, retains: Keeps): Keeps =>
  (tag, all) =>
    matches(tag.tag) &&
    retains(
      tag,
      all.filter((other) => matches(other.tag)),
    )

const anyOf =
  (...rules: readonly Keeps[]): Keeps =>
  (tag, all) =>
    rules.some((keeps) => keeps(tag, all))

/** Quay: a policy prunes among the tags that its pattern takes, and leaves the others alone. */
const quay =
  (takes: (tag: string) => boolean, keeps: Keeps): Keeps =>
  (tag, all) =>
    !takes(tag.tag) ||
    keeps(
      tag,
      all.filter((other) => takes(other.tag)),
    )

const everything = () => true

/** Theirs as the page has it, ours as the page has it, and what theirs means. */
const PAIRS: readonly { theirs: string; ours: string; keeps: Keeps }[] = [
  {
    theirs:
      'zot `keepTags: [{patterns: ["^v.*"], mostRecentlyPushedCount: 3, pulledWithin: 720h}]`',
    ours: 'keep: [{tags: ["/v.*/"], newest_pushed: 3, pulled_within: 30d}]',
    keeps: zot(/^v.*/, { pushedCount: 3, pulledDays: 30 }),
  },
  {
    theirs:
      'zot `keepTags: [{patterns: ["^v2", "^main$"]}, {patterns: [".*"], mostRecentlyPulledCount: 2}]`',
    ours: 'keep: [{tags: ["/v2.*/", "main"]}, {newest_pulled: 2}]',
    keeps: anyOf(zot(/^v2|^main$/, {}), zot(/.*/, { pulledCount: 2 })),
  },
  {
    theirs: 'zot `keepTags: [{pushedWithin: 168h}]`',
    ours: 'keep: [{pushed_within: 7d}]',
    keeps: zot(/.*/, { pushedDays: 7 }),
  },
  {
    theirs: 'Harbor "the most recently pushed 3 artifacts", tags matching `**`',
    ours: 'keep: [{newest_pushed: 3}]',
    keeps: harbor(everything, (tag, all) => isOneOfNewest(tag, all, 3, pushed)),
  },
  {
    theirs:
      'Harbor "the most recently pulled 2 artifacts", tags matching `v*`, or "pushed within the last 5 days"',
    ours: 'keep: [{tags: ["v*"], newest_pulled: 2}, {pushed_within: 5d}]',
    keeps: anyOf(
      harbor(
        (tag) => tag.startsWith('v'),
        (tag, all) => isOneOfNewest(tag, all, 2, pulled),
      ),
      harbor(everything, (tag) => within(tag.pushedAt, 5)),
    ),
  },
  {
    theirs: 'Harbor "pulled within the last 30 days", tags excluding `pr-*`',
    ours: 'keep: [{tags: ["/(?!pr-).*/"], pulled_within: 30d}]',
    keeps: harbor(
      (tag) => !tag.startsWith('pr-'),
      (tag) => within(tag.pulledAt, 30),
    ),
  },
  {
    theirs: 'Harbor "always", tags matching `{main,v*}`',
    ours: 'keep: [{tags: ["{main,v*}"]}]',
    keeps: harbor((tag) => tag === 'main' || tag.startsWith('v'), everything),
  },
  {
    theirs: 'Quay auto-prune `number_of_tags: 4`',
    ours: 'keep: [{newest_pushed: 4}]',
    keeps: quay(everything, (tag, all) => isOneOfNewest(tag, all, 4, pushed)),
  },
  {
    theirs: 'Quay auto-prune `number_of_tags: 2`, tag pattern `pr-.*`',
    ours: 'keep: [{tags: ["/pr-.*/"], newest_pushed: 2}, {tags: ["/(?!pr-).*/"]}]',
    keeps: quay(
      (tag) => /^pr-.*/.test(tag),
      (tag, all) => isOneOfNewest(tag, all, 2, pushed),
    ),
  },
  {
    theirs: 'Quay auto-prune `creation_date: 7d`, tag pattern `pr-.*`',
    ours: 'storage.expiry: [{repositories: ["**"], tags: ["/pr-.*/"], after: 7d}]',
    keeps: quay(
      (tag) => /^pr-.*/.test(tag),
      (tag) => within(tag.pushedAt, 7),
    ),
  },
  {
    theirs: 'Quay auto-prune `creation_date: 7d`, tags that do not match `v.*`',
    ours: 'storage.expiry: [{repositories: ["**"], tags: ["/(?!v).*/"], after: 7d}]',
    keeps: quay(
      (tag) => !tag.startsWith('v'),
      (tag) => within(tag.pushedAt, 7),
    ),
  },
]

const yamlOf = (ours: string) =>
  ours.startsWith('storage.expiry: ')
    ? `storage: { gc: { keep_recent: 0, grace: 0s }, expiry: ${ours.slice(16)} }`
    : `storage: { gc: { grace: 0s }, retention: [{ name: p, repositories: ["**"], ${ours} }] }`

/** Times are all different, as they are to the nanosecond elsewhere: nobody defines who wins a tie. */
const arbitraryTags: fc.Arbitrary<Tag[]> = fc
  .uniqueArray(
    fc.record({
      tag: fc.oneof(
        fc.constantFrom('main', 'latest', 'v1', 'v2', 'v2.1', 'v3', 'rev1'),
        fc.stringMatching(/^pr-[0-9]{1,3}$/),
        fc.stringMatching(/^v[0-9]\.[0-9]$/),
      ),
      pushedDays: fc.double({ min: 0.1, max: 60, noNaN: true }),
      pulledDays: fc.option(fc.double({ min: 0.1, max: 60, noNaN: true }), { nil: undefined }),
    }),
    { selector: ({ tag }) => tag, maxLength: 25 },
  )
  .map((list) =>
    list.map(({ tag, pushedDays, pulledDays }, index) => ({
      tag,
      pushedAt: Math.floor(NOW - pushedDays * day) * 32 + index,
      pulledAt:
        pulledDays === undefined ? undefined : Math.floor(NOW - pulledDays * day) * 32 + index,
    })),
  )
  .map((list) =>
    // Back to the scale of time, with the index below the millisecond.
    list.map((it) => ({
      ...it,
      pushedAt: it.pushedAt / 32,
      pulledAt: it.pulledAt === undefined ? undefined : it.pulledAt / 32,
    })),
  )

describe.each(PAIRS)('$theirs', ({ theirs, ours, keeps }) => {
  test('stands in docs/clean-up.md beside ours', () => {
    expect(page).toContain(`| ${theirs} | \`${ours}\` |`)
  })

  test('keeps the same tags, whatever they are', async () => {
    const { cleanup } = await loadConfigText(yamlOf(ours), 'pair.yaml')
    const rules = compileRules(cleanup)
    fc.assert(
      fc.property(arbitraryTags, (tags) => {
        const facts = tags.map((it) => ({
          ...it,
          digest: `sha256:${it.tag}`,
          expiresAfterMs: undefined,
          isPinned: false,
        }))
        const stays = decideTags(rules, 'team/app', facts, NOW)
          .filter((it) => it.stays)
          .map(({ tag }) => tag)
        expect(stays).toEqual(tags.filter((it) => keeps(it, tags)).map(({ tag }) => tag))
      }),
    )
  })
})
