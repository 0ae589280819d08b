/**
 * @module What the copy here is, by reading all of it: other nodes rest on that before they let go of theirs, and
 * before a blob counts as lost. One file at a time, at the pace of a repair. A copy with other bytes than its digest
 * says is taken out of service, and made anew where it is owned.
 */
import { hasObject, type StoredObject } from '../../blobs/driver.ts'
import type { SharedStore } from '../../blobs/shared-port.ts'
import type { BlobRow } from '../../metadata/schema.ts'
import type { Digest } from '../../registry/digest.ts'
import type { Clock } from '../../runtime/clock.ts'
import { KeyedLock } from '../../runtime/keyed-lock.ts'
import { MeshError } from '../identity/problem.ts'
import type { CopyLedger } from './ledger.ts'
import { Pace, paceBytesPerSecond } from './pace.ts'

/**
 * What a look has found: no copy; a right one, on which no other node may rest; a right one that this node owns, and
 * keeps as its owner from then on.
 */
export type CopyIs = 'none' | 'cache' | 'owner'

/** Looks that are under way or wait; more are refused. */
const looksMax = 64

export interface ProofsParts {
  readonly store: Pick<SharedStore, 'metadata' | 'digestLock'> & {
    readonly driver: {
      readonly inventory: Pick<SharedStore['driver']['inventory'], 'check' | 'stat'>
    }
  }
  readonly ledger: Pick<CopyLedger, 'get' | 'adopt' | 'turn'>
  readonly clock: Clock
  /** What is read in a second, bytes; 0: no bound. Default 64 MiB, and never less: others wait for the answer. */
  readonly bytesPerSecond?: number
  readonly isOwner: (digest: Digest, row: BlobRow) => boolean
  /** Takes a damaged copy out of service, which is looked at once more: false when it is not damaged. */
  readonly isolate: (digest: Digest, reason: string) => Promise<boolean>
  /** A copy that is written down is not there. */
  readonly onMissing: (digest: Digest) => Promise<void>
}

export class Proofs {
  readonly #parts: ProofsParts
  readonly #turns = new KeyedLock()
  readonly #pace: Pace
  #looks = 0
  #isStopped = false

  constructor(parts: ProofsParts) {
    this.#parts = parts
    const { clock, bytesPerSecond = paceBytesPerSecond } = parts
    const rate = bytesPerSecond === 0 ? 0 : Math.max(paceBytesPerSecond, bytesPerSecond)
    this.#pace = new Pace(clock, 'all', () => !this.#isStopped, rate)
  }

  /**
   * Reads the whole copy. `isWanted`: asked between two pieces, whether the answer still matters. Throws a MeshError
   * 'busy' when too many wait, when it was ended, and when the copy was changed meanwhile; and what the disk reports.
   */
  async look(digest: Digest, isWanted: () => boolean): Promise<CopyIs> {
    if (this.#looks >= looksMax) throw new MeshError('busy', 'too many copies are looked at')
    this.#looks += 1
    try {
      return await this.#turns.run('', () => this.#look(digest, isWanted))
    } finally {
      this.#looks -= 1
    }
  }

  /** Ends what is under way. */
  stop(): void {
    this.#isStopped = true
  }

  async #look(digest: Digest, isWanted: () => boolean): Promise<CopyIs> {
    const { store, ledger, isolate, onMissing } = this.#parts
    const { inventory } = store.driver
    const goesOn = () => !this.#isStopped && isWanted()
    if (!goesOn()) throw ended()
    const onRead = async (bytes: number) => {
      await this.#pace.pay(bytes, isWanted)
      return goesOn()
    }
    const found = await inventory.check(digest, { onRead })
    switch (found.is) {
      case 'genuine':
        return this.#genuine(digest, found.object)
      case 'damaged':
        await isolate(digest, 'its bytes have another digest')
        if ((await inventory.stat(digest)) !== undefined) throw changed()
        return 'none'
      case 'missing':
        // Only once: who asks again and again would have it fetched again and again.
        if (ledger.get(digest) !== undefined) await onMissing(digest)
        return 'none'
      default:
        throw ended()
    }
  }

  /** The lock is not held while a file is read: it may be another one by now. */
  #genuine(digest: Digest, { sizeBytes, version }: StoredObject): Promise<CopyIs> {
    const { store, ledger, isOwner } = this.#parts
    return store.digestLock.run(digest, async () => {
      const now = await store.driver.inventory.stat(digest)
      if (now?.version !== version) throw changed()
      const row = store.metadata.get('blobs', digest)
      if (row === undefined || !hasObject(row) || row.sizeBytes !== sizeBytes) return 'cache'
      if (!isOwner(digest, row)) return 'cache'
      if (ledger.get(digest) === undefined) await ledger.adopt(digest, row)
      else await ledger.turn(digest, 'owner')
      return 'owner'
    })
  }
}

function ended(): MeshError {
  return new MeshError('busy', 'the look at the copy was ended')
}

function changed(): MeshError {
  return new MeshError('busy', 'the copy was changed while it was read')
}
