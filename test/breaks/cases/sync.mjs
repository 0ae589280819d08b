/**
 * @module The breaks of what a synchronisation promises: what is selected, where it lies, when it runs.
 */
import { vitest } from '../breaks.mjs'

const unit = (file) => vitest('unit', `test/unit/${file}.test.ts`)
const property = (file) => vitest('unit', `test/property/${file}.test.ts`)

export const BREAKS = [
  {
    what: 'sync: signatures take part in the filters',
    file: 'src/sync/selection/tags.ts',
    find: "if (followedDigest(tag) !== undefined) return { listed, rule: 'attached' }",
    replace: '',
    guard: unit('sync/selection/tags'),
  },
  {
    what: 'sync: an exclusion does not win',
    file: 'src/sync/selection/tags.ts',
    find: 'if (excluded !== undefined) return',
    replace: 'if (excluded !== undefined && included === undefined) return',
    guard: unit('sync/selection/tags'),
  },
  {
    what: 'sync: a name that is no tag is selected',
    file: 'src/sync/selection/tags.ts',
    find: "if (!parseTag(tag).ok) return { listed, rule: 'bad-name' }",
    replace: '',
    guard: property('sync-tags'),
  },
  {
    what: 'sync: the newest are counted before the exclusion',
    file: 'src/sync/selection/tags.ts',
    find: "if (verdict.rule !== 'selected') return\n",
    replace: "if (verdict.rule !== 'selected' && verdict.rule !== 'exclude') return\n",
    guard: property('sync-tags'),
  },
  {
    what: 'sync: tags without a time are taken for the oldest',
    file: 'src/sync/selection/newest.ts',
    find: 'isTimed &&= listed.pushedAt !== undefined',
    replace: 'isTimed ||= listed.pushedAt !== undefined',
    guard: unit('sync/selection/tags'),
  },
  {
    what: 'sync: a part of the tags decides whether there are enough',
    file: 'src/sync/selection/tags.ts',
    find: 'return this.#config.min > 0 || (',
    replace: 'return (',
    guard: unit('sync/selection/tags'),
  },
  {
    what: 'sync: too few tags are copied all the same',
    file: 'src/sync/selection/tags.ts',
    find: 'if (!isShort) {',
    replace: 'if (kept.length > 0) {',
    guard: unit('sync/selection/tags'),
  },
  {
    what: 'sync: a listing of tags has no end',
    file: 'src/sync/selection/tags.ts',
    find: 'if (verdicts.length + page.length > repositoryTagsMax) {',
    replace: 'if (verdicts.length + page.length > 2 * repositoryTagsMax) {',
    guard: unit('sync/selection/tags'),
  },
  {
    what: 'sync: an organization is a repository of its own',
    file: 'src/sync/selection/repositories.ts',
    find: 'return name.startsWith(',
    replace: "return name.concat('/').startsWith(",
    guard: unit('sync/selection/repositories'),
  },
  {
    what: 'sync: an excluded repository is asked for',
    file: 'src/sync/selection/repositories.ts',
    find: ' && this.isSelected(name),',
    replace: ',',
    guard: unit('sync/selection/repositories'),
  },
  {
    what: 'sync: upstream’s name goes unchecked into a path',
    file: 'src/sync/selection/names.ts',
    find: "if (!parseRepositoryName(upstream).ok) return badName(upstream, 'is no repository name')",
    replace: '',
    guard: unit('sync/selection/names'),
  },
  {
    what: 'sync: a later source takes a name',
    file: 'src/sync/selection/names.ts',
    find: 'return this.#rankOf(one.source) < this.#rankOf(other.source)',
    replace: 'return this.#rankOf(one.source) !== this.#rankOf(other.source)',
    guard: unit('sync/selection/names'),
  },
  {
    what: 'sync: another filter has the same fingerprint',
    file: 'src/sync/selection/fingerprint.ts',
    find: '    tags.maxAgeMs,\n',
    replace: '',
    guard: unit('sync/selection/fingerprint'),
  },
  {
    what: 'sync: a start that lies ahead stops all ticks until then',
    file: 'src/sync/schedule.ts',
    find: 'return times.startedAt <= now.wall ? times',
    replace: 'return times.startedAt !== now.wall ? times',
    guard: unit('sync/schedule'),
  },
  {
    what: 'sync: an interval is measured on the wall clock',
    file: 'src/sync/schedule.ts',
    find: 'const leftMs = times.endedAt + intervalMs - now.monotonic',
    replace: 'const leftMs = times.endedAt + intervalMs - (now.wall % 86_400_000)',
    guard: unit('sync/schedule'),
  },
  {
    what: 'sync: ticks that fell into a run are forgotten',
    file: 'src/sync/schedule.ts',
    find: 'nextTime(schedule, times.startedAt, timezone)',
    replace: 'nextTime(schedule, now.wall, timezone)',
    guard: unit('sync/schedule'),
  },
  {
    what: 'sync: a window does not hold for the start',
    file: 'src/sync/schedule.ts',
    find: 'return opensAt(timing, Math.max(at, now.wall))',
    replace: 'return Math.max(at, opensAt(timing, now.wall))',
    guard: unit('sync/schedule'),
  },
  {
    what: 'sync: clocks are never set inside a window',
    file: 'src/sync/windows.ts',
    find: 'Math.min(...next, setMinutes - (whole % setMinutes))',
    replace: 'Math.min(...next)',
    guard: property('windows'),
  },
  {
    what: 'sync: suffixes are versions of every range',
    file: 'src/registry/version-range.ts',
    find: 'if (version.pre.length === 0) return true',
    replace: 'if (version.pre.length >= 0) return true',
    guard: unit('registry/version-range'),
  },
  {
    what: 'sync: two sources are copied onto one repository',
    file: 'src/server/judge/sync.ts',
    find: "if (claim.kind === 'owned') continue",
    replace: "if (claim.kind === 'owned' || claim.owner.source !== source.name) continue",
    guard: unit('server/judge-sync'),
  },
  {
    what: 'sync: a source writes into a mirror',
    file: 'src/server/judge/sync.ts',
    find: 'if (mirrors.has(first)) {',
    replace: 'if (mirrors.has(name)) {',
    guard: unit('server/judge-sync'),
  },
  {
    what: 'sync: a source takes two credentials',
    file: 'src/config/sections/sync/checks.ts',
    find: "if (token !== undefined && other !== undefined && it.type !== 'quay') {",
    replace: "if (token !== undefined && other !== undefined && it.type === 'quay') {",
    guard: unit('config/sync'),
  },
]
