/**
 * @module From checked settings to the `Config` that the program uses: fields by name, pairs that
 * belong together as one. The compiler holds it against both the schema and the type.
 */
import { resolve } from 'node:path'
import { isLoopback } from './address.ts'
import { accessConfig, accessProblems, isForNetwork } from './assemble-access.ts'
import { assembleCleanup, cleanupProblems } from './assemble-cleanup.ts'
import type { CheckedSettings } from './check.ts'
import type { Config, ListenAddress } from './config.ts'
import type { Problem } from './explain.ts'
import type { SettingKey, Values } from './schema.ts'

/** Relative paths count from the working directory. Assumes that `checkRelations` found nothing. */
export function assembleConfig(values: Values): Config {
  const [certFile, keyFile] = [values['server.tls.cert'], values['server.tls.key']]
  const alsoListen = values['server.also_listen']
  const sni = values['server.tls.sni'].map((pair) => ({
    cert: resolve(pair.cert),
    key: resolve(pair.key),
  }))
  return deepFreeze({
    server: {
      addr: reachable(values, values['server.addr']),
      isOpen: values['server.open'],
      corsOrigins: values['server.cors.origins'],
      hosts: values['server.hosts'],
      alsoListen: alsoListen === undefined ? undefined : reachable(values, alsoListen),
      alsoListenTls: values['server.also_listen_tls'],
      engine: values['server.engine'],
      tls:
        certFile === '' || keyFile === ''
          ? undefined
          : { certFile: resolve(certFile), keyFile: resolve(keyFile), sni },
      maxConnections: values['server.max_connections'],
      maxUploadsPerClient: values['server.max_uploads_per_client'],
      idleTimeoutMs: values['server.idle_timeout'],
      proxyProtocol: values['server.proxy_protocol'],
      shutdownTimeoutMs: values['server.shutdown_timeout'],
    },
    storage: {
      path: resolve(values['storage.path']),
      cacheSizeMb: values['storage.cache_size_mb'],
      reserveMb: values['storage.reserve_mb'],
      inlineLimitBytes: values['storage.inline_limit'],
      durability: values['storage.durability'],
      uploadTtlMs: values['storage.upload_ttl'],
      reader: values['storage.reader'],
      scrub: {
        enabled: values['storage.scrub.enabled'],
        schedule: values['storage.scrub.schedule'],
        bytesPerSecond: values['storage.scrub.bytes_per_second'],
      },
    },
    cleanup: assembleCleanup(values),
    policy: {
      allowSparseIndex: values['policy.allow_sparse_index'],
      allowMissingBlobs: values['policy.allow_missing_blobs'],
      checkSizes: values['policy.check_sizes'],
      delete: values['policy.delete'],
    },
    workers: { ingestThreads: values['workers.ingest_threads'] },
    log: {
      level: values['log.level'],
      access: values['log.access'],
      accessSample: values['log.access_sample'],
    },
    metrics: { enabled: values['metrics.enabled'] },
    ...accessConfig(values),
    mirrors: values['mirrors'],
    mirrorMaxBytes: values['storage.mirror_max_bytes'],
  })
}

/** An open registry without a word about the network is for this machine alone. */
function reachable(values: Values, address: ListenAddress): ListenAddress {
  if (isForNetwork(values) || address.host !== '') return address
  return { ...address, host: '127.0.0.1' }
}

const unguarded =
  'without auth and access everybody on this network could push and delete; set auth.type, or server.open: true'

/** What no setting can tell alone: pairs that need each other, and addresses that collide. */
export function checkRelations(checked: CheckedSettings): readonly Problem[] {
  const { values } = checked
  const problems: Problem[] = []
  const refuse = (key: SettingKey, message: string) =>
    problems.push({ ...(checked.given.get(key) ?? { source: key }), message: `${key}: ${message}` })
  const hasCert = values['server.tls.cert'] !== ''
  const hasKey = values['server.tls.key'] !== ''
  if (hasCert && !hasKey && !isRefused(checked, 'server.tls.key')) {
    refuse('server.tls.cert', 'server.tls.key is missing; give both files or neither')
  }
  if (hasKey && !hasCert && !isRefused(checked, 'server.tls.cert')) {
    refuse('server.tls.key', 'server.tls.cert is missing; give both files or neither')
  }
  const isAddrKnown = !isRefused(checked, 'server.addr')
  if (isAddrKnown && collides(values['server.addr'], values['server.also_listen'])) {
    refuse('server.also_listen', 'is the same address as server.addr; choose another port')
  }
  for (const key of ['server.addr', 'server.also_listen'] as const) {
    const host = values[key]?.host ?? ''
    if (isRefused(checked, key) || isForNetwork(values) || host === '' || isLoopback(host)) continue
    refuse(key, unguarded)
  }
  for (const [key, message] of accessProblems(values)) refuse(key, message)
  const { mirrors } = values
  const names = mirrors.map((mirror) => mirror.name)
  const twice = names.find((name, index) => names.indexOf(name) !== index)
  if (twice !== undefined) refuse('mirrors', `the name ${twice} appears twice; names are unique`)
  const hosts = mirrors.flatMap((mirror) => mirror.hosts)
  const shared = hosts.find((host, index) => hosts.indexOf(host) !== index)
  if (shared !== undefined) {
    refuse('mirrors', `the host ${shared} appears twice in hosts; a host has one mirror`)
  }
  if (mirrors.filter(({ isRoot }) => isRoot).length > 1) {
    refuse('mirrors', 'root is true more than once; only one mirror can answer bare paths')
  }
  for (const { key, message } of cleanupProblems(values)) refuse(key, message)
  return problems
}

/** Given, but its value was refused already: then nothing more is said about it. */
function isRefused(checked: CheckedSettings, key: SettingKey): boolean {
  const place = checked.given.get(key)?.position
  return place !== undefined && checked.problems.some(({ position }) => position === place)
}

function collides(a: ListenAddress, b: ListenAddress | undefined): boolean {
  return b !== undefined && a.port !== 0 && a.port === b.port && a.host === b.host
}

/** Freezes the object and all that it holds. */
export function deepFreeze<T extends object>(value: T): T {
  for (const part of Object.values(value)) {
    if (typeof part === 'object' && part !== null) deepFreeze(part)
  }
  return Object.freeze(value)
}
