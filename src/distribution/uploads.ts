/**
 * @module Upload sessions: opened, continued, asked about, finished, cancelled, expired
 * (distribution-spec, pushing-blobs). One writer a session: requests on one session take turns
 * (`distribution/upload/turns.ts`). Every acknowledged offset is in the metadata before the client hears of it.
 */

import { recordEvent } from '../metadata/edits.ts'
import { inTurns } from '../metadata/scan.ts'
import type { UploadRow } from '../metadata/schema.ts'
import { type Algorithm, type Digest, defaultAlgorithm } from '../registry/digest.ts'
import { isDigestMismatch } from '../registry/digest-mismatch.ts'
import type { RegistryError } from '../registry/errors.ts'
import { adoptionsPerTurnMax } from '../registry/limits.ts'
import type { RepositoryName } from '../registry/name.ts'
import type { ByteSpan } from '../registry/range.ts'
import { PerTurn } from '../runtime/per-turn.ts'
import { ClientQuota } from './client-quota.ts'
import { commitBlob, storeUpload } from './commit-blob.ts'
import type { UploadBody } from './upload/body.ts'
import { newUploadId } from './upload/id.ts'
import { KeptSessions } from './upload/kept-sessions.ts'
import type { UploadsOptions } from './upload/options.ts'
import {
  isLost,
  isUnknownSession,
  sessionInUse,
  takenOver,
  unknownSession,
} from './upload/refusals.ts'
import { checkSpan, UploadSession } from './upload/session.ts'
import { TakenOver, type Turn, UploadTurns } from './upload/turns.ts'

/** What a chunk says of itself: its span, when it has a Content-Range. */
export type ChunkSpan = ByteSpan | undefined

export class Uploads {
  readonly #options: UploadsOptions
  readonly #turns: UploadTurns
  readonly #kept: KeptSessions
  readonly #quota: ClientQuota
  readonly #adoptions = new PerTurn(adoptionsPerTurnMax)

  constructor(options: UploadsOptions) {
    this.#options = options
    this.#turns = new UploadTurns(options.clock)
    const isHeld = (id: string) => this.#turns.isHeld(id)
    this.#kept = new KeptSessions(options.clock, isHeld, options.inlineLimitBytes)
    this.#quota = new ClientQuota(options.uploadsPerClientMax)
  }

  /** Sessions open now: for the metric. */
  get openCount(): number {
    return this.#quota.total
  }

  /** Counts the sessions that an earlier run left. Call once, before the first request. */
  recover(): void {
    for (const { row } of this.#options.metadata.entries('uploads', [], undefined, 1_000_000)) {
      this.#quota.restore(row.client)
    }
  }

  /**
   * Opens a session, which `user` alone may use then. Its row is on disk when this resolves to its id.
   */
  async open(
    repository: RepositoryName,
    algorithm: Algorithm | undefined,
    client: string,
    user?: string,
  ): Promise<string> {
    const { metadata, clock, random, member } = this.#options
    this.#quota.take(client)
    const id = newUploadId(random, member)
    const now = clock.now()
    const row: UploadRow = {
      repository,
      algorithm: algorithm ?? defaultAlgorithm,
      offsetBytes: 0,
      startedAt: now,
      touchedAt: now,
      client,
      ...(user === undefined ? {} : { owner: user }),
      bytes: new Uint8Array(0),
    }
    try {
      await metadata.commit({
        checks: [],
        changes: [{ change: 'put', in: 'uploads', key: id, row }],
      })
    } catch (error) {
      this.#quota.give(client)
      throw error
    }
    return id
  }

  /** Bytes received so far. Throws BLOB_UPLOAD_UNKNOWN, also for a session of another user. */
  offset(repository: RepositoryName, id: string, user?: string): number {
    this.#requireOwner(id, user)
    return this.#row(repository, id).offsetBytes
  }

  /**
   * Appends a chunk (ranged) or a stream (all or nothing); resolves to the new offset. Rejects with 409
   * when another client goes on sending to the session, or when a newer request has taken it over.
   * A request that waits for its turn is dropped when its client leaves.
   */
  async append(
    repository: RepositoryName,
    id: string,
    span: ChunkSpan,
    body: UploadBody,
    user?: string,
  ): Promise<number> {
    this.#requireOwner(id, user)
    return this.#inTurn(repository, id, body, async (turn) => {
      const session = this.#load(repository, id)
      await this.#receive(session, span, turn.hold(body))
      await this.#acknowledge(session)
      return session.offsetBytes
    })
  }

  /**
   * Takes the last bytes (if any), verifies, makes the blob durable and visible in the repository;
   * the history has it as `by`'s. A session that is gone is no error when the blob is there: the first answer was lost. Otherwise as `append`.
   */
  async finish(
    repository: RepositoryName,
    id: string,
    digest: Digest,
    span: ChunkSpan,
    body: UploadBody,
    by: string,
    user?: string,
  ): Promise<void> {
    this.#requireOwner(id, user)
    return this.#inTurn(repository, id, body, async (turn) => {
      if (this.#find(id) === undefined && this.#isLinked(repository, digest)) return
      const session = this.#load(repository, id)
      session.expect(digest)
      const isEmpty = body.bodyBytes === 0
      try {
        if (!isEmpty || span !== undefined) await this.#receive(session, span, turn.hold(body))
        await this.#seal(session, digest, by)
      } catch (error) {
        // Its bytes became the blob before, and its end alone was not written: nobody was answered.
        if (!isUnknownSession(error) || !this.#isLinked(repository, digest)) throw error
      }
    })
  }

  /** A whole blob in one request: no session is ever visible (`POST …?digest=`). */
  async pushWhole(
    repository: RepositoryName,
    digest: Digest,
    client: string,
    body: UploadBody,
    by: string,
  ): Promise<void> {
    if ((body.bodyBytes ?? Number.POSITIVE_INFINITY) > this.#options.inlineLimitBytes) {
      const id = await this.open(repository, undefined, client)
      await this.#pushThrough(repository, id, digest, body, by)
      return
    }
    const now = this.#options.clock.now()
    const row: UploadRow = {
      repository,
      algorithm: defaultAlgorithm,
      offsetBytes: 0,
      startedAt: now,
      touchedAt: now,
      client,
    }
    const session = this.#newSession('', { ...row, bytes: new Uint8Array(0) })
    await session.receive(body, body.bodyBytes, false)
    await this.#commit(session, digest, undefined, by)
  }

  async #pushThrough(
    repository: RepositoryName,
    id: string,
    digest: Digest,
    body: UploadBody,
    by: string,
  ): Promise<void> {
    try {
      await this.finish(repository, id, digest, undefined, body, by)
    } catch (error) {
      // Nobody knows the id: what is left of the session would only wait for its expiry.
      await this.cancel(repository, id).catch(() => undefined)
      throw error
    }
  }

  /**
   * Ends a session and removes its bytes; a request that is sending to it is cut. Throws
   * BLOB_UPLOAD_UNKNOWN.
   */
  async cancel(repository: RepositoryName, id: string, user?: string): Promise<void> {
    this.#requireOwner(id, user)
    this.#row(repository, id)
    const drop = () => this.#drop(this.#load(repository, id))
    return this.#inTurn(repository, id, undefined, drop, true)
  }

  #inTurn<T>(
    repository: RepositoryName,
    id: string,
    body: UploadBody | undefined,
    work: (turn: Turn) => Promise<T>,
    isEnding = false,
  ): Promise<T> {
    const refuse = () =>
      sessionInUse({ repository, id, offsetBytes: this.#row(repository, id).offsetBytes })
    return this.#turns.run(id, { body, isEnding, refuse }, work)
  }

  /** Parks idle workers and removes sessions that expired. Called on a timer. */
  async sweep(): Promise<void> {
    const { metadata, clock, uploadTtlMs } = this.#options
    this.#kept.parkIdle()
    this.#quota.settle((id) => metadata.get('uploads', id) !== undefined)
    for (const key of await this.#expiredIds()) {
      // Somebody is at it: then it has not expired, or the next sweep finds it.
      await this.#whenFree(key, async () => {
        const row = metadata.get('uploads', key)
        if (row === undefined || clock.now() - row.touchedAt <= uploadTtlMs) return
        await this.#drop(this.#kept.get(key) ?? this.#newSession(key, row))
      })
    }
  }

  /**
   * Runs `work` while no request uses the session and no worker owns its file; undefined when one
   * does. `drop` ends the session, if there is one. For reconciliation.
   */
  whenIdle<T>(id: string, work: (drop: () => Promise<void>) => Promise<T>): Promise<T | undefined> {
    return this.#whenFree(id, async () => {
      if (this.#kept.isAdopted(id)) return undefined
      return work(async () => {
        const row = this.#options.metadata.get('uploads', id)
        if (row !== undefined) await this.#drop(this.#newSession(id, row))
      })
    })
  }

  /** Undefined while a request has the session or waits for it: nobody waits for a client here. */
  async #whenFree<T>(id: string, work: () => Promise<T>): Promise<T | undefined> {
    if (this.#turns.isHeld(id)) return undefined
    const options = { body: undefined, isEnding: false, refuse: () => new Error('not free') }
    return this.#turns.run(id, options, work)
  }

  async #expiredIds(): Promise<string[]> {
    const { metadata, clock, uploadTtlMs } = this.#options
    const expired: string[] = []
    for await (const { key, row } of inTurns(metadata, 'uploads', [])) {
      if (clock.now() - row.touchedAt > uploadTtlMs) expired.push(key)
    }
    return expired
  }

  /** Lets every worker go; files and rows stay for the next run. */
  close(): void {
    this.#kept.parkAll()
  }

  /** Before anything else: whoever comes to a session may end the request that uses it. */
  #requireOwner(id: string, user: string | undefined): void {
    const owner = this.#find(id)?.owner
    if (owner !== undefined && owner !== user) throw unknownSession(id)
  }

  #isLinked(repository: RepositoryName, digest: Digest): boolean {
    return this.#options.metadata.get('links', [repository, digest]) !== undefined
  }

  #row(repository: RepositoryName, id: string): UploadRow {
    const row = this.#options.metadata.get('uploads', id)
    if (row === undefined || row.repository !== repository) throw unknownSession(id)
    return row
  }

  /** What does not change in the row of a session that is there; without decoding it where possible. */
  #find(id: string): Pick<UploadRow, 'repository' | 'owner'> | undefined {
    return this.#kept.get(id)?.row ?? this.#options.metadata.get('uploads', id)
  }

  #load(repository: RepositoryName, id: string): UploadSession {
    const kept = this.#kept.get(id)
    if (kept === undefined) return this.#newSession(id, this.#row(repository, id))
    if (kept.row.repository !== repository) throw unknownSession(id)
    return kept
  }

  #newSession(id: string, row: UploadRow): UploadSession {
    const { writer, inlineLimitBytes, shared } = this.#options
    const parts = { writer, inlineLimitBytes, shared, adoptions: this.#adoptions }
    return new UploadSession(id, row, parts)
  }

  /** Takes the body; what a failure leaves of the session is written down at once. */
  async #receive(session: UploadSession, span: ChunkSpan, body: UploadBody): Promise<void> {
    if (span !== undefined) checkSpan(session, span, body)
    try {
      await session.receive(body, span?.length ?? body.bodyBytes, span !== undefined)
    } catch (error) {
      if (isLost(error)) throw await this.#giveUp(session)
      await this.#acknowledge(session).catch(() => undefined)
      throw error instanceof TakenOver ? takenOver() : error
    } finally {
      this.#kept.keep(session)
    }
  }

  /** Writes down where the session stands; nothing is told to a client before. */
  async #acknowledge(session: UploadSession): Promise<void> {
    const { metadata, clock } = this.#options
    const row = session.rowNow(clock.now())
    try {
      await metadata.commit({
        checks: [{ check: 'present', in: 'uploads', key: session.id }],
        changes: [{ change: 'put', in: 'uploads', key: session.id, row }],
      })
    } catch (error) {
      // What is in memory is ahead of the row: the next request goes on from the row.
      this.#kept.park(session)
      throw error
    }
  }

  async #seal(session: UploadSession, digest: Digest, by: string): Promise<void> {
    try {
      await this.#commit(session, digest, session.id, by)
    } catch (error) {
      if (isLost(error)) throw await this.#giveUp(session)
      if (isDigestMismatch(error)) await this.#drop(session)
      else {
        this.#kept.park(session)
        this.#quota.doubt(session.id, session.row.client)
      }
      throw error
    }
    this.#ended(session)
    await session.discardLeftover()
  }

  async #commit(
    session: UploadSession,
    digest: Digest,
    uploadId: string | undefined,
    by: string,
  ): Promise<void> {
    const { metadata, clock } = this.#options
    await storeUpload(this.#options, session, digest, (blob, placed) => {
      const { repository } = session.row
      const now = clock.now()
      const event = recordEvent({ at: now, action: 'push-blob', repository, by, digest })
      return commitBlob(metadata, blob, { repository, uploadId, now, more: [event], placed })
    })
  }

  /** Ends a session whose bytes are gone; the client starts a new one. */
  async #giveUp(session: UploadSession): Promise<RegistryError> {
    await this.#drop(session)
    return unknownSession(session.id)
  }

  async #drop(session: UploadSession): Promise<void> {
    await this.#options.metadata.commit({
      checks: [],
      changes: [{ change: 'delete', in: 'uploads', key: session.id }],
    })
    this.#ended(session)
    await session.discard()
  }

  #ended({ id, row }: UploadSession): void {
    this.#kept.delete(id)
    this.#quota.end(id, row.client)
  }
}
