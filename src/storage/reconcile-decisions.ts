/**
 * @module What is done about what the walk found. The walk saw a moment that is over: every decision
 * is taken under the lock that pushes of the same blob or session take, on rows and files read anew.
 *
 * Why this cannot hurt a push: a push moves its file into place and commits its row under the
 * digest's lock. So whoever holds that lock and sees no row sees a file that nobody will claim; and
 * a row that is added here (without links) is one that the next push of the blob overwrites.
 */

import { type BlobDriver, hasObject } from '../blobs/driver.ts'
import type { Quarantine } from '../blobs/quarantine.ts'
import { arrivedRow } from '../blobs/store.ts'
import { putBlob } from '../metadata/edits.ts'
import type { MetadataStore } from '../metadata/port.ts'
import type { Change, Check } from '../metadata/transaction.ts'
import { assertNever } from '../registry/assert-never.ts'
import type { Digest } from '../registry/digest.ts'
import type { Clock } from '../runtime/clock.ts'
import type { KeyedLock } from '../runtime/keyed-lock.ts'
import type { ReconcileFinding } from './worker/messages.ts'

export interface DecisionsOptions {
  readonly driver: Pick<BlobDriver, 'bin' | 'inventory' | 'writer'>
  readonly metadata: MetadataStore
  readonly digestLock: KeyedLock
  readonly quarantine: Quarantine
  readonly sessions: UploadKeeper
  readonly clock: Clock
  /** Upload files that are older than this, ms since the epoch, are not of this run. */
  readonly startedAt: number
  readonly log: ReconcileLog
  /** What else is committed with the row of an adopted blob. */
  readonly onAdopt?: (digest: Digest) => readonly Change[]
}

/** The upload sessions of this run, as `Uploads` keeps them. */
export interface UploadKeeper {
  /** Runs `work` while nobody uses the session; undefined when a worker owns its file. */
  whenIdle<T>(id: string, work: (drop: () => Promise<void>) => Promise<T>): Promise<T | undefined>
}

export interface ReconcileLog {
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
}

/** What was done, in numbers; each finding counts at most once. */
export interface ReconcileCounts {
  /** Blob files that got a row. */
  readonly adopted: number
  /** Blob files that went to the trash: other content than their name says, or not needed. */
  readonly trashed: number
  /** Rows that went because their file is missing or has another length. */
  readonly missing: number
  /** Upload sessions that ended because their bytes are gone. */
  readonly sessionsDropped: number
  /** Upload files that no session counted on. */
  readonly uploadsRemoved: number
  /** Files that were left alone: no blob can have their name. */
  readonly foreign: number
  /** Files that the disk did not deliver. */
  readonly unreadable: number
}

export class ReconcileDecisions {
  readonly #options: DecisionsOptions
  readonly #counts = {
    adopted: 0,
    trashed: 0,
    missing: 0,
    sessionsDropped: 0,
    uploadsRemoved: 0,
    foreign: 0,
    unreadable: 0,
  }

  constructor(options: DecisionsOptions) {
    this.#options = options
  }

  get counts(): ReconcileCounts {
    return { ...this.#counts }
  }

  /** Settles one finding: mends what is still wrong, leaves what is right by now. */
  async decide(finding: ReconcileFinding): Promise<void> {
    switch (finding.kind) {
      case 'stray-upload':
        return this.#removeUploadFile(finding.uploadId)
      case 'lost-upload':
        return this.#dropLostSession(finding.uploadId)
      case 'orphan':
        return this.#settleOrphan(finding)
      case 'double':
        return this.#removeDouble(finding.digest)
      case 'missing':
        return this.#quarantineMissing(finding.digest)
      case 'foreign':
        this.#counts.foreign += 1
        return
      case 'unreadable':
        this.#counts.unreadable += 1
        this.#options.log.warn({ ...finding }, 'a stored file cannot be read')
        return
      default:
        assertNever(finding)
    }
  }

  async #removeUploadFile(uploadId: string): Promise<void> {
    const { driver, metadata, sessions, startedAt } = this.#options
    await sessions.whenIdle(uploadId, async () => {
      const row = metadata.get('uploads', uploadId)
      const found = await driver.inventory.statUpload(uploadId)
      const isNeeded = row !== undefined && row.bytes === undefined
      if (found === undefined || isNeeded || found.changedAt >= startedAt) return
      await driver.writer.discardFile(uploadId)
      this.#counts.uploadsRemoved += 1
    })
  }

  async #dropLostSession(uploadId: string): Promise<void> {
    const { driver, metadata, sessions, log } = this.#options
    await sessions.whenIdle(uploadId, async (drop) => {
      const row = metadata.get('uploads', uploadId)
      const actualBytes = (await driver.inventory.statUpload(uploadId))?.sizeBytes ?? 0
      if (row === undefined || row.bytes !== undefined) return
      if (actualBytes >= row.offsetBytes) return
      await drop()
      this.#counts.sessionsDropped += 1
      const { repository, offsetBytes } = row
      log.info({ uploadId, repository, offsetBytes, actualBytes }, 'upload session lost its bytes')
    })
  }

  async #settleOrphan(finding: ReconcileFinding & { kind: 'orphan' }): Promise<void> {
    const { driver, metadata, digestLock, clock, log, onAdopt } = this.#options
    const { bin, inventory } = driver
    const { digest, object, isGenuine } = finding
    await digestLock.run(digest, async () => {
      const now = await inventory.stat(digest)
      if (metadata.get('blobs', digest) !== undefined) return
      // Swept, and the crash came before the move: collection finishes what it began.
      if (metadata.get('trash', digest) !== undefined) return
      // Another object by now: a push put it there, and it is that push's to finish.
      if (now?.version !== object.version) return
      if (!isGenuine) {
        await bin.quarantine(digest)
        this.#counts.trashed += 1
        log.warn({ digest }, 'a blob file without a row has other content; moved to trash')
        return
      }
      const changes = [
        ...adoptedRows(digest, object.sizeBytes, clock.now()),
        ...(onAdopt?.(digest) ?? []),
      ]
      const checks: Check[] = [{ check: 'absent', in: 'blobs', key: digest }]
      const { applied } = await metadata.commit({ checks, changes })
      if (applied && object.sizeBytes === 0) await bin.remove(digest)
      if (applied) this.#counts.adopted += 1
    })
  }

  async #removeDouble(digest: Digest): Promise<void> {
    const { driver, metadata, digestLock } = this.#options
    await digestLock.run(digest, async () => {
      const row = metadata.get('blobs', digest)
      if (row === undefined || hasObject(row)) return
      await driver.bin.quarantine(digest)
      this.#counts.trashed += 1
    })
  }

  /** The row goes (if nobody has changed it): a pull then answers 404, and a push mends it. */
  async #quarantineMissing(digest: Digest): Promise<void> {
    const { driver, metadata, digestLock, quarantine } = this.#options
    // The lock is taken for the look only; `isolate` takes it again and compares the row.
    const reason = await digestLock.run(digest, async () => {
      const row = metadata.get('blobs', digest)
      const object = await driver.inventory.stat(digest)
      if (row === undefined || !hasObject(row)) return undefined
      if (object?.sizeBytes === row.sizeBytes) return undefined
      const found = object === undefined ? 'no file' : `a file of ${object.sizeBytes} bytes`
      return { row, text: `${found} where the row says ${row.sizeBytes} bytes` }
    })
    if (reason === undefined) return
    await quarantine.isolate(digest, reason.row, reason.text)
    this.#counts.missing += 1
  }
}

/** An empty blob lives in the metadata, as when it is pushed: no driver has objects of no bytes. */
function adoptedRows(digest: Digest, sizeBytes: number, at: number): Change[] {
  const inlineBytes = sizeBytes === 0 ? new Uint8Array(0) : undefined
  return putBlob(digest, arrivedRow(sizeBytes, inlineBytes, at), inlineBytes)
}
