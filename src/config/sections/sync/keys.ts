/**
 * @module The keys of a source that is copied, each by itself: type, bounds, default.
 */
import { parseRepositoryName } from '../../../registry/name.ts'
import { parseVersionRange } from '../../../registry/version-range.ts'
import { parseTimeWindow } from '../../time-window.ts'
import * as type from '../../values.ts'
import { upstreamUrl } from '../mirrors.ts'

const text = type.optional(type.optionalText())
const file = type.optional(type.orNone(type.path({ lengthMin: 1 })))
const flag = type.optional(type.boolean())
const count = type.withDefault(type.integer(0, 1_000_000), 0)
const patterns = type.withDefault(type.patterns(), [])

const name = type.textThat(
  (value) => /^[A-Za-z0-9_][A-Za-z0-9._-]{0,63}$/.test(value),
  'expected a name such as "upstream-quay", of letters, digits, ".", "_" and "-"',
)

const organization = type.textThat(
  (value) => value === '*' || parseRepositoryName(value).ok,
  'expected an organization such as "myorg", or "*" for all',
)

const destination = type.convert(
  type.refine(type.text(), (value) =>
    value === '' || parseRepositoryName(value.replace(/\/$/, '')).ok
      ? undefined
      : 'expected the beginning of a repository path such as "mirror/quay"',
  ),
  (value) => value.replace(/\/$/, ''),
)

const strip = type.refine(type.text(), (value) =>
  /^[a-z0-9._/-]{0,255}$/.test(value) && !value.startsWith('/')
    ? undefined
    : 'expected the beginning of upstream names such as "myorg/"',
)

const range = type.refine(type.text({ lengthMin: 1 }), (value) => {
  const parsed = parseVersionRange(value)
  return parsed.ok ? undefined : `not a range of versions such as ">=1.2 <2": ${parsed.error}`
})

const platform = type.refine(type.text(), (value) =>
  value === '' || /^[a-z0-9]{1,32}(?:\/[a-z0-9._-]{1,32}){1,2}$/.test(value)
    ? undefined
    : 'expected a platform such as "linux/amd64" or "linux/arm/v7", or "" for content without one',
)

const timezone = type.textThat(
  isTimeZone,
  'expected a time zone of the tz database such as "Europe/Berlin" or "UTC"',
)

function isTimeZone(value: string): boolean {
  try {
    new Intl.DateTimeFormat('en', { timeZone: value })
    return true
  } catch {
    return false
  }
}

const window = type.convert(
  type.refine(type.text(), (value) => {
    const parsed = parseTimeWindow(value)
    return parsed.ok ? undefined : parsed.error
  }),
  (value) => {
    const parsed = parseTimeWindow(value)
    if (!parsed.ok) throw new TypeError(parsed.error)
    return parsed.value
  },
)

const tags = type.item({
  include: type.optional(type.patterns()),
  exclude: type.optional(type.patterns()),
  semver: type.optional(type.orNone(range)),
  newest: count,
  max_age: type.withDefault(type.duration('0s', '36500d'), '0s'),
  min: count,
})

const prune = type.item({
  enabled: type.withDefault(type.boolean(), false),
  max_percent: type.withDefault(type.integer(1, 100), 20),
  unselected: type.withDefault(type.boolean(), false),
})

/** The keys, each by itself. */
export const rawSource = type.item({
  name,
  type: type.withDefault(
    type.oneOf('quay', 'registry', 'fastregistry', 'harbor', 'dockerhub'),
    'registry',
  ),
  url: upstreamUrl,
  api: type.optional(type.orNone(upstreamUrl)),
  token: text,
  token_file: file,
  robot_account: text,
  robot_token: text,
  robot_token_file: file,
  username: text,
  password: text,
  password_file: file,
  organizations: type.withDefault(type.list('list of organizations', organization), []),
  repositories: patterns,
  exclude_repositories: patterns,
  destination: type.withDefault(destination, ''),
  strip: type.withDefault(strip, ''),
  tags: type.withDefault(tags, {}),
  include_tags: type.optional(type.patterns()),
  exclude_tags: type.optional(type.patterns()),
  platforms: type.withDefault(type.list('list of platforms', platform), []),
  referrers: flag,
  sync_signatures: flag,
  sync_sboms: flag,
  referrers_every: type.withDefault(type.duration('1m', '365d'), '6h'),
  mode: type.optional(type.oneOf('once', 'continuous', 'manual')),
  schedule: type.optional(type.orNone(type.cron())),
  timezone: type.optional(type.orNone(timezone)),
  windows: type.withDefault(type.list('list of windows', window), []),
  interval: type.optional(type.duration('10s', '365d')),
  full_every: type.withDefault(type.duration('1m', '365d'), '24h'),
  timeout: type.withDefault(type.duration('0s', '24d'), '0s'),
  concurrency: type.withDefault(type.integer(1, 1000), 5),
  bytes_per_second: type.withDefault(type.size('0', '1TiB'), 0),
  requests_per_second: type.withDefault(type.integer(0, 100_000), 0),
  on_change: type.withDefault(type.oneOf('follow', 'keep', 'fail'), 'follow'),
  overwrite: type.withDefault(type.boolean(), false),
  prune: type.withDefault(prune, {}),
  hook_secret_file: file,
  previously: type.optional(type.orNone(name)),
  ca: file,
  proxy: type.optional(type.orNone(type.url())),
})

export type RawSyncSource = typeof rawSource extends type.ValueType<infer T> ? T : never
