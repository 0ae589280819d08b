/**
 * @module Every kind of server that the load runner knows. A new peer is a file here and a line.
 */
import type { BenchOptions } from '../../options.ts'
import { SERVER_NAMES, type ServerKind, type ServerName } from '../server.ts'
import { bareKind } from './bare.ts'
import { distributionKind, dockerRegistryKind } from './distribution.ts'
import { nginxKind } from './nginx.ts'
import { oursKind } from './ours.ts'
import { regsyncKind } from './regsync.ts'
import { zotKind } from './zot.ts'

const KINDS: Readonly<Record<Exclude<ServerName, 'ours' | 'before'>, () => ServerKind>> = {
  'docker-registry': dockerRegistryKind,
  distribution: distributionKind,
  zot: zotKind,
  nginx: nginxKind,
  bare: bareKind,
  regsync: regsyncKind,
}

/**
 * Ours and the wanted peers, installed or not, in the order of the columns. `before`: the folder of
 * another checkout of ours. `engine`: what serves both.
 */
export function findKinds({
  peers,
  before,
  engine,
}: Pick<BenchOptions, 'peers' | 'before' | 'engine'>): ServerKind[] {
  return SERVER_NAMES.flatMap((name) => {
    if (name === 'ours') return [oursKind(engine)]
    if (name === 'before') return before === undefined ? [] : [oursKind(engine, 'before', before)]
    return peers.includes(name) ? [KINDS[name]()] : []
  })
}
