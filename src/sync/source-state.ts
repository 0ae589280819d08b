/**
 * @module The row of a source's state, as its runner keeps it. On one node what is in memory is what is stored; in a mesh
 * every node writes the row, so it is read before each decision, and changed from what is there.
 */
import type { SyncStateRow } from '../metadata/rows/upstream.ts'
import { refusedAtStart } from './runs/back-off.ts'
import type { RunParts } from './runs/parts.ts'

export class SourceState {
  readonly #parts: Pick<RunParts, 'config' | 'journal' | 'clock' | 'fingerprint'>
  readonly #isShared: boolean
  #row: SyncStateRow = { isPaused: false, hasTick: false }
  /** What stood there at the start, and when that was. */
  #refusedBefore: number | undefined
  #openedAt = 0

  constructor(
    parts: Pick<RunParts, 'config' | 'journal' | 'clock' | 'fingerprint'>,
    isShared: boolean,
  ) {
    this.#parts = parts
    this.#isShared = isShared
  }

  get row(): SyncStateRow {
    return this.#row
  }

  /** A run succeeded with what the configuration selects now. */
  get isOk(): boolean {
    const { lastOkAt, fingerprint } = this.#row
    return lastOkAt !== undefined && fingerprint === this.#parts.fingerprint
  }

  /** Takes up what is stored, at the start. */
  open(): void {
    this.#openedAt = this.#parts.clock.now()
    const stored = this.#stored
    this.#refusedBefore = stored.refusedUntil
    this.#row = refusedAtStart(stored, this.#openedAt)
  }

  /** Takes up what other nodes have written. */
  learn(): void {
    const stored = this.#stored
    const isBefore = stored.refusedUntil === this.#refusedBefore
    this.#row = isBefore ? refusedAtStart(stored, this.#openedAt) : stored
  }

  /** On disk when it resolves. */
  put(some: Partial<SyncStateRow>): Promise<void> {
    return this.change((row) => ({ ...row, ...some }))
  }

  /** On disk when it resolves. In a mesh `change` may be called more than once. */
  async change(change: (row: SyncStateRow) => SyncStateRow): Promise<void> {
    const { journal, config } = this.#parts
    if (this.#isShared) {
      this.#row = await journal.changeState(config.name, change)
      return
    }
    this.#row = change(this.#row)
    await journal.putState(config.name, this.#row)
  }

  get #stored(): SyncStateRow {
    return this.#parts.journal.state(this.#parts.config.name) ?? this.#row
  }
}
