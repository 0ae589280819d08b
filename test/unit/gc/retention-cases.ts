/**
 * @module Retention as data: policies, tags, and which of them go by which rule. Times are in days
 * before now: `v1 pushed:3 pulled:1`.
 */
import type {
  CleanupConfig,
  ExpiryRule,
  KeepRule,
  TagRule,
} from '../../../src/config/config-cleanup.ts'

export interface Case {
  readonly name: string
  readonly repository?: string
  readonly keepRecent?: number
  readonly graceDays?: number
  readonly policies?: readonly {
    readonly name: string
    readonly repositories: readonly string[]
    readonly keep: readonly KeepRule[]
    readonly untaggedKeepMs?: number
  }[]
  readonly expiry?: readonly ExpiryRule[]
  readonly immutableTags?: readonly TagRule[]
  readonly tags: readonly string[]
  /** Manifests that no tag points at, by a name of the case's own. */
  readonly untagged?: readonly string[]
  /** `tag rule` of every tag that goes, `name rule` of every untagged manifest. */
  readonly goes: readonly string[]
}

const day = 86_400_000
const all = ['**']
/** One policy for every repository. */
const keep = (...rules: KeepRule[]) => [{ name: 'p', repositories: all, keep: rules }]

const versions = [
  '1.0.0 pushed:9',
  '1.0.1 pushed:8',
  '1.0.2 pushed:7',
  '1.1.0 pushed:6',
  '1.1.0-rc.1 pushed:5',
  '2.0.0 pushed:4',
  'latest pushed:3',
]

export const CASES: readonly Case[] = [
  { name: 'keep_recent 0 keeps all', keepRecent: 0, tags: ['a pushed:9', 'b pushed:1'], goes: [] },
  {
    name: 'keep_recent keeps the newest',
    keepRecent: 1,
    tags: ['a pushed:9', 'b pushed:1'],
    goes: ['a keep_recent'],
  },
  {
    name: 'keep_recent larger than the list',
    keepRecent: 5,
    tags: ['a pushed:9', 'b pushed:1'],
    goes: [],
  },
  {
    name: 'equal times go by name',
    keepRecent: 1,
    tags: ['b pushed:2', 'a pushed:2'],
    goes: ['b keep_recent'],
  },
  {
    name: 'grace protects what is young',
    keepRecent: 1,
    graceDays: 2,
    tags: ['a pushed:1', 'b pushed:0', 'c pushed:3'],
    goes: ['c keep_recent'],
  },
  { name: 'a pin protects', keepRecent: 1, tags: ['a pushed:9 pin', 'b pushed:1'], goes: [] },
  {
    name: 'a pinned tag counts among the newest',
    keepRecent: 1,
    tags: ['a pushed:9', 'b pushed:1 pin'],
    goes: ['a keep_recent'],
  },
  {
    name: 'an immutable tag stays',
    keepRecent: 1,
    immutableTags: [{ repositories: all, tags: ['v*'] }],
    tags: ['v1 pushed:9', 'x pushed:8', 'y pushed:1'],
    goes: ['x keep_recent'],
  },
  {
    name: 'immutable elsewhere does not help',
    keepRecent: 1,
    immutableTags: [{ repositories: ['prod/*'], tags: ['v*'] }],
    tags: ['v1 pushed:9', 'y pushed:1'],
    goes: ['v1 keep_recent'],
  },
  {
    name: 'an empty policy keeps every tag',
    policies: keep(),
    tags: ['a pushed:99', 'b pushed:1'],
    goes: [],
  },
  {
    name: 'one rule makes everything else go',
    policies: keep({ tags: ['a'] }),
    tags: ['a pushed:99', 'b pushed:1'],
    goes: ['b p'],
  },
  {
    name: 'a rule of a pattern alone keeps what fits',
    policies: keep({ tags: ['v*'] }),
    tags: ['v1 pushed:99', 'w pushed:1'],
    goes: ['w p'],
  },
  {
    name: 'a pattern is the whole tag',
    policies: keep({ tags: ['v1'] }),
    tags: ['v1 pushed:9', 'v10 pushed:9'],
    goes: ['v10 p'],
  },
  {
    name: 'regular expressions',
    policies: keep({ tags: ['/v\\d+/'] }),
    tags: ['v1 pushed:9', 'vx pushed:9'],
    goes: ['vx p'],
  },
  {
    name: 'braces',
    policies: keep({ tags: ['{dev,main}-*'] }),
    tags: ['dev-1 pushed:1', 'main-2 pushed:1', 'x-3 pushed:1'],
    goes: ['x-3 p'],
  },
  {
    name: 'question mark',
    policies: keep({ tags: ['v?'] }),
    tags: ['v1 pushed:1', 'v10 pushed:1'],
    goes: ['v10 p'],
  },
  {
    name: 'a dot is a dot',
    policies: keep({ tags: ['1.0'] }),
    tags: ['1.0 pushed:1', '1x0 pushed:1'],
    goes: ['1x0 p'],
  },
  {
    name: 'newest by push',
    policies: keep({ tags: all, newestPushed: 2 }),
    tags: ['a pushed:3', 'b pushed:2', 'c pushed:1'],
    goes: ['a p'],
  },
  {
    name: 'newest by push among those that fit',
    policies: keep({ tags: ['v*'], newestPushed: 1 }),
    tags: ['v1 pushed:3', 'v2 pushed:2', 'x pushed:1'],
    goes: ['v1 p', 'x p'],
  },
  {
    name: 'newest by pull',
    policies: keep({ tags: all, newestPulled: 1 }),
    tags: ['a pushed:1 pulled:0.5', 'b pushed:9 pulled:0.1', 'c pushed:0.2'],
    goes: ['a p', 'c p'],
  },
  {
    name: 'never pulled is not newest by pull',
    policies: keep({ tags: all, newestPulled: 9 }),
    tags: ['a pushed:1', 'b pushed:1 pulled:1'],
    goes: ['a p'],
  },
  {
    name: 'pushed within',
    policies: keep({ tags: all, pushedWithinMs: 7 * day }),
    tags: ['a pushed:6', 'b pushed:8'],
    goes: ['b p'],
  },
  {
    name: 'pushed within is exclusive at its end',
    policies: keep({ tags: all, pushedWithinMs: 7 * day }),
    tags: ['a pushed:7'],
    goes: ['a p'],
  },
  {
    name: 'pulled within',
    policies: keep({ tags: all, pulledWithinMs: 7 * day }),
    tags: ['a pushed:99 pulled:6', 'b pushed:99 pulled:8', 'c pushed:1'],
    goes: ['b p', 'c p'],
  },
  {
    name: 'rules of one entry are alternatives',
    policies: keep({ tags: all, newestPushed: 1, pulledWithinMs: day }),
    tags: ['a pushed:9 pulled:0.5', 'b pushed:8', 'c pushed:1'],
    goes: ['b p'],
  },
  {
    name: 'entries are alternatives',
    policies: keep({ tags: ['a*'] }, { tags: ['b*'], newestPushed: 1 }),
    tags: ['a1 pushed:9', 'b1 pushed:8', 'b2 pushed:7', 'c pushed:1'],
    goes: ['b1 p', 'c p'],
  },
  {
    name: 'newest of each minor',
    policies: keep({ tags: all, newestPerMinor: 1 }),
    tags: versions,
    goes: ['1.0.0 p', '1.0.1 p', '1.1.0-rc.1 p', 'latest p'],
  },
  {
    name: 'two of each minor',
    policies: keep({ tags: all, newestPerMinor: 2 }),
    tags: versions,
    goes: ['1.0.0 p', 'latest p'],
  },
  {
    name: 'by precedence, not by push',
    policies: keep({ tags: all, newestPerMinor: 1 }),
    tags: ['v1.0.10 pushed:9', 'v1.0.9 pushed:1'],
    goes: ['v1.0.9 p'],
  },
  {
    name: 'a release comes after its candidates',
    policies: keep({ tags: all, newestPerMinor: 1 }),
    tags: ['1.0.0-rc.2 pushed:1', '1.0.0 pushed:9'],
    goes: ['1.0.0-rc.2 p'],
  },
  {
    name: 'numbers of candidates are numbers',
    policies: keep({ tags: all, newestPerMinor: 1 }),
    tags: ['1.0.0-rc.10 pushed:9', '1.0.0-rc.9 pushed:1'],
    goes: ['1.0.0-rc.9 p'],
  },
  {
    name: 'the first policy that fits decides',
    repository: 'ci/app',
    policies: [{ name: 'ci', repositories: ['ci/*'], keep: [{ tags: ['a'] }] }, ...keep()],
    tags: ['a pushed:1', 'b pushed:1'],
    goes: ['b ci'],
  },
  {
    name: 'a later policy takes what the first does not',
    repository: 'prod/app',
    policies: [
      { name: 'ci', repositories: ['ci/*'], keep: [{ tags: ['a'] }] },
      ...keep({ tags: ['b'] }),
    ],
    tags: ['a pushed:1', 'b pushed:1'],
    goes: ['a p'],
  },
  {
    name: 'no policy fits: the newest N',
    repository: 'prod/app',
    keepRecent: 1,
    policies: [{ name: 'ci', repositories: ['ci/*'], keep: [{ tags: ['a'] }] }],
    tags: ['a pushed:2', 'b pushed:1'],
    goes: ['a keep_recent'],
  },
  {
    name: 'a policy replaces the newest N',
    keepRecent: 1,
    policies: keep(),
    tags: ['a pushed:2', 'b pushed:1'],
    goes: [],
  },
  {
    name: 'one star is one component',
    repository: 'ci/team/app',
    keepRecent: 0,
    policies: [{ name: 'ci', repositories: ['ci/*'], keep: [{ tags: ['a'] }] }],
    tags: ['b pushed:1'],
    goes: [],
  },
  {
    name: 'two stars are any',
    repository: 'ci/team/app',
    policies: [{ name: 'ci', repositories: ['ci/**'], keep: [{ tags: ['a'] }] }],
    tags: ['b pushed:1'],
    goes: ['b ci'],
  },
  {
    name: 'a label ends a tag',
    keepRecent: 0,
    tags: ['a pushed:2 lives:1', 'b pushed:0.5 lives:1'],
    goes: ['a label'],
  },
  {
    name: 'a label ends even the newest',
    keepRecent: 10,
    tags: ['a pushed:2 lives:1'],
    goes: ['a label'],
  },
  {
    name: 'a label ends before the grace time',
    keepRecent: 10,
    graceDays: 5,
    tags: ['a pushed:2 lives:1'],
    goes: ['a label'],
  },
  {
    name: 'a rule that keeps wins over a label',
    policies: keep({ tags: ['a'] }),
    tags: ['a pushed:2 lives:1'],
    goes: [],
  },
  { name: 'a pin wins over a label', tags: ['a pushed:2 lives:1 pin'], goes: [] },
  {
    name: 'expiry by pattern',
    keepRecent: 0,
    expiry: [{ repositories: all, tags: ['pr-*'], afterMs: day, isSliding: false }],
    tags: ['pr-1 pushed:2', 'pr-2 pushed:0.5', 'main pushed:9'],
    goes: ['pr-1 expiry'],
  },
  {
    name: 'expiry does not slide by itself',
    keepRecent: 0,
    expiry: [{ repositories: all, tags: all, afterMs: day, isSliding: false }],
    tags: ['a pushed:2 pulled:0.1'],
    goes: ['a expiry'],
  },
  {
    name: 'sliding expiry counts from the last pull',
    keepRecent: 0,
    expiry: [{ repositories: all, tags: all, afterMs: day, isSliding: true }],
    tags: ['a pushed:2 pulled:0.1', 'b pushed:9 pulled:2'],
    goes: ['b expiry'],
  },
  {
    name: 'the earliest end counts',
    keepRecent: 0,
    expiry: [{ repositories: all, tags: all, afterMs: 5 * day, isSliding: false }],
    tags: ['a pushed:2 lives:1'],
    goes: ['a label'],
  },
  {
    name: 'without a policy an untagged manifest stays for the grace time',
    graceDays: 2,
    tags: ['a pushed:9'],
    untagged: ['old pushed:3', 'young pushed:1', 'asked-for pushed:9 relied:1'],
    goes: ['old untagged'],
  },
  {
    name: 'a policy keeps untagged manifests for longer',
    policies: [{ ...keep()[0]!, untaggedKeepMs: 7 * day }],
    tags: ['a pushed:99'],
    untagged: ['old pushed:8', 'young pushed:6', 'asked-for pushed:9 relied:6'],
    goes: ['old untagged'],
  },
  {
    name: 'its time is over at its end',
    policies: [{ ...keep()[0]!, untaggedKeepMs: 7 * day }],
    tags: [],
    untagged: ['old pushed:7'],
    goes: ['old untagged'],
  },
  {
    name: 'a policy cannot keep them for less than the grace time',
    graceDays: 5,
    policies: [{ ...keep()[0]!, untaggedKeepMs: day }],
    tags: [],
    untagged: ['old pushed:6', 'young pushed:4'],
    goes: ['old untagged'],
  },
  {
    name: 'only the first policy that fits keeps untagged manifests',
    repository: 'prod/app',
    policies: [
      { name: 'ci', repositories: ['ci/*'], keep: [], untaggedKeepMs: 99 * day },
      { name: 'prod', repositories: ['prod/*'], keep: [], untaggedKeepMs: 2 * day },
      { ...keep()[0]!, untaggedKeepMs: 99 * day },
    ],
    tags: [],
    untagged: ['old pushed:3', 'young pushed:1'],
    goes: ['old untagged'],
  },
  {
    name: 'a manifest that lost its tag to a rule is untagged from then on',
    policies: [{ ...keep({ tags: ['v*'] })[0]!, untaggedKeepMs: 7 * day }],
    tags: ['x pushed:9'],
    untagged: ['young pushed:6'],
    goes: ['x p'],
  },
  // How others say it, and the same here: see Clean-up in README.md.
  {
    name: 'zot: keepUntagged with pushedWithin',
    policies: [{ ...keep()[0]!, untaggedKeepMs: 168 * 3_600_000 }],
    tags: [],
    untagged: ['old pushed:7.1', 'young pushed:6.9'],
    goes: ['old untagged'],
  },
  {
    name: 'zot: keepTags with patterns, mostRecentlyPushedCount and pulledWithin',
    policies: keep({ tags: ['/v.*/'], newestPushed: 1, pulledWithinMs: day }, { tags: ['/main/'] }),
    tags: ['v1 pushed:9', 'v2 pushed:8 pulled:0.5', 'v3 pushed:7', 'main pushed:99', 'x pushed:1'],
    goes: ['v1 p', 'x p'],
  },
  {
    name: 'Harbor: latestPushedK 2 or nDaysSinceLastPull 3, tags matching **',
    policies: keep({ tags: all, newestPushed: 2, pulledWithinMs: 3 * day }),
    tags: ['a pushed:9 pulled:2', 'b pushed:8', 'c pushed:7', 'd pushed:6'],
    goes: ['b p'],
  },
  {
    name: 'Quay: number_of_tags 2',
    policies: keep({ tags: all, newestPushed: 2 }),
    tags: ['a pushed:3', 'b pushed:2', 'c pushed:1'],
    goes: ['a p'],
  },
  {
    name: 'Quay: creation_date 7d with a tag pattern',
    keepRecent: 0,
    expiry: [{ repositories: all, tags: ['/pr-.*/'], afterMs: 7 * day, isSliding: false }],
    tags: ['pr-1 pushed:8', 'pr-2 pushed:6', 'x pushed:8'],
    goes: ['pr-1 expiry'],
  },
]

export const NOW = 1_800_000_000_000

export function configOf(it: Case): CleanupConfig {
  return {
    gc: {
      enabled: true,
      schedule: '0 2 * * *',
      keepRecent: it.keepRecent ?? 10,
      graceMs: (it.graceDays ?? 0) * day,
      undeleteWindowMs: 0,
      maxDeletePercent: 50,
      bytesPerSecond: 0,
      maxPauseMs: 4,
    },
    retention: (it.policies ?? []).map((policy) => ({ ...policy, isDryRun: false })),
    expiry: it.expiry ?? [],
    immutableTags: it.immutableTags ?? [],
  }
}

/** `v1 pushed:3 pulled:1 lives:2 pin`; of a manifest also `relied:1`. */
export function factsOf(text: string) {
  const [tag = '', ...words] = text.split(' ')
  const days = (word: string) => {
    const found = words.find((it) => it.startsWith(`${word}:`))
    return found === undefined ? undefined : Number(found.slice(word.length + 1)) * day
  }
  const pulled = days('pulled')
  return {
    tag,
    digest: `sha256:${tag}`,
    pushedAt: NOW - (days('pushed') ?? 0),
    pulledAt: pulled === undefined ? undefined : NOW - pulled,
    reliedAt: NOW - (days('relied') ?? days('pushed') ?? 0),
    expiresAfterMs: days('lives'),
    isPinned: words.includes('pin'),
  }
}
