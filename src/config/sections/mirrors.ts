/**
 * @module Settings of mirrors: the schema of `mirrors[]`, one item a mirror, read into `MirrorConfig`.
 * Names, globs and URLs are checked here, so that the mirror itself has nothing to refuse.
 */
import { normalHost } from '../../registry/host.ts'
import { parseRepositoryName } from '../../registry/name.ts'
import { type Contradiction, type Fields, fieldsOf, setting, type ValuesOf } from '../setting.ts'
import * as type from '../values.ts'

const since = '1.0.0'

const text = type.text({ lengthMin: 1 })
const file = type.path({ lengthMin: 1 })
const globs = type.list(
  'list of globs',
  type.glob('expected a glob such as "team/*" or "{team,ci}/**"'),
)

const name = type.textThat(
  (value) => parseRepositoryName(value).ok && !value.includes('/'),
  'expected a name that a repository path can start with, such as "docker.io"; a host with a port goes into hosts',
)

const host = type.convert(
  type.textThat(
    (value) => normalHost(value) !== undefined,
    'expected a host such as "my-registry:2524", without a scheme',
  ),
  (value) => normalHost(value)!,
)

/** Of a registry: a host, and the path before every repository's name. */
export const upstreamUrl = type.textThat(
  isUpstreamUrl,
  'expected an http or https URL without a query',
)

function isUpstreamUrl(value: string): boolean {
  if (!type.url().parse(value).ok) return false
  const { username, password, search, hash, pathname } = new URL(value)
  const path = pathname.replace(/^\/|\/$/g, '')
  return (
    `${username}${password}${search}${hash}` === '' && (path === '' || parseRepositoryName(path).ok)
  )
}

const rawCredential = type.item({
  prefix: type.withDefault(type.text(), ''),
  username: type.optional(text),
  password: type.optional(text),
  password_file: type.optional(file),
  token: type.optional(text),
  token_file: type.optional(file),
  token_server: type.optional(type.url()),
})

const credential = type.convert(
  type.refine(rawCredential, (it) => {
    const given = [it.password, it.password_file, it.token, it.token_file]
    if (given.filter((one) => one !== undefined).length !== 1) {
      return 'expected exactly one of password, password_file, token, token_file'
    }
    const isToken = (it.token ?? it.token_file) !== undefined
    return isToken || it.username !== undefined ? undefined : 'a password needs a username'
  }),
  (it): MirrorCredential => {
    const path = it.password_file ?? it.token_file
    return {
      prefix: it.prefix,
      username: it.username,
      secret:
        path === undefined
          ? { kind: 'text', value: (it.password ?? it.token)! }
          : { kind: 'file', value: path },
      isToken: (it.token ?? it.token_file) !== undefined,
      tokenServer: it.token_server,
    }
  },
)

const tagRule = type.item({
  pattern: type.glob('expected a tag glob such as "v*"'),
  freshness: type.oneOf('immutable', 'ttl', 'always'),
})

const timeouts = type.item({
  connect: type.withDefault(type.duration('100ms', '10s'), '3s'),
  first_byte: type.withDefault(type.duration('100ms', '30s'), '15s'),
  stall: type.withDefault(type.duration('100ms', '30s'), '15s'),
})

const limits = type.item({
  connections: type.withDefault(type.integer(1, 1024), 32),
  bytes_per_second: type.withDefault(type.size('0', '1TiB'), 0),
  requests_per_second: type.withDefault(type.integer(0, 100_000), 0),
})

const warm = type.item({
  schedule: type.cron(),
  references: type.list('list of references', text),
})

const mirror = type.convert(
  type.item({
    name,
    upstream: type.oneOrMore('list of URLs', upstreamUrl),
    cache_ttl: type.withDefault(type.duration('0s', '365d'), '24h'),
    root: type.withDefault(type.boolean(), false),
    root_allow: type.withDefault(globs, ['library/*']),
    hosts: type.withDefault(type.list('list of hosts', host), []),
    credentials: type.withDefault(type.list('list of credentials', credential), []),
    ca: type.optional(file),
    proxy: type.optional(type.url()),
    tags: type.withDefault(type.list('list of rules', tagRule), []),
    stale_for: type.withDefault(type.duration('0s', '3650d'), '720h'),
    on_upstream_delete: type.withDefault(type.oneOf('serve', 'hide'), 'serve'),
    timeouts: type.withDefault(timeouts, {}),
    push: type.withDefault(type.oneOf('deny', 'allow'), 'deny'),
    allow: type.withDefault(globs, []),
    deny: type.withDefault(globs, []),
    pins: type.withDefault(globs, []),
    max_bytes: type.optional(type.size('1MiB', '1024TiB')),
    limits: type.withDefault(limits, {}),
    cooldown: type.withDefault(type.duration('0s', '365d'), '0s'),
    anonymous_pull: type.withDefault(type.list('list of networks', type.network()), []),
    prefetch: type.withDefault(type.list('list of platforms', text), []),
    warm: type.optional(warm),
  }),
  (it): MirrorConfig => ({
    name: it.name,
    upstreams: it.upstream,
    cacheTtlMs: it.cache_ttl,
    isRoot: it.root,
    rootAllow: it.root_allow,
    hosts: it.hosts,
    credentials: it.credentials,
    caFile: it.ca,
    proxy: it.proxy,
    tags: it.tags,
    staleForMs: it.stale_for,
    onUpstreamDelete: it.on_upstream_delete,
    timeouts: {
      connectMs: it.timeouts.connect,
      firstByteMs: it.timeouts.first_byte,
      stallMs: it.timeouts.stall,
    },
    push: it.push,
    allow: it.allow,
    deny: it.deny,
    pins: it.pins,
    maxBytes: it.max_bytes,
    limits: {
      connections: it.limits.connections,
      bytesPerSecond: it.limits.bytes_per_second,
      requestsPerSecond: it.limits.requests_per_second,
    },
    cooldownMs: it.cooldown,
    anonymousPull: it.anonymous_pull,
    prefetch: it.prefetch,
    warm: it.warm,
  }),
)

const MIRRORS = {
  mirrors: setting({
    type: type.list('list of mirrors', mirror),
    field: 'mirrors',
    default: [],
    doc: 'Upstream registries that are cached on pull; see [Mirrors](#mirrors).',
    since,
    isSecret: true,
  }),
  'storage.mirror_max_bytes': setting({
    type: type.size('0', '1024TiB'),
    field: 'mirrorMaxBytes',
    default: 0,
    doc: 'Bytes that the blobs of all mirrors together may take; 0 sets no bound.',
    since,
  }),
} as const

export const MIRROR_SETTINGS = MIRRORS

export interface MirrorConfig {
  /** First path component of its repositories. */
  readonly name: string
  /** Hosts that clients mean it by (`?ns=`), in their normal form; empty: what follows from the rest. */
  readonly hosts: readonly string[]
  /** Tried in order. A path in a URL is put before every repository's name. */
  readonly upstreams: readonly string[]
  readonly cacheTtlMs: number
  /** Whether it also answers paths without its name. */
  readonly isRoot: boolean
  /** Globs of the names that it answers so. */
  readonly rootAllow: readonly string[]
  readonly credentials: readonly MirrorCredential[]
  /** PEM file with certificates trusted beside those of Node.js. */
  readonly caFile: string | undefined
  readonly proxy: string | undefined
  readonly tags: readonly TagFreshness[]
  /** How long after its last check a tag may be answered while upstream fails. */
  readonly staleForMs: number
  readonly onUpstreamDelete: 'serve' | 'hide'
  readonly timeouts: MirrorTimeouts
  readonly push: 'deny' | 'allow'
  /** Globs over repository names without the mirror's own; empty: all. */
  readonly allow: readonly string[]
  readonly deny: readonly string[]
  /** Globs of repositories whose blobs are never evicted. */
  readonly pins: readonly string[]
  /** Undefined: no bound of its own. */
  readonly maxBytes: number | undefined
  readonly limits: MirrorLimits
  readonly cooldownMs: number
  /** Networks whose clients may pull without credentials. */
  readonly anonymousPull: readonly string[]
  /** Platforms (`linux/amd64`) whose manifest is fetched with its index. */
  readonly prefetch: readonly string[]
  readonly warm: MirrorWarming | undefined
}

/** Credentials for the repositories that start with `prefix`; the longest one counts. */
export interface MirrorCredential {
  readonly prefix: string
  readonly username: string | undefined
  readonly secret: { readonly kind: 'text' | 'file'; readonly value: string }
  readonly isToken: boolean
  /** URL of the token server that they go to; undefined: one of the upstream's own domain. */
  readonly tokenServer: string | undefined
}

export interface TagFreshness {
  readonly pattern: string
  readonly freshness: 'immutable' | 'ttl' | 'always'
}

export interface MirrorTimeouts {
  readonly connectMs: number
  readonly firstByteMs: number
  readonly stallMs: number
}

export interface MirrorLimits {
  /** Requests under way to one upstream host. */
  readonly connections: number
  /** 0: unlimited. */
  readonly bytesPerSecond: number
  readonly requestsPerSecond: number
}

export interface MirrorWarming {
  readonly schedule: string
  readonly references: readonly string[]
}

export type MirrorPart = Fields<typeof MIRRORS>

type Values = ValuesOf<typeof MIRRORS>

export function mirrorPart(values: Values): MirrorPart {
  return fieldsOf(MIRRORS, values)
}

/** Mirrors that share a name, a host or the bare paths. */
export function mirrorContradictions({ mirrors }: Values): readonly Contradiction[] {
  const found: Contradiction[] = []
  const refuse = (message: string) => found.push({ key: 'mirrors', message })
  const names = mirrors.map((mirror) => mirror.name)
  const twice = names.find((name, index) => names.indexOf(name) !== index)
  if (twice !== undefined) refuse(`the name ${twice} appears twice; names are unique`)
  const hosts = mirrors.flatMap((mirror) => mirror.hosts)
  const shared = hosts.find((host, index) => hosts.indexOf(host) !== index)
  if (shared !== undefined)
    refuse(`the host ${shared} appears twice in hosts; a host has one mirror`)
  if (mirrors.filter(({ isRoot }) => isRoot).length > 1) {
    refuse('root is true more than once; only one mirror can answer bare paths')
  }
  return found
}
