/**
 * @module Settings of the listeners and of what surrounds them: addresses, TLS, proxies, browsers,
 * limits of one client, threads, log, metrics. And the parts of the configuration that they make.
 */
import { isLoopback, isOrigin, type ListenAddress } from '../address.ts'
import { type Contradiction, type Fields, fieldsOf, setting, type ValuesOf } from '../setting.ts'
import * as type from '../values.ts'
import { type AccessValues, hasAccessControl } from './access.ts'

const since = '1.0.0'

/** All origins, for reading without a browser's own login. */
const anyOrigin = '*'

const origin = type.textThat(
  (text) => text === anyOrigin || isOrigin(text),
  'expected an origin such as "https://ui.example.com" or "http://localhost:8080", in lower case, without a path; or "*" alone',
)
const hostName = type.textThat(
  isHostName,
  'expected a name such as "registry.example.com" or "*.example.com"',
)

/** A host name without a port in lower case, perhaps with `*` for its first label. */
function isHostName(text: string): boolean {
  const labels = text.split('.')
  if (text.length > 253 || (labels[0] === '*' && labels.length < 3)) return false
  return labels.every(
    (label, index) => (index === 0 && label === '*') || /^[a-z0-9_-]{1,63}$/.test(label),
  )
}

/** A host name or address, perhaps with a port, as image references begin. */
function isPublicAddress(text: string): boolean {
  return /^[a-z0-9.[\]:-]{1,253}$/.test(text) && URL.canParse(`http://${text}/`)
}

const SERVER = {
  'server.addr': setting({
    type: type.address(),
    default: ':5000',
    doc: 'Address of the main listener. Without a host: every interface, IPv4 and IPv6. Without a host, `server.open`, `auth` and `access`: `127.0.0.1`.',
    since,
    flag: 'addr',
  }),
  'server.open': setting({
    type: type.boolean(),
    field: 'isOpen',
    default: false,
    doc: 'Listen where `server.addr` says, although there is neither `auth` nor `access`. Every client that reaches the port may then pull, push and delete.',
    since,
    flag: 'open',
  }),
  'server.also_listen': setting({
    type: type.optionalAddress(),
    default: '',
    doc: 'Address of a second listener with the same routes; plain HTTP unless `server.also_listen_tls`.',
    since,
  }),
  'server.also_listen_tls': setting({
    type: type.boolean(),
    field: 'alsoListenTls',
    default: false,
    doc: 'Serve `server.also_listen` with the certificates of `server.tls` too.',
    since,
  }),
  'server.engine': setting({
    type: type.oneOf('auto', 'uws', 'node'),
    field: 'engine',
    default: 'auto',
    doc: 'HTTP engine: `uws` is the fast native one, `node` runs everywhere, `auto` takes the first that loads.',
    since,
  }),
  'server.tls.cert': setting({
    type: type.path(),
    default: '',
    doc: 'PEM file with the certificate chain of the main listener. Needs `server.tls.key`.',
    since,
  }),
  'server.tls.key': setting({
    type: type.path(),
    default: '',
    doc: 'PEM file with the private key. Needs `server.tls.cert`.',
    since,
  }),
  'server.tls.sni': setting({
    type: type.list(
      'list of certificates',
      type.item({ cert: type.path({ lengthMin: 1 }), key: type.path({ lengthMin: 1 }) }),
    ),
    default: [],
    doc: 'Further certificates `{cert, key}`, chosen by the name that a client asks for. The server reads all TLS files again when they change.',
    since,
  }),
  'server.cors.origins': setting({
    type: type.list('list of origins', origin),
    field: 'corsOrigins',
    default: [],
    doc: 'Web sites such as `https://ui.example.com`. Their pages may call this registry with the logins of browsers. `*` alone: every page may read, without such logins.',
    since,
  }),
  'server.hosts': setting({
    type: type.list('list of host names', hostName),
    field: 'hosts',
    default: [],
    doc: 'Names under which browsers may reach this registry, beside IP addresses and `localhost`. Empty: the names of its certificates and of `auth.tokens.realm`.',
    since,
  }),
  'server.max_connections': setting({
    type: type.integer(1, 1_000_000),
    field: 'maxConnections',
    default: 20_000,
    unit: 'connections',
    doc: 'Open connections at most; the server closes further ones. One client has at most an eighth of them, and at most 1000 (an IPv6 /48 four times as many). Connections of `trusted_proxies` count for no client.',
    since,
  }),
  'server.max_uploads_per_client': setting({
    type: type.integer(1, 1_000_000),
    field: 'maxUploadsPerClient',
    default: 1000,
    unit: 'sessions',
    doc: 'Open upload sessions of one client (an IPv4 address, or an IPv6 /64); an IPv6 /48 may have four times as many.',
    since,
  }),
  'server.idle_timeout': setting({
    type: type.duration('75s', '1h'),
    field: 'idleTimeoutMs',
    default: '120s',
    doc: 'Shortest time that the server keeps a connection without a request; the longest is half as long again. Choose more than the load balancer in front has.',
    since,
  }),
  'server.shutdown_timeout': setting({
    type: type.duration('0s', '1h'),
    field: 'shutdownTimeoutMs',
    default: '30s',
    doc: 'How long a stop waits for running requests before it ends them.',
    since,
  }),
  'server.proxy_protocol': setting({
    type: type.list('list of networks', type.network()),
    field: 'proxyProtocol',
    default: [],
    doc: 'Addresses and networks of load balancers whose connections begin with a PROXY protocol header (version 1 or 2). The server refuses such a connection without the header, and accepts the header from no other address.',
    since,
  }),
} as const

const AROUND = {
  'server.trusted_proxies': setting({
    type: type.list('list of networks', type.network()),
    field: 'trustedProxies',
    default: [],
    doc: 'Addresses and networks of proxies. The server believes their `X-Forwarded-For`, `-Proto` and `-Host`, or `Forwarded` where there is none of these, and ignores those of all others.',
    since,
  }),
} as const

const LIMITS = {
  'limits.requests_per_second': setting({
    type: type.integer(0, 1_000_000),
    field: 'requestsPerSecond',
    default: 0,
    unit: 'requests',
    doc: 'Requests a second of one client (an IPv4 address, or an IPv6 /64; a /48 has four times as many), and of one user; 0: no limit. Requests above it wait for up to a second, then get 503.',
    since,
  }),
  'limits.bytes_per_second': setting({
    type: type.size('0', '1TiB'),
    field: 'bytesPerSecond',
    default: 0,
    doc: 'Body bytes a second, sent, received, or read from the disk for ranges, of one client (as above), and of one user; 0: no limit. A client above the limit waits before its next request.',
    since,
  }),
} as const

const WORKERS = {
  'workers.ingest_threads': setting({
    type: type.integer(0, 64),
    field: 'ingestThreads',
    default: 0,
    unit: 'threads',
    doc: 'Threads that hash and write uploads; 0 means one per processor core.',
    since,
  }),
} as const

const LOG = {
  'log.level': setting({
    type: type.oneOf('trace', 'debug', 'info', 'warn', 'error', 'fatal'),
    field: 'level',
    default: 'info',
    doc: 'Least severe messages that are logged.',
    since,
  }),
  'log.access': setting({
    type: type.boolean(),
    field: 'access',
    default: true,
    doc: 'Log one line per request.',
    since,
  }),
  'log.access_sample': setting({
    type: type.integer(1, 1_000_000),
    field: 'accessSample',
    default: 1,
    unit: 'requests',
    doc: 'Log one request in this many; failed ones are always logged.',
    since,
  }),
} as const

const METRICS = {
  'metrics.enabled': setting({
    type: type.boolean(),
    field: 'enabled',
    default: true,
    doc: 'Answer `/metrics` in the Prometheus text format.',
    since,
  }),
} as const

const UI = {
  'ui.enabled': setting({
    type: type.boolean(),
    field: 'isEnabled',
    default: true,
    doc: 'Serve pages for browsers at `/ui/`. See [the pages](web.md).',
    since,
  }),
  'ui.title': setting({
    type: type.text({ lengthMin: 1 }),
    field: 'title',
    default: 'FastRegistry',
    doc: 'Name of this registry at the top of the pages.',
    since,
  }),
  'ui.public_address': setting({
    type: type.orNone(
      type.textThat(isPublicAddress, 'expected a host such as "registry.example.com:5000"'),
    ),
    field: 'publicAddress',
    default: '',
    doc: 'Host and port that the pages write into pull commands, such as `registry.example.com:5000`. Empty: the ones in the address line of the browser.',
    since,
  }),
} as const

export const SERVER_SETTINGS = {
  ...SERVER,
  ...AROUND,
  ...LIMITS,
  ...WORKERS,
  ...LOG,
  ...METRICS,
  ...UI,
}

/** Two readable PEM files. */
export interface TlsFiles {
  readonly certFile: string
  readonly keyFile: string
  /** Further pairs, by the name that a client asks for. */
  readonly sni: readonly { readonly cert: string; readonly key: string }[]
}

export interface ServerConfig extends Fields<typeof SERVER> {
  readonly addr: ListenAddress
  readonly alsoListen: ListenAddress | undefined
  /** Of the main listener; `undefined` means plain HTTP. */
  readonly tls: TlsFiles | undefined
}

export type LimitsConfig = Fields<typeof LIMITS>
export type WorkersConfig = Fields<typeof WORKERS>
export type LogConfig = Fields<typeof LOG>
export type MetricsConfig = Fields<typeof METRICS>
export type UiConfig = Fields<typeof UI>

export interface ServerPart extends Fields<typeof AROUND> {
  readonly server: ServerConfig
  readonly limits: LimitsConfig
  readonly workers: WorkersConfig
  readonly log: LogConfig
  readonly metrics: MetricsConfig
  readonly ui: UiConfig
}

type Values = ValuesOf<typeof SERVER_SETTINGS> & AccessValues

export function serverPart(values: Values): ServerPart {
  const [certFile, keyFile] = [values['server.tls.cert'], values['server.tls.key']]
  const alsoListen = values['server.also_listen']
  const tls = { certFile, keyFile, sni: values['server.tls.sni'] }
  return {
    ...fieldsOf(AROUND, values),
    server: {
      ...fieldsOf(SERVER, values),
      addr: reachable(values, values['server.addr']),
      alsoListen: alsoListen === undefined ? undefined : reachable(values, alsoListen),
      tls: certFile === '' || keyFile === '' ? undefined : tls,
    },
    limits: fieldsOf(LIMITS, values),
    workers: fieldsOf(WORKERS, values),
    log: fieldsOf(LOG, values),
    metrics: fieldsOf(METRICS, values),
    ui: fieldsOf(UI, values),
  }
}

/** An open registry without a word about the network is for this machine alone. */
function reachable(values: Values, address: ListenAddress): ListenAddress {
  if (isForNetwork(values) || address.host !== '') return address
  return { ...address, host: '127.0.0.1' }
}

/** Whether others may reach the listeners: they need rights, or the operator opened the registry. */
function isForNetwork(values: Values): boolean {
  return hasAccessControl(values) || values['server.open']
}

const unguarded =
  'without auth and access every client of this network could push and delete; set auth.type, or server.open: true'

/** Pairs that need each other, and addresses that collide. */
export function serverContradictions(values: Values): readonly Contradiction[] {
  const found: Contradiction[] = []
  const hasCert = values['server.tls.cert'] !== ''
  const hasKey = values['server.tls.key'] !== ''
  const missing = 'is missing; give both files or neither'
  const [cert, key] = ['server.tls.cert', 'server.tls.key']
  if (hasCert && !hasKey) found.push({ key: cert, message: `${key} ${missing}`, unless: [key] })
  if (hasKey && !hasCert) found.push({ key, message: `${cert} ${missing}`, unless: [cert] })
  if (collides(values['server.addr'], values['server.also_listen'])) {
    const message = 'is the same address as server.addr; choose another port'
    found.push({ key: 'server.also_listen', message, unless: ['server.addr'] })
  }
  for (const key of ['server.addr', 'server.also_listen'] as const) {
    const host = values[key]?.host ?? ''
    if (isForNetwork(values) || host === '' || isLoopback(host)) continue
    found.push({ key, message: unguarded, unless: [key] })
  }
  if (values['server.also_listen_tls'] && !hasCert) {
    const message = 'server.tls.cert and server.tls.key are missing'
    found.push({ key: 'server.also_listen_tls', message })
  }
  if (values['server.tls.sni'].length > 0 && !hasCert) {
    const message = 'server.tls.cert is missing: clients that send no name need it'
    found.push({ key: 'server.tls.sni', message })
  }
  const origins = values['server.cors.origins']
  if (origins.length > 1 && origins.includes(anyOrigin)) {
    const message = '"*" stands alone: it is every site, without logins'
    found.push({ key: 'server.cors.origins', message })
  }
  return found
}

function collides(a: ListenAddress, b: ListenAddress | undefined): boolean {
  return b !== undefined && a.port !== 0 && a.port === b.port && a.host === b.host
}
