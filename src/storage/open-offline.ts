/**
 * @module A store that no server has open, for one command: no cache, no mapped files, no schedule. The
 * store's lock keeps a server away meanwhile.
 */
import type { Digest } from '../registry/digest.ts'
import { systemClock } from '../runtime/clock.ts'
import type { LifeCycle } from '../runtime/life-cycle.ts'
import { openStorage, type Storage } from './open.ts'

export interface OfflineStore {
  readonly path: string
  readonly durability: 'full' | 'relaxed'
  /** Reported once a blob that is taken out of service. */
  readonly onQuarantined: (digest: Digest, reason: string) => void
}

/**
 * Opens the store. Throws when a process has it open, or when its schema is of another version. With
 * `life` the store is closed by it; else the caller closes it.
 */
export function openOffline(store: OfflineStore, life?: LifeCycle): Promise<Storage> {
  const settings = {
    ...store,
    cacheBytes: 0,
    reader: 'file',
    ingestThreads: 1,
    clock: systemClock,
    reserveBytes: 0,
  } as const
  return openStorage(settings, life)
}
