/**
 * @module The admin API on a store that nobody serves: the very endpoints of the server, called inside
 * this process, without a socket. For commands; whoever may open the store's files may use it.
 */

import { AdminApi, type AdminRequest } from '../admin/admin-api.ts'
import { openAsker } from '../auth/asker.ts'
import { readStoredBlob } from '../blobs/read-small.ts'
import type { Config } from '../config/config.ts'
import { ManifestPushes } from '../distribution/push-manifest.ts'
import { readManifest } from '../distribution/worker/read-manifest.ts'
import { createLogger } from '../observability/logger.ts'
import { systemClock } from '../runtime/clock.ts'
import { LifeCycle, type OnOpened } from '../runtime/life-cycle.ts'
import { openStorage } from '../storage/open.ts'
import { makeUploads } from './background.ts'
import { imageAndRepositoryEndpoints, makeCleanup } from './cleanup.ts'
import { mirroredBy } from './mirrors.ts'

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
  const storage = await openStorage(
    {
      path: config.storage.path,
      cacheBytes: 0,
      durability: config.storage.durability,
      reader: 'file',
      ingestThreads: 1,
      clock: systemClock,
      reserveBytes: 0,
      onQuarantined: () => undefined,
    },
    life,
  )
  const { metadata } = storage
  const uploads = makeUploads(config, storage, () => undefined)
  const gc = { ...config.cleanup.gc, enabled: false }
  const cleanup = makeCleanup({
    config: { ...config, cleanup: { ...config.cleanup, gc } },
    storage,
    uploads,
    logger: createLogger('error', { write: () => undefined }),
    isMirrored: mirroredBy(config),
  })
  life.opened('cleanup', cleanup, (one) => one.stop())
  life.opened('uploads', uploads, (one) => one.close())
  const policy = {
    allowsSparseIndex: config.policy.allowSparseIndex,
    allowsMissingBlobs: config.policy.allowMissingBlobs,
    checksSizes: config.policy.checkSizes,
    allowsDelete: config.policy.delete,
  }
  const pushes = new ManifestPushes(metadata, policy, systemClock, {
    ...cleanup,
    readManifest,
    readBlob: (digest, bytesMax) => readStoredBlob(storage, digest, bytesMax),
  })
  const api = new AdminApi(
    [...cleanup.endpoints, ...imageAndRepositoryEndpoints(cleanup, storage, pushes)],
    // Nobody asks through a browser.
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
    host: '',
    header: (name) => (name === 'content-type' ? 'application/json' : undefined),
    readBody: async (onChunk) => {
      if (bytes !== undefined) onChunk(bytes)
    },
  }
}
