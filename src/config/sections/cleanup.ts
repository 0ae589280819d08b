/**
 * @module Settings of clean-up: collection, retention, expiry, tags that may not move.
 */
import * as v from 'valibot'
import { parsePattern } from '../../registry/pattern.ts'
import { parseDuration } from '../quantities.ts'
import { setting } from '../setting.ts'
import * as type from '../value-type.ts'

const since = '1.0.0'

const pattern = v.pipe(
  v.string('expected a pattern such as "team/**" or "/^v[0-9]+$/"'),
  v.rawCheck(({ dataset, addIssue }) => {
    if (!dataset.typed) return
    const parsed = parsePattern(dataset.value)
    if (!parsed.ok) addIssue({ message: `pattern ${dataset.value}: ${parsed.error}` })
  }),
)
const patterns = v.pipe(
  v.array(pattern, 'expected a list of patterns'),
  v.minLength(1, 'expected at least one pattern'),
)
const count = v.pipe(
  v.number('expected a whole number from 1 to 1000000'),
  v.integer('expected a whole number from 1 to 1000000'),
  v.minValue(1, 'expected a whole number from 1 to 1000000'),
  v.maxValue(1_000_000, 'expected a whole number from 1 to 1000000'),
)
const flag = v.boolean('expected true or false')

/** In milliseconds. */
const duration = v.pipe(
  v.string('expected a duration such as "30d"'),
  v.rawTransform(({ dataset, addIssue, NEVER }) => {
    const parsed = parseDuration(dataset.value)
    if (parsed.ok && parsed.value > 0) return parsed.value
    addIssue({ message: 'expected a duration such as "30d"' })
    return NEVER
  }),
)

const keepRule = type.item({
  tags: v.optional(patterns),
  newest_pushed: v.optional(count),
  newest_pulled: v.optional(count),
  pushed_within: v.optional(duration),
  pulled_within: v.optional(duration),
  newest_per_minor: v.optional(count),
})

const retentionPolicy = type.item({
  name: v.optional(v.pipe(v.string('expected text'), v.nonEmpty('expected text'))),
  repositories: patterns,
  dry_run: v.optional(flag),
  keep: v.optional(v.array(keepRule, 'expected a list of rules')),
  untagged: v.optional(type.item({ keep_for: duration })),
})

const expiryRule = type.item({
  repositories: patterns,
  tags: v.optional(patterns),
  after: duration,
  sliding: v.optional(flag),
})

const tagRule = type.item({ repositories: v.optional(patterns), tags: patterns })

export const CLEANUP_SETTINGS = {
  'storage.gc.enabled': setting({
    type: type.boolean(),
    default: true,
    doc: 'Collect what nothing refers to on a schedule. `POST /admin/gc` works either way.',
    since,
  }),
  'storage.gc.schedule': setting({
    type: type.cron(),
    default: '0 2 * * *',
    doc: 'When the collection runs (cron, local time).',
    since,
  }),
  'storage.gc.keep_recent': setting({
    type: type.integer(0, 1_000_000),
    default: 10,
    unit: 'tags',
    doc: 'Newest tags of a repository that stay, where no retention policy fits; 0 keeps all. Removes nothing before a plan was applied once.',
    since,
  }),
  'storage.gc.grace': setting({
    type: type.duration('0s', '365d'),
    default: '24h',
    doc: 'What was pushed, mounted or told to be there within this time is never collected.',
    since,
  }),
  'storage.gc.undelete_window': setting({
    type: type.duration('0s', '365d'),
    default: '24h',
    doc: 'How long deleted tags, manifests and blobs can be restored; their bytes are freed after it.',
    since,
  }),
  'storage.gc.max_delete_percent': setting({
    type: type.integer(1, 100),
    default: 50,
    unit: 'percent',
    doc: 'A scheduled run that would remove more of the stored bytes than this stops and leaves its plan.',
    since,
  }),
  'storage.gc.bytes_per_second': setting({
    type: type.size('0', '1TiB'),
    default: '0',
    doc: 'How many bytes a collection frees per second at most; 0 is no limit.',
    since,
  }),
  'storage.gc.max_pause_ms': setting({
    type: type.integer(1, 1_000),
    default: 4,
    unit: 'ms',
    doc: 'Longest stretch of work of a collection between two visits of the event loop.',
    since,
  }),
  'storage.retention': setting({
    type: type.list('list of policies', retentionPolicy),
    default: [],
    doc: 'Which tags stay, by repository; the first policy that fits decides. See Clean-up.',
    since,
    expandsEnvironment: false,
  }),
  'storage.expiry': setting({
    type: type.list('list of rules', expiryRule),
    default: [],
    doc: 'Tags that go some time after their push, or after their last pull. See Clean-up.',
    since,
    expandsEnvironment: false,
  }),
  'storage.immutable_tags': setting({
    type: type.list('list of rules', tagRule),
    default: [],
    doc: 'Tags that cannot be moved or deleted once they are pushed. See Clean-up.',
    since,
    expandsEnvironment: false,
  }),
} as const
