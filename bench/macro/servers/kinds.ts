/**
 * @module Every kind of server that the load runner knows. A new peer is a file here and a line.
 */
import { SERVER_NAMES, type ServerKind, type ServerName } from '../server.ts'
import { distributionKind, dockerRegistryKind } from './distribution.ts'
import { nginxKind } from './nginx.ts'
import { oursKind } from './ours.ts'
import { zotKind } from './zot.ts'

const KINDS: Readonly<Record<Exclude<ServerName, 'ours' | 'before'>, () => ServerKind>> = {
  'docker-registry': dockerRegistryKind,
  distribution: distributionKind,
  zot: zotKind,
  nginx: nginxKind,
}

/**
 * Ours and the wanted peers, installed or not, in the order of the columns. `before`: the folder of
 * another checkout of ours.
 */
export function findKinds(peers: readonly ServerName[], before: string | undefined): ServerKind[] {
  return SERVER_NAMES.flatMap((name) => {
    if (name === 'ours') return [oursKind()]
    if (name === 'before') return before === undefined ? [] : [oursKind('before', before)]
    return peers.includes(name) ? [KINDS[name]()] : []
  })
}
