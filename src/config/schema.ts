/**
 * @module The schema: one row per setting, the single source for the loader, the suggestions, the
 * tables of docs/configuration.md and the tests. Here stand the settings of what is built; those of features still
 * to come are in `config/sections/later.ts`.
 */
import { ACCESS_SETTINGS } from './sections/access.ts'
import { BROWSER_SETTINGS } from './sections/browsers.ts'
import { CLEANUP_SETTINGS } from './sections/cleanup.ts'
import { LATER_SETTINGS } from './sections/later.ts'
import { MIRROR_SETTINGS } from './sections/mirrors.ts'
import { type Setting, setting } from './setting.ts'
import * as type from './value-type.ts'

const since = '1.0.0'

export const SETTINGS = {
  'server.addr': setting({
    type: type.address(),
    default: ':5000',
    doc: 'Address of the main listener. Without a host: every interface, IPv4 and IPv6; `127.0.0.1` where `server.open` is not set and there is neither `auth` nor `access`.',
    since,
    flag: 'addr',
  }),
  'server.also_listen': setting({
    type: type.optionalAddress(),
    default: '',
    doc: 'Address of a second listener with the same routes; plain HTTP unless `server.also_listen_tls`.',
    since,
  }),
  'server.engine': setting({
    type: type.oneOf('auto', 'uws', 'node'),
    default: 'auto',
    doc: 'HTTP engine: `uws` is the fast native one, `node` runs everywhere, `auto` takes the first that loads.',
    since,
  }),
  'server.tls.cert': setting({
    type: type.text(),
    default: '',
    doc: 'PEM file with the certificate chain of the main listener. Needs `server.tls.key`.',
    since,
  }),
  'server.tls.key': setting({
    type: type.text(),
    default: '',
    doc: 'PEM file with the private key. Needs `server.tls.cert`.',
    since,
  }),
  'server.max_connections': setting({
    type: type.integer(1, 1_000_000),
    default: 20_000,
    unit: 'connections',
    doc: 'Connections open at once; further ones are closed. One client has at most an eighth of them, and at most 1000 (an IPv6 /48 four times as many); the connections of `trusted_proxies` are not counted so.',
    since,
  }),
  'server.max_uploads_per_client': setting({
    type: type.integer(1, 1_000_000),
    default: 1000,
    unit: 'sessions',
    doc: 'Upload sessions that one client (an IPv4 address, or an IPv6 /64) may have open at once; an IPv6 /48 has four times as many.',
    since,
  }),
  'server.idle_timeout': setting({
    type: type.duration('75s', '1h'),
    default: '120s',
    doc: 'How long a connection without a request is kept at least, and half as long again at most. Longer than the load balancer in front keeps its own.',
    since,
  }),
  'server.shutdown_timeout': setting({
    type: type.duration('0s', '1h'),
    default: '30s',
    doc: 'How long a stop waits for running requests before it cuts them.',
    since,
  }),
  'storage.path': setting({
    type: type.text({ lengthMin: 1 }),
    default: '/var/lib/fastregistry',
    doc: 'Folder that holds everything; it is made when it is missing.',
    since,
    flag: 'storage',
  }),
  'storage.cache_size_mb': setting({
    type: type.integer(1, 16_777_216),
    default: 1024,
    unit: 'MiB',
    doc: 'Blob files kept mapped for reading. Their pages belong to the page cache of the system.',
    since,
  }),
  'storage.reserve_mb': setting({
    type: type.integer(0, 16_777_216),
    default: 512,
    unit: 'MiB',
    doc: 'Free disk space below which pushes are refused with 507, while pulls and deletes go on.',
    since,
  }),
  'storage.inline_limit': setting({
    type: type.size('0', '1MiB'),
    default: '64KiB',
    doc: 'Blobs up to this size are kept in the metadata store and need no file.',
    since,
  }),
  'storage.durability': setting({
    type: type.oneOf('full', 'relaxed'),
    default: 'full',
    doc: 'With `full` an acknowledged push survives power loss; `relaxed` may lose the last seconds.',
    since,
  }),
  'storage.upload_ttl': setting({
    type: type.duration('1s', '365d'),
    default: '24h',
    doc: 'Upload sessions that nobody touched for this long are removed.',
    since,
  }),
  'storage.reader': setting({
    type: type.oneOf('auto', 'map', 'file'),
    default: 'auto',
    doc: 'How blob files are read: `map` from memory mappings, `file` by asynchronous reads, `auto` maps where it can.',
    since,
  }),
  'storage.scrub.enabled': setting({
    type: type.boolean(),
    default: false,
    doc: 'Read everything stored on a schedule and take out of service what is not its digest.',
    since,
  }),
  'storage.scrub.schedule': setting({
    type: type.cron(),
    default: '0 3 * * 0',
    doc: 'When the scrub starts (cron, local time). One that is still running is not started again.',
    since,
  }),
  'storage.scrub.bytes_per_second': setting({
    type: type.size('64KiB', '16GiB'),
    default: '64MiB',
    doc: 'How fast the scrub reads at most, per second.',
    since,
  }),
  ...CLEANUP_SETTINGS,
  'policy.allow_sparse_index': setting({
    type: type.boolean(),
    default: true,
    doc: 'Accept an image index although manifests that it lists are missing.',
    since,
  }),
  'policy.allow_missing_blobs': setting({
    type: type.boolean(),
    default: false,
    doc: 'Accept an image manifest although its layers or its image config are missing.',
    since,
  }),
  'policy.check_sizes': setting({
    type: type.boolean(),
    default: true,
    doc: 'Refuse a manifest whose descriptors contradict the size of stored content.',
    since,
  }),
  'policy.delete': setting({
    type: type.boolean(),
    default: true,
    doc: 'Allow clients to delete tags, manifests and blobs.',
    since,
  }),
  'workers.ingest_threads': setting({
    type: type.integer(0, 64),
    default: 0,
    unit: 'threads',
    doc: 'Threads that hash and write uploads; 0 means one per processor core.',
    since,
  }),
  'log.level': setting({
    type: type.oneOf('trace', 'debug', 'info', 'warn', 'error', 'fatal'),
    default: 'info',
    doc: 'Least severe messages that are logged.',
    since,
  }),
  'log.access': setting({
    type: type.boolean(),
    default: true,
    doc: 'Log one line per request.',
    since,
  }),
  'log.access_sample': setting({
    type: type.integer(1, 1_000_000),
    default: 1,
    unit: 'requests',
    doc: 'Log one request in this many; failed ones are always logged.',
    since,
  }),
  'metrics.enabled': setting({
    type: type.boolean(),
    default: true,
    doc: 'Answer `/metrics` in the Prometheus text format.',
    since,
  }),
  ...BROWSER_SETTINGS,
  ...ACCESS_SETTINGS,
  ...MIRROR_SETTINGS,
  ...LATER_SETTINGS,
} as const

export type SettingKey = keyof typeof SETTINGS

/** Value of every setting under its dotted key. */
export type Values = {
  readonly [K in SettingKey]: (typeof SETTINGS)[K] extends Setting<infer T> ? T : never
}

/** The rows without their exact types, for code that walks all of them. */
export const ROWS: Readonly<Record<string, Setting<unknown>>> = SETTINGS

/** Every key, in the order of the documentation. */
export const KEYS = Object.keys(SETTINGS) as readonly SettingKey[]

/** Every proper prefix of a key: `server`, `server.tls`, … */
export const SECTIONS: ReadonlySet<string> = new Set(
  KEYS.flatMap((key) => {
    const words = key.split('.')
    return words.slice(1).map((_, index) => words.slice(0, index + 1).join('.'))
  }),
)

/** Flags of the command line that stand for settings, with the key of each. */
export const FLAG_KEYS: ReadonlyMap<string, SettingKey> = new Map(
  KEYS.flatMap((key) => {
    const flag = ROWS[key]?.flag
    return flag === undefined ? [] : [[flag, key] as const]
  }),
)

/** Those that are on or off: on without a value. */
export const SWITCH_FLAGS: ReadonlySet<string> = new Set(
  [...FLAG_KEYS].flatMap(([flag, key]) => (ROWS[key]?.type.name === 'boolean' ? [flag] : [])),
)

export function isSettingKey(key: string): key is SettingKey {
  return Object.hasOwn(SETTINGS, key)
}
