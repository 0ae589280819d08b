/**
 * @module The etcd of a node: the settings of its member, and how it is asked. TLS with the certificates of the mesh
 * itself, always.
 */
import { readFile } from 'node:fs/promises'
import { isIP } from 'node:net'
import { join } from 'node:path'
import type { Config, MeshConfig } from '../../config/config.ts'
import type { EtcdMemberSettings } from '../../mesh/etcd/flags.ts'
import { MemberFolder } from '../../mesh/etcd/folder.ts'
import { EtcdMembers } from '../../mesh/etcd/members.ts'
import { findProgram } from '../../mesh/etcd/program.ts'
import { EtcdRole, type EtcdRoleOptions } from '../../mesh/etcd/role.ts'
import {
  etcdPeerUrl,
  joinAddress,
  portAfter,
  splitAddress,
} from '../../mesh/membership/own-address.ts'
import type { EtcdTls } from '../../metadata/log/etcd/connection.ts'
import type { Logger } from '../../observability/logger.ts'
import { workerUrl } from '../../runtime/worker-pool.ts'

export interface OwnEtcd {
  readonly member: number
  /** `host:port` of the node's internal API. */
  readonly advertise: string
  readonly bind: MeshConfig['bind']
  /** Folder of this node's etcd. */
  readonly folder: string
  /** Files of the identity. */
  readonly files: { readonly ca: string; readonly cert: string; readonly key: string }
}

/** `host:port` for clients of it. */
export function etcdEndpoint(advertise: string): string {
  return portAfter(advertise, 2)
}

/**
 * Where this node's etcd is. In a folder that was named for it each membership has its own: what a store has left
 * behind in another mesh is not taken for part of this one.
 */
export function etcdFolder(
  { storage, mesh }: Pick<Config, 'mesh' | 'storage'>,
  { cluster, member }: { readonly cluster: string; readonly member: number },
): string {
  const dataDir = mesh?.log.dataDir ?? ''
  if (dataDir !== '') return join(dataDir, `${cluster}-${member}`)
  return join(storage.path, 'mesh', 'etcd')
}

/** Whether this node has had a member of etcd before. */
export async function hadMember(folder: string): Promise<boolean> {
  const mark = await new MemberFolder(folder).mark()
  return mark !== undefined && mark.state !== 'removed'
}

/** As PEM. Rejects with what the system says of a file. */
export async function readTlsFiles(files: {
  readonly ca: string
  readonly cert: string
  readonly key: string
}): Promise<EtcdTls | undefined> {
  if (files.ca === '') return undefined
  const ca = await readFile(files.ca, 'utf8')
  if (files.cert === '') return { ca }
  return { ca, cert: await readFile(files.cert, 'utf8'), key: await readFile(files.key, 'utf8') }
}

/** Finds the program. Rejects with an EtcdRefusedError that says what to install. */
export async function makeEtcdRole(
  { log: { binary } }: MeshConfig,
  own: OwnEtcd,
  endpoints: readonly string[],
  parts: Pick<EtcdRoleOptions, 'isLead' | 'mesh' | 'onEndpoints' | 'truncate'> & {
    readonly logger: Logger
  },
): Promise<EtcdRole> {
  const { logger, ...rest } = parts
  const program = await findProgram({ binary, path: process.env['PATH'] ?? '' })
  if (program.warning !== undefined) logger.warn({ event: 'etcd' }, program.warning)
  const tls = await readTlsFiles(own.files)
  const members = new EtcdMembers({ endpoints, ...(tls !== undefined && { tls }) })
  const log = {
    debug: (fields: object, message: string) => logger.debug({ event: 'etcd', ...fields }, message),
    warn: (fields: object, message: string) => logger.warn({ event: 'etcd', ...fields }, message),
    error: (fields: object, message: string) => logger.error({ event: 'etcd', ...fields }, message),
  }
  const launcher = workerUrl('etcd-launcher')
  return new EtcdRole({ program, settings: settingsOf(own), members, log, launcher, ...rest })
}

function settingsOf({ member, advertise, bind, folder, files }: OwnEtcd): EtcdMemberSettings {
  // etcd listens on addresses, not on names.
  const isKnown = isIP(bind.host) !== 0 || bind.host === 'localhost'
  const host = isKnown ? bind.host : '0.0.0.0'
  const listen = (by: number) => [`https://${joinAddress(host, bind.port + by)}`]
  return {
    name: `member-${member}`,
    folder,
    peerUrl: etcdPeerUrl(advertise),
    clientUrl: `https://${etcdEndpoint(advertise)}`,
    listenPeerUrls: listen(1),
    listenClientUrls: listen(2),
    tls: { peer: files, client: files },
  }
}

/** The host of `host:port`, for a certificate. */
export function hostOf(address: string): string {
  return splitAddress(address).host
}
