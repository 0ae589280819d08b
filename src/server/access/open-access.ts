/**
 * @module Whether anybody is asked who he is; only then is access control loaded at all, because an
 * open registry should not wait 60 ms at its start for libraries that it never calls. And what else of a server is
 * there or not, as it is configured.
 */
import type { Features } from '../../admin/service-endpoints.ts'
import { isLoopback } from '../../config/address.ts'
import type { Config } from '../../config/config.ts'
import type { StatusParts } from '../status.ts'
import type { AccessControl, AccessParts } from './access.ts'

/** Undefined: the registry is open. Rejects when a file that access control needs cannot be used. */
export async function openAccess(
  config: Config,
  parts: AccessParts,
): Promise<AccessControl | undefined> {
  if (!isAccessControlled(config)) {
    parts.logger.warn(
      config.server.isOpen
        ? 'open mode: every client that reaches this port may pull, push and delete; see auth.type'
        : 'open mode, for this machine alone: every program on it may pull, push and delete. For others set auth.type, or server.open: true',
    )
    return undefined
  }
  const inTheClear = plainListeners(config)
  if (inTheClear.length > 0) {
    parts.logger.warn(
      { listeners: inTheClear },
      'passwords and tokens travel unencrypted to this listener; see server.tls',
    )
  }
  const { startAccess } = await import('./access.ts')
  return startAccess(config, parts)
}

/** Those that other machines reach without TLS; behind a proxy that is known, TLS is its business. */
function plainListeners({ server, trustedProxies }: Config): readonly string[] {
  if (trustedProxies.length > 0) return []
  const { addr, alsoListen, alsoListenTls, tls } = server
  const hosts = tls === undefined ? [addr] : []
  if (alsoListen !== undefined && (tls === undefined || !alsoListenTls)) hosts.push(alsoListen)
  return hosts.filter(({ host }) => !isLoopback(host)).map(({ host, port }) => `${host}:${port}`)
}

/** Whether anybody is asked who asks at all. */
export function isAccessControlled({ auth, access }: Config): boolean {
  return auth.type !== 'none' || access.length > 0 || auth.foreign !== undefined
}

/** What a server has, as it is configured. */
export function featuresOf(
  config: Config,
  {
    audit,
    mirrors,
    overview,
    syncs,
  }: Pick<StatusParts, 'audit' | 'mirrors' | 'overview' | 'syncs'>,
): Features {
  const { policies, attest } = config.signing
  return {
    access: isAccessControlled(config),
    audit: audit !== undefined,
    deletes: config.policy.allowsDelete,
    mesh: overview !== undefined,
    metrics: config.metrics.enabled,
    mirrors: mirrors !== undefined,
    signatures: policies.length > 0 || attest.enabled,
    sync: syncs !== undefined,
  }
}
