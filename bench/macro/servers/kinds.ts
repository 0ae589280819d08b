/**
 * @module Every kind of server that the load runner knows. A new peer is a file here and a line.
 */
import { SERVER_NAMES, type ServerKind, type ServerName } from '../server.ts'
import { distributionKind, dockerRegistryKind } from './distribution.ts'
import { nginxKind } from './nginx.ts'
import { oursKind } from './ours.ts'
import { zotKind } from './zot.ts'

const KINDS: Readonly<Record<ServerName, () => ServerKind>> = {
  ours: oursKind,
  'docker-registry': dockerRegistryKind,
  distribution: distributionKind,
  zot: zotKind,
  nginx: nginxKind,
}

/** Ours and the wanted peers, installed or not, in the order of the columns. */
export function findKinds(peers: readonly ServerName[]): ServerKind[] {
  return SERVER_NAMES.filter((name) => name === 'ours' || peers.includes(name)).map((name) =>
    KINDS[name](),
  )
}
