/**
 * @module Settings of a node of a mesh, and the part of the configuration that they make.
 */

import { ok } from '../../registry/result.ts'
import {
  formatAddress,
  isLoopback,
  isOrigin,
  type ListenAddress,
  parseAddress,
} from '../address.ts'
import { type Contradiction, setting, type ValuesOf } from '../setting.ts'
import * as type from '../values.ts'
import { isPeerAddress, MESH_LOG_SETTINGS, type MeshLogConfig, meshLogPart } from './mesh-log.ts'

const since = '1.0.0'

/** `dns:name:port` stands for all addresses of a name. */
const dnsWord = 'dns:'

const peer = type.textThat(
  (text) => isPeerAddress(text.startsWith(dnsWord) ? text.slice(dnsWord.length) : text),
  'expected "host:port" of a node, or "dns:name:port" for all addresses of a name',
)
const advertised = type.refine(type.text(), (text) =>
  text === '' || isPeerAddress(text)
    ? undefined
    : 'expected "host:port" under which the other nodes reach this one',
)
const nodeName = type.refine(type.text(), (text) =>
  /^[A-Za-z0-9._-]{0,64}$/.test(text)
    ? undefined
    : 'expected at most 64 letters, digits, dots, hyphens and underscores',
)

/** Of a disk, or bytes. */
export type Share = { readonly percent: number } | { readonly bytes: number }

const bytes = type.size('0', '1024TiB')
const share: type.ValueType<Share> = {
  name: 'size, or a share of the disk such as `10%`',
  parse(raw) {
    const percent = typeof raw === 'string' ? /^(\d{1,2}|100)%$/.exec(raw) : null
    if (percent !== null) return ok({ percent: Number(percent[1]) })
    const parsed = bytes.parse(raw)
    if (parsed.ok) return ok({ bytes: parsed.value })
    const message = 'expected a size, or a share of the disk from 0% to 100%'
    return { ok: false, error: [{ path: [], message }] }
  },
}

export const MESH_SETTINGS = {
  'mesh.enabled': setting({
    type: type.boolean(),
    default: false,
    doc: 'Run as one node of several that are one registry. Rows of every node are the same; docs/mesh.md says what is kept where.',
    since,
  }),
  'mesh.bind': setting({
    type: type.address(),
    default: ':7946',
    doc: 'Address of the traffic between nodes, always with TLS and certificates of the mesh itself. etcd takes the next two ports. Without a host and a secret: `127.0.0.1`.',
    since,
  }),
  'mesh.peers': setting({
    type: type.list('list of addresses', peer),
    default: [],
    doc: 'Nodes of the mesh as `host:port`; this one may be among them. Without a mesh yet, the first of the list founds it when most of the list is there. `dns:name:port` stands for all addresses of a name; such entries are for joining only. Empty: this node founds a mesh, unless it is a member of one.',
    since,
  }),
  'mesh.replication_factor': setting({
    type: type.integer(1, 100),
    default: 2,
    unit: 'nodes',
    doc: 'How many nodes hold a blob that is larger than `mesh.inline_limit`. The number of the node that founds the mesh counts for all.',
    since,
  }),
  'mesh.write_copies': setting({
    type: type.integer(0, 100),
    default: 0,
    unit: 'nodes',
    doc: 'How many of these nodes have a blob on their disks before a push is acknowledged, where there are as many. 0: two, or `mesh.replication_factor` when that is less.',
    since,
  }),
  'mesh.degraded_writes': setting({
    type: type.oneOf('refuse', 'allow'),
    default: 'refuse',
    doc: 'When fewer nodes than `mesh.write_copies` can be reached within ten seconds, `refuse` answers a push with 503, and `allow` acknowledges it with the copies that there are. The others get theirs when they are back.',
    since,
  }),
  'mesh.secret': setting({
    type: type.text(),
    default: '',
    doc: 'Secret that all nodes share, of 16 bytes or more. Without it and `mesh.secret_file`, all peers must be on this machine.',
    since,
    isSecret: true,
  }),
  'mesh.secret_file': setting({
    type: type.path(),
    default: '',
    doc: 'File with the secret. While the secret is changed it has two lines: the new one, then the old one.',
    since,
  }),
  'mesh.name': setting({
    type: nodeName,
    default: '',
    doc: 'Name of this node in lists and logs. Empty: the host name, with the port of `mesh.bind`.',
    since,
  }),
  'mesh.advertise': setting({
    type: advertised,
    default: '',
    doc: 'Where the other nodes reach this one, as `host:port`. Empty: its entry in `mesh.peers`, else `mesh.bind`, else the first address of this machine.',
    since,
  }),
  'mesh.advertise_url': setting({
    type: type.refine(type.text(), (text) =>
      text === '' || isOrigin(text)
        ? undefined
        : 'expected the URL of this node for clients, such as "https://registry-1.example.com", in lower case, without a path',
    ),
    default: '',
    doc: 'Where clients of the other nodes reach this one, for `mesh.redirect` of those: http or https, name and port, no path. Empty: no client is sent here.',
    since,
  }),
  'mesh.redirect': setting({
    type: type.list('list of networks', type.network()),
    default: [],
    doc: 'Clients of these addresses and networks that pull a blob of 1 MiB or more from this node, of which it has no copy, are sent to a node that has one (307), where that has `mesh.advertise_url`. Empty: this node fetches it, and sends it.',
    since,
  }),
  'mesh.zone': setting({
    type: type.text(),
    default: '',
    doc: 'What fails together with this node, such as a rack. Copies of a blob go to different zones first.',
    since,
  }),
  'mesh.weight': setting({
    type: type.integer(0, 1_000_000),
    default: 0,
    unit: 'TiB',
    doc: 'Share of blobs that this node holds, beside the other nodes. 0: the size of its disk when it joins.',
    since,
  }),
  'mesh.witness_addr': setting({
    type: type.optionalAddress(),
    default: '',
    doc: 'Where a witness answers `/livez` and `/readyz`, by plain HTTP and without credentials. Empty: nowhere. A node that is no witness answers them at `server.addr`, and does not look at this.',
    since,
  }),
  'mesh.reads': setting({
    type: type.oneOf('strict', 'barrier'),
    default: 'strict',
    doc: 'With `strict` this node answers by itself while it has a lease, and pushes wait for it. With `barrier` it asks the log for each read of a tag or list, and no push waits for it.',
    since,
  }),
  'mesh.read_lease': setting({
    type: type.duration('1s', '60s'),
    default: '3s',
    doc: 'How long a node answers by itself without a new sign from the log. A node that dies holds up pushes for so long, and half a second more. The same on all nodes.',
    since,
  }),
  'mesh.stale_reads': setting({
    type: type.oneOf('refuse', 'serve'),
    default: 'refuse',
    doc: 'What this node says of tags and lists while it is cut off from the log. With `refuse` 503; with `serve` what it knows, which may be old, with `Warning: 110 - "Response is Stale"`. docker and containerd do not look at that header. Writes are 503 with both.',
    since,
  }),
  'mesh.rebalance_after': setting({
    type: type.duration('10s', '365d'),
    default: '15m',
    doc: 'When a node was away for so long, other nodes get the copies of blobs that it had. They are its own again when it is back.',
    since,
  }),
  'mesh.rebalance_rate': setting({
    type: type.size('0', '1TiB'),
    default: '64MiB',
    unit: 'a second',
    doc: 'How fast this node fetches copies in the background that it is to have: after nodes have come or gone, or a copy was lost. 0: no bound. Copies that it reads to prove them have the same bound where that is more than 64 MiB.',
    since,
  }),
  'mesh.cache_max': setting({
    type: share,
    default: '10%',
    doc: 'Copies that this node has for pulls alone, as a size or as a share of its disk. Those that were not read for longest go first.',
    since,
  }),
  'mesh.inline_limit': setting({
    type: type.size('0', '1MiB'),
    default: '16KiB',
    doc: 'Blobs up to this size are rows, and so on every node. Replaces `storage.inline_limit`.',
    since,
  }),
  ...MESH_LOG_SETTINGS,
} as const

export interface MeshConfig {
  readonly bind: ListenAddress
  /** `host:port`, or `dns:name:port`. */
  readonly peers: readonly string[]
  readonly replicationFactor: number
  /** 0: two, or all. */
  readonly writeCopies: number
  readonly degradedWrites: 'refuse' | 'allow'
  /** Empty: none. One of the two at most. */
  readonly secret: string
  readonly secretFile: string
  readonly name: string
  /** `host:port`, or empty. */
  readonly advertise: string
  /** An origin, or empty. */
  readonly advertiseUrl: string
  /** Networks of clients. */
  readonly redirect: readonly string[]
  readonly zone: string
  /** TiB; 0: of the disk. */
  readonly weight: number
  /** Of a witness. */
  readonly witnessAddr: ListenAddress | undefined
  readonly reads: 'strict' | 'barrier'
  readonly readLeaseMs: number
  readonly staleReads: 'refuse' | 'serve'
  readonly rebalanceAfterMs: number
  /** Bytes a second; 0: no bound. */
  readonly rebalanceRate: number
  readonly cacheMax: Share
  readonly log: MeshLogConfig
}

export interface MeshPart {
  /** Undefined: one node alone. */
  readonly mesh: MeshConfig | undefined
}

type MeshValues = ValuesOf<typeof MESH_SETTINGS>

export function meshPart(values: MeshValues): MeshPart {
  const bind = values['mesh.bind']
  // Without a secret only this machine may speak to it.
  const isOpen = bind.host === '' && !hasSecret(values)
  const mesh: MeshConfig = {
    bind: isOpen ? { ...bind, host: '127.0.0.1' } : bind,
    peers: values['mesh.peers'],
    replicationFactor: values['mesh.replication_factor'],
    writeCopies: values['mesh.write_copies'],
    degradedWrites: values['mesh.degraded_writes'],
    secret: values['mesh.secret'],
    secretFile: values['mesh.secret_file'],
    name: values['mesh.name'],
    advertise: values['mesh.advertise'],
    advertiseUrl: values['mesh.advertise_url'],
    redirect: values['mesh.redirect'],
    zone: values['mesh.zone'],
    weight: values['mesh.weight'],
    witnessAddr: values['mesh.witness_addr'],
    reads: values['mesh.reads'],
    readLeaseMs: values['mesh.read_lease'],
    staleReads: values['mesh.stale_reads'],
    rebalanceAfterMs: values['mesh.rebalance_after'],
    rebalanceRate: values['mesh.rebalance_rate'],
    cacheMax: values['mesh.cache_max'],
    log: meshLogPart(values),
  }
  return { mesh: values['mesh.enabled'] ? mesh : undefined }
}

/** `isGiven`: whether the file or a flag has the key. */
export function meshContradictions(
  values: MeshValues,
  isGiven: (key: 'storage.inline_limit') => boolean,
): readonly Contradiction[] {
  if (!values['mesh.enabled']) return []
  const found: Contradiction[] = []
  if (isGiven('storage.inline_limit')) {
    const message = 'a node of a mesh has mesh.inline_limit instead; move the value there'
    found.push({ key: 'storage.inline_limit', message })
  }
  if (values['mesh.secret'] !== '' && values['mesh.secret_file'] !== '') {
    found.push({ key: 'mesh.secret', message: 'give either this or mesh.secret_file, not both' })
  }
  if (values['mesh.secret'] !== '' && Buffer.byteLength(values['mesh.secret']) < 16) {
    found.push({ key: 'mesh.secret', message: 'expected 16 bytes or more' })
  }
  if (values['mesh.bind'].port === 0 || values['mesh.bind'].port > 65_533) {
    found.push({
      key: 'mesh.bind',
      message: 'expected a port from 1 to 65533: etcd takes the next two',
    })
  }
  if (values['mesh.write_copies'] > values['mesh.replication_factor']) {
    const message = 'no blob has more copies than mesh.replication_factor'
    found.push({ key: 'mesh.write_copies', message })
  }
  found.push(...secretContradictions(values))
  const isOwn = values['mesh.log.endpoints'].length === 0
  if (isOwn && !values['mesh.log.compact']) {
    const message = 'an etcd that the nodes run would grow for ever; needs mesh.log.endpoints'
    found.push({ key: 'mesh.log.compact', message })
  }
  if (!isOwn && values['mesh.log.data_dir'] !== '') {
    const message = 'with mesh.log.endpoints this node runs no etcd'
    found.push({ key: 'mesh.log.data_dir', message })
  }
  const { 'mesh.log.tls.cert': cert, 'mesh.log.tls.key': key } = values
  if ((cert === '') !== (key === '')) {
    const [has, needs] = cert === '' ? ['key', 'cert'] : ['cert', 'key']
    found.push({ key: `mesh.log.tls.${has}`, message: `needs mesh.log.tls.${needs}` })
  }
  return found
}

/** Without a secret any program that reaches a node could become one: so only this machine may. */
function secretContradictions(values: MeshValues): readonly Contradiction[] {
  if (hasSecret(values)) return []
  const message = 'without mesh.secret_file every node must be on this machine'
  const { 'mesh.bind': bind, 'mesh.advertise': advertise } = values
  const found: Contradiction[] = []
  if (bind.host !== '' && !isLoopback(bind.host)) {
    found.push({ key: 'mesh.bind', message: `${message}; ${formatAddress(bind)} is not only here` })
  }
  const far = values['mesh.peers'].find((text) => !isOnLoopback(text))
  if (far !== undefined) found.push({ key: 'mesh.peers', message: `${message}; ${far} is not` })
  if (advertise !== '' && !isOnLoopback(advertise)) {
    found.push({ key: 'mesh.advertise', message: `${message}; ${advertise} is not` })
  }
  return found
}

function hasSecret(values: MeshValues): boolean {
  return values['mesh.secret'] !== '' || values['mesh.secret_file'] !== ''
}

function isOnLoopback(address: string): boolean {
  const parsed = parseAddress(address)
  return parsed.ok && isLoopback(parsed.value.host)
}
