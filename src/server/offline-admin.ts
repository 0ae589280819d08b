/**
 * @module The admin API on a store that nobody serves: the very endpoints of the server, called inside
 * this process, without a socket. For commands; whoever may open the store's files may use it.
 */

import { AdminApi, type AdminRequest } from '../admin/admin-api.ts'
import { openAsker } from '../auth/asker.ts'
import type { Config } from '../config/config.ts'
import { readManifest } from '../distribution/worker/read-manifest.ts'
import { createLogger } from '../observability/logger.ts'
import { LifeCycle, type OnOpened } from '../runtime/life-cycle.ts'
import { openOffline } from '../storage/open-offline.ts'
import { storeEndpoints } from './admin.ts'
import { beginAttestor } from './attest.ts'
import { makeCleanup } from './cleanup.ts'
import { mirroredBy } from './mirrors.ts'
import { openSignatures } from './signatures.ts'
import { makeUseCases } from './use-cases.ts'

export interface OfflineAdmin {
  ask(method: string, path: string, body?: object): Promise<{ status: number; json: unknown }>
  /** Ends what still runs (a collection keeps its place) and lets go of the store. */
  close(): Promise<void>
}

/** Opens the store; throws when a server has it. Nothing runs by itself: no schedule, no resuming. */
export function openOfflineAdmin(
  config: Config,
  actor: string,
  onOpened?: OnOpened,
): Promise<OfflineAdmin> {
  const life = new LifeCycle(onOpened)
  return life.guard(() => open(config, actor, life))
}

async function open(config: Config, actor: string, life: LifeCycle): Promise<OfflineAdmin> {
  const { path, durability } = config.storage
  const storage = await openOffline({ path, durability, onQuarantined: () => undefined }, life)
  const onFileInDoubt = () => undefined
  const logger = createLogger('error', { write: () => undefined })
  const { gate, attest } = await openSignatures(config, storage, logger, life)
  const witness = attest?.attestor
  const parts = { readManifest, onFileInDoubt, gate, witness, life }
  const useCases = makeUseCases(config, storage, parts)
  beginAttestor(attest, storage, useCases, life)
  const gc = { ...config.cleanup.gc, enabled: false }
  const cleanup = makeCleanup(
    { ...config, cleanup: { ...config.cleanup, gc } },
    {
      storage,
      useCases,
      logger,
      isMirrored: mirroredBy(config),
      life,
    },
  )
  // No request comes from a browser.
  const api = new AdminApi(
    storeEndpoints(storage.metadata, useCases, cleanup, () => undefined),
    () => false,
  )
  const signal = new AbortController().signal
  return {
    ask: async (method, target, body) => {
      const answer = await api.handle(toRequest(method, target, body, signal), actor, openAsker)
      if (answer.kind === 'stream') throw new Error('streams need a server')
      return { status: answer.status, json: answer.body }
    },
    close: () => life.close(),
  }
}

function toRequest(
  method: string,
  target: string,
  body: object | undefined,
  signal: AbortSignal,
): AdminRequest {
  const [path = '', query = ''] = target.split('?', 2)
  const bytes = body === undefined ? undefined : Buffer.from(JSON.stringify(body))
  return {
    id: 'offline',
    method,
    path,
    query,
    bodyBytes: bytes?.byteLength,
    signal,
    scheme: 'http',
    host: '',
    header: (name) => (name === 'content-type' ? 'application/json' : undefined),
    readBody: async (onChunk) => {
      if (bytes !== undefined) onChunk(bytes)
    },
  }
}
