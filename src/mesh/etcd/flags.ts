/**
 * @module The flags of an etcd that a node runs. Nothing comes from etcd's variables of the environment,
 * and it listens where it is told to, nowhere else.
 */

import { QUOTA_BYTES, SNAPSHOT_ENTRIES } from './limits.ts'
import { endpointOf } from './members.ts'
import type { ListedMember } from './messages.ts'

/** Files of certificates. `ca` signs whom it talks with: both sides show one. */
export interface TlsFiles {
  readonly ca: string
  readonly cert: string
  readonly key: string
}

/** One member of etcd, as its node sees it. */
export interface EtcdMemberSettings {
  /** Name of the member in etcd. */
  readonly name: string
  /** Where the data is, with the marks of who runs it. */
  readonly folder: string
  /** `http(s)://address:port`, under which the others reach it. */
  readonly peerUrl: string
  readonly clientUrl: string
  /** Where it listens, as URLs with addresses; default: the URLs above. */
  readonly listenPeerUrls?: readonly string[]
  readonly listenClientUrls?: readonly string[]
  /** Without: no TLS, which is for loopback alone. */
  readonly tls?: { readonly peer: TlsFiles; readonly client: TlsFiles }
  readonly quotaBytes?: number
  /** Heartbeat of the leader, ms; an election begins after ten of them. Default 100, as etcd's. */
  readonly heartbeatMs?: number
}

/** How a member begins. */
export type Beginning =
  /** The only member of a new etcd. `token`: a name that no other etcd was ever founded with. */
  | { readonly kind: 'found'; readonly token: string }
  /** One more member of an etcd that lists it already. */
  | { readonly kind: 'join'; readonly listed: readonly ListedMember[] }
  /** The data is there, and says the rest. */
  | { readonly kind: 'resume' }

/** `minor`: of etcd's version 3.x. */
export function flagsOf(
  settings: EtcdMemberSettings,
  beginning: Beginning,
  { dataDir, minor }: { readonly dataDir: string; readonly minor: number },
): readonly string[] {
  const { name, peerUrl, clientUrl, tls, quotaBytes = QUOTA_BYTES, heartbeatMs = 100 } = settings
  const { listenPeerUrls = [peerUrl], listenClientUrls = [clientUrl] } = settings
  const flags: readonly (readonly [string, string | number | boolean])[] = [
    ['name', name],
    ['data-dir', dataDir],
    ['listen-peer-urls', listenPeerUrls.join()],
    ['initial-advertise-peer-urls', peerUrl],
    ['listen-client-urls', listenClientUrls.join()],
    ['advertise-client-urls', clientUrl],
    ...clusterFlags(settings, beginning),
    ['quota-backend-bytes', quotaBytes],
    // The lead compacts to what every view has: etcd's own clock does not know that.
    ['auto-compaction-retention', '0'],
    // Later versions have this by default, and drop the flag.
    ...(minor < 6 ? ([['snapshot-count', SNAPSHOT_ENTRIES]] as const) : []),
    ['heartbeat-interval', heartbeatMs],
    ['election-timeout', heartbeatMs * 10],
    // A member that comes back asks before it unseats a leader; the default from 3.5 on.
    ['pre-vote', true],
    // No change of the members that could cost the majority.
    ['strict-reconfig-check', true],
    // One JSON object a line; 3.4 would write another format.
    ['logger', 'zap'],
    ['log-outputs', 'stderr'],
    ...(tls === undefined ? [] : tlsFlags(tls)),
  ]
  return flags.map(([flag, value]) => `--${flag}=${value}`)
}

type Flags = readonly (readonly [string, string | boolean])[]

function clusterFlags(settings: EtcdMemberSettings, beginning: Beginning): Flags {
  const self = `${settings.name}=${settings.peerUrl}`
  switch (beginning.kind) {
    case 'found':
      return [
        ['initial-cluster', self],
        ['initial-cluster-state', 'new'],
        ['initial-cluster-token', beginning.token],
      ]
    case 'join': {
      // etcd compares the URLs; a name is only needed for itself.
      const others = beginning.listed
        .filter(({ peerUrls }) => !peerUrls.includes(settings.peerUrl))
        .flatMap(({ id, peerUrls }) => peerUrls.map((url) => `member-${id.toString(16)}=${url}`))
      return [
        ['initial-cluster', [self, ...others].join()],
        ['initial-cluster-state', 'existing'],
      ]
    }
    default:
      // `existing`: were the data gone after all, it would ask the others instead of being alone.
      return [
        ['initial-cluster', self],
        ['initial-cluster-state', 'existing'],
      ]
  }
}

function tlsFlags({ peer, client }: { readonly peer: TlsFiles; readonly client: TlsFiles }): Flags {
  const side = (prefix: string, { ca, cert, key }: TlsFiles): Flags => [
    [`${prefix}trusted-ca-file`, ca],
    [`${prefix}cert-file`, cert],
    [`${prefix}key-file`, key],
    [`${prefix}client-cert-auth`, true],
  ]
  return [...side('', client), ...side('peer-', peer)]
}

/** `host:port` of its clients. */
export function clientEndpointOf({ clientUrl }: EtcdMemberSettings): string {
  return endpointOf(clientUrl)
}
