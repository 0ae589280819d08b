/**
 * @module The schema of `mirrors[]`: one item a mirror, read into `MirrorConfig`. Names, globs and
 * URLs are checked here, so that the mirror itself has nothing to refuse.
 */
import { resolve } from 'node:path'
import * as v from 'valibot'
import { compileGlob } from '../../registry/glob.ts'
import { normalHost } from '../../registry/host.ts'
import { parseRepositoryName } from '../../registry/name.ts'
import type { MirrorConfig, MirrorCredential } from '../config-mirrors.ts'
import { setting } from '../setting.ts'
import * as type from '../value-type.ts'

const text = v.pipe(v.string('expected text'), v.nonEmpty('expected text that is not empty'))
const flag = v.boolean('expected true or false')

const name = v.pipe(
  text,
  v.check(
    (value) => value === '' || (parseRepositoryName(value).ok && !value.includes('/')),
    'expected a name that a repository path can start with, such as "docker.io"; a host with a port goes into hosts',
  ),
)

const host = v.pipe(
  text,
  v.check(
    (value) => normalHost(value) !== undefined,
    'expected a host such as "my-registry:2524", without a scheme',
  ),
  v.transform((value) => normalHost(value)!),
)

const url = v.pipe(text, v.check(isUpstreamUrl, 'expected an http or https URL without a query'))

function isUpstreamUrl(value: string): boolean {
  if (!/^https?:\/\/./i.test(value) || !URL.canParse(value)) return false
  const { username, password, search, hash, pathname } = new URL(value)
  const path = pathname.replace(/^\/|\/$/g, '')
  return (
    `${username}${password}${search}${hash}` === '' && (path === '' || parseRepositoryName(path).ok)
  )
}

const oneOrMore = v.union(
  [url, v.pipe(v.array(url), v.minLength(1))],
  'expected an http or https URL without a query, or a list of such',
)

function durationBetween(min: string, max: string) {
  return type.inside(type.duration(min, max))
}

function sizeBetween(min: string, max: string) {
  return type.inside(type.size(min, max))
}

function whole(min: number, max: number) {
  const message = `expected a whole number from ${min} to ${max}`
  return v.pipe(
    v.number(message),
    v.integer(message),
    v.minValue(min, message),
    v.maxValue(max, message),
  )
}

/** What a name can have, and the signs of globs (`registry/glob.ts`). */
function isGlob(value: string): boolean {
  return /^[A-Za-z0-9._/*?{},[\]!-]+$/.test(value) && compileGlob(value).ok
}

const glob = v.pipe(text, v.check(isGlob, 'expected a glob such as "team/*" or "{team,ci}/**"'))

const credential = v.pipe(
  type.item({
    prefix: v.optional(v.string('expected text'), ''),
    username: v.optional(text),
    password: v.optional(text),
    password_file: v.optional(text),
    token: v.optional(text),
    token_file: v.optional(text),
    token_server: v.optional(
      v.pipe(
        text,
        v.check(isPlainUrl, 'expected an http or https URL such as "https://auth.example.com"'),
      ),
    ),
  }),
  v.check(
    (it) =>
      [it.password, it.password_file, it.token, it.token_file].filter((x) => x !== undefined)
        .length === 1,
    'expected exactly one of password, password_file, token, token_file',
  ),
  v.check(
    (it) => (it.token ?? it.token_file) !== undefined || it.username !== undefined,
    'a password needs a username',
  ),
  v.transform((it): MirrorCredential => {
    const file = it.password_file ?? it.token_file
    return {
      prefix: it.prefix,
      username: it.username,
      secret:
        file === undefined
          ? { kind: 'text', value: (it.password ?? it.token)! }
          : { kind: 'file', value: resolve(file) },
      isToken: (it.token ?? it.token_file) !== undefined,
      tokenServer: it.token_server,
    }
  }),
)

const tagRule = type.item({
  pattern: v.pipe(text, v.check(isGlob, 'expected a tag glob such as "v*"')),
  freshness: v.picklist(['immutable', 'ttl', 'always'], 'expected immutable, ttl or always'),
})

const cron = type.inside(type.cron())

const mirror = v.pipe(
  type.item({
    name,
    upstream: oneOrMore,
    cache_ttl: v.optional(durationBetween('0s', '365d'), '24h'),
    root: v.optional(flag, false),
    root_allow: v.optional(v.array(glob, 'expected a list of globs'), ['library/*']),
    hosts: v.optional(v.array(host, 'expected a list of hosts'), []),
    credentials: v.optional(v.array(credential, 'expected a list of credentials'), []),
    ca: v.optional(text),
    proxy: v.optional(v.pipe(text, v.check(isPlainUrl, 'expected an http or https URL'))),
    tags: v.optional(v.array(tagRule, 'expected a list of rules'), []),
    stale_for: v.optional(durationBetween('0s', '3650d'), '720h'),
    on_upstream_delete: v.optional(
      v.picklist(['serve', 'hide'], 'expected serve or hide'),
      'serve',
    ),
    timeouts: v.optional(
      type.item({
        connect: v.optional(durationBetween('100ms', '10s'), '3s'),
        first_byte: v.optional(durationBetween('100ms', '30s'), '15s'),
        stall: v.optional(durationBetween('100ms', '30s'), '15s'),
      }),
      {},
    ),
    push: v.optional(v.picklist(['deny', 'allow'], 'expected deny or allow'), 'deny'),
    allow: v.optional(v.array(glob, 'expected a list of globs'), []),
    deny: v.optional(v.array(glob, 'expected a list of globs'), []),
    pins: v.optional(v.array(glob, 'expected a list of globs'), []),
    max_bytes: v.optional(sizeBetween('1MiB', '1024TiB')),
    limits: v.optional(
      type.item({
        connections: v.optional(whole(1, 1024), 32),
        bytes_per_second: v.optional(sizeBetween('0', '1TiB'), 0),
        requests_per_second: v.optional(whole(0, 100_000), 0),
      }),
      {},
    ),
    cooldown: v.optional(durationBetween('0s', '365d'), '0s'),
    anonymous_pull: v.optional(v.array(type.network, 'expected a list of networks'), []),
    prefetch: v.optional(v.array(text, 'expected a list of platforms'), []),
    warm: v.optional(
      type.item({ schedule: cron, references: v.array(text, 'expected a list of references') }),
    ),
  }),
  v.transform(
    (it): MirrorConfig => ({
      name: it.name,
      upstreams: typeof it.upstream === 'string' ? [it.upstream] : it.upstream,
      cacheTtlMs: it.cache_ttl,
      isRoot: it.root,
      rootAllow: it.root_allow,
      hosts: it.hosts,
      credentials: it.credentials,
      caFile: it.ca === undefined ? undefined : resolve(it.ca),
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
  ),
)

function isPlainUrl(value: string): boolean {
  return /^https?:\/\/./i.test(value) && URL.canParse(value)
}

export const MIRROR_SETTINGS = {
  mirrors: setting({
    type: type.list('list of mirrors', mirror),
    default: [],
    doc: 'Upstream registries that are cached on pull; see [Mirrors](#mirrors).',
    since: '1.0.0',
    isSecret: true,
  }),
  'storage.mirror_max_bytes': setting({
    type: type.size('0', '1024TiB'),
    default: 0,
    doc: 'Bytes that the blobs of all mirrors together may take; 0 sets no bound.',
    since: '1.0.0',
  }),
} as const
