/**
 * @module The metadata as a job sees it that runs under a lead: every transaction carries the check of the lead, so
 * that a job which was paused while another node went on with its work has no effect any more. The one seam for it:
 * whoever works for the job gets this store.
 */
import type { MetadataStore } from '../metadata/port.ts'
import type { CommitOutcome, Transaction } from '../metadata/transaction.ts'
import { type Lead, LeadLost } from './leads.ts'

export class LedStore implements MetadataStore {
  readonly #metadata: MetadataStore
  /** Undefined: no job runs here; then nothing is checked. */
  lead: Lead | undefined

  constructor(metadata: MetadataStore) {
    this.#metadata = metadata
  }

  /** As of the store below; throws LeadLost when the lead is this run's no more, and then nothing was applied. */
  async commit(it: Transaction): Promise<CommitOutcome> {
    const { lead } = this
    if (lead === undefined) return this.#metadata.commit(it)
    const outcome = await this.#metadata.commit({ ...it, checks: [lead.check, ...it.checks] })
    if (!outcome.applied && 'check' in outcome.failed && outcome.failed.check === 'lead') {
      throw new LeadLost(lead.check.job)
    }
    return outcome
  }

  get commitCount(): number {
    return this.#metadata.commitCount
  }

  onApplied: MetadataStore['onApplied'] = (listener) => this.#metadata.onApplied(listener)
  onDoubt: MetadataStore['onDoubt'] = (listener) => this.#metadata.onDoubt(listener)
  get: MetadataStore['get'] = (...of) => this.#metadata.get(...of)
  getBytes: MetadataStore['getBytes'] = (...of) => this.#metadata.getBytes(...of)
  keys: MetadataStore['keys'] = (...of) => this.#metadata.keys(...of)
  entries: MetadataStore['entries'] = (...of) => this.#metadata.entries(...of)
  entriesWithin: MetadataStore['entriesWithin'] = (...of) => this.#metadata.entriesWithin(...of)
  keysBackward: MetadataStore['keysBackward'] = (...of) => this.#metadata.keysBackward(...of)
  entriesBackward: MetadataStore['entriesBackward'] = (...of) =>
    this.#metadata.entriesBackward(...of)
  count: MetadataStore['count'] = (database) => this.#metadata.count(database)
  pageIn: MetadataStore['pageIn'] = (...of) => this.#metadata.pageIn(...of)
  fresh = (): Promise<void> | undefined => this.#metadata.fresh?.()
  settled = (path: string): Promise<void> | undefined => this.#metadata.settled?.(path)
}
