/**
 * @module Whether anybody is asked who he is; only then is access control loaded at all, because an
 * open registry should not wait 60 ms at its start for libraries that it never calls.
 */
import type { Config } from '../config/config.ts'
import type { AccessControl, AccessParts } from './access.ts'

/** Undefined: the registry is open. Rejects when a file that access control needs cannot be used. */
export async function openAccess(
  config: Config,
  parts: AccessParts,
): Promise<AccessControl | undefined> {
  if (!isAccessControlled(config)) {
    parts.logger.warn(
      'open mode: whoever reaches this port may pull, push and delete; see auth.type',
    )
    return undefined
  }
  const { startAccess } = await import('./access.ts')
  return startAccess(config, parts)
}

function isAccessControlled({ auth, access }: Config): boolean {
  return auth.type !== 'none' || access.length > 0 || auth.foreign !== undefined
}
