/**
 * @module Settings of the log of a mesh: the etcd that its nodes run, or one that is there.
 */
import { parseAddress } from '../address.ts'
import { setting, type ValuesOf } from '../setting.ts'
import * as type from '../values.ts'

const since = '1.0.0'

const endpoint = type.textThat(isPeerAddress, 'expected "host:port" of a member of etcd')

export const MESH_LOG_SETTINGS = {
  'mesh.log.endpoints': setting({
    type: type.list('list of addresses', endpoint),
    default: [],
    doc: 'Members of an etcd 3.4 to 3.7 that runs already, as `host:port`. Empty: the nodes run one themselves.',
    since,
  }),
  'mesh.log.binary': setting({
    type: type.path(),
    default: '',
    doc: 'Program of etcd. Empty: `etcd` on the `PATH`.',
    since,
  }),
  'mesh.log.data_dir': setting({
    type: type.path(),
    default: '',
    doc: 'Folder for the etcd that this node runs, such as one on a fast disk of its own. Empty: below `storage.path`. Move it with the node, or let the node join again.',
    since,
  }),
  'mesh.log.keep': setting({
    type: type.size('1MiB', '256MiB'),
    default: '64MiB',
    doc: 'Entries that etcd keeps although all nodes have them. For a node that is away it keeps up to four times as much; one that lacks more takes the tail of the log from a peer.',
    since,
  }),
  'mesh.log.tail': setting({
    type: type.size('128MiB', '1TiB'),
    default: '4GiB',
    doc: 'Entries that this node keeps on its own disk, for peers that the log in etcd leaves behind. A node that lacks more takes the whole view of a peer.',
    since,
  }),
  'mesh.log.compact': setting({
    type: type.boolean(),
    default: true,
    doc: 'Let etcd forget entries that are not needed. `false` is for `mesh.log.endpoints` that others share: it is then compacted by its own rules.',
    since,
  }),
  'mesh.log.tls.ca': setting({
    type: type.path(),
    default: '',
    doc: 'PEM file with the authority of `mesh.log.endpoints`. Empty: no TLS to them.',
    since,
  }),
  'mesh.log.tls.cert': setting({
    type: type.path(),
    default: '',
    doc: 'PEM file with the certificate that this node shows to them. Needs `mesh.log.tls.key`.',
    since,
  }),
  'mesh.log.tls.key': setting({
    type: type.path(),
    default: '',
    doc: 'PEM file with its private key. Needs `mesh.log.tls.cert`.',
    since,
  }),
} as const

export interface MeshLogConfig {
  /** Empty: the nodes run etcd themselves. */
  readonly endpoints: readonly string[]
  /** Absolute, or empty. */
  readonly binary: string
  /** Absolute, or empty. */
  readonly dataDir: string
  readonly keepBytes: number
  readonly tailBytes: number
  readonly compact: boolean
  /** Files; empty: none. */
  readonly tls: { readonly ca: string; readonly cert: string; readonly key: string }
}

export function meshLogPart(values: ValuesOf<typeof MESH_LOG_SETTINGS>): MeshLogConfig {
  return {
    endpoints: values['mesh.log.endpoints'],
    binary: values['mesh.log.binary'],
    dataDir: values['mesh.log.data_dir'],
    keepBytes: values['mesh.log.keep'],
    tailBytes: values['mesh.log.tail'],
    compact: values['mesh.log.compact'],
    tls: {
      ca: values['mesh.log.tls.ca'],
      cert: values['mesh.log.tls.cert'],
      key: values['mesh.log.tls.key'],
    },
  }
}

/** Host and port, both of them. */
export function isPeerAddress(text: string): boolean {
  const parsed = parseAddress(text)
  return parsed.ok && parsed.value.host !== '' && parsed.value.port > 0
}
