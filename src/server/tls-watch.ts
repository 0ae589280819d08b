/**
 * @module Follows the TLS files: when one changes, the listeners get all of them anew. A pair that
 * does not fit (the key is written a moment after the certificate) is tried again with the next
 * change; until then the old one serves.
 */

import type { Config } from '../config/config.ts'
import type { HttpEngine, TlsFiles } from '../http/engine/port.ts'
import type { Logger } from '../observability/logger.ts'
import type { LifeCycle } from '../runtime/life-cycle.ts'
import { WatchedFile } from '../runtime/watched-file.ts'

/** The files of a configuration, as the engine wants them. */
export function tlsFilesOf({ server: { tls } }: Config): TlsFiles | undefined {
  return tls === undefined ? undefined : { cert: tls.certFile, key: tls.keyFile, sni: tls.sni }
}

export async function watchTls(
  config: Config,
  engine: HttpEngine,
  logger: Logger,
  life: LifeCycle,
): Promise<void> {
  const files = tlsFilesOf(config)
  if (files === undefined) return
  let isReloading = false
  let isWanted = false
  const reload = async () => {
    isReloading = true
    while (isWanted) {
      isWanted = false
      try {
        await engine.reloadTls()
        logger.info({ event: 'tls-reloaded' }, 'TLS files read again')
      } catch (error) {
        const reason = error instanceof Error ? error.message : String(error)
        logger.error({ reason }, 'the TLS files cannot be used; the old certificates serve')
      }
    }
    isReloading = false
  }
  let isFollowing = false
  const onChanged = () => {
    if (!isFollowing) return
    isWanted = true
    if (!isReloading) void reload()
  }
  const onProblem = (error: Error) => {
    logger.error({ reason: error.message }, 'a TLS file cannot be read; the old certificates serve')
  }
  const paths = [files, ...(files.sni ?? [])].flatMap(({ cert, key }) => [cert, key])
  const watched = [...new Set(paths)].map(
    (path) => new WatchedFile({ path, onContent: onChanged, onProblem }),
  )
  life.opened('TLS files', watched, (all) => {
    for (const file of all) file.stop()
  })
  await Promise.all(watched.map((file) => file.start()))
  isFollowing = true
}
