/**
 * @module Asks upstream whether something really is gone. Only a plain "there is none" counts: whatever else
 * comes, or does not come, keeps the tag.
 */
import type { SyncPlanItemRow } from '../../metadata/rows/upstream.ts'
import { UpstreamError } from '../../upstream/error.ts'
import type { SyncUpstream } from '../port.ts'

export type Proof =
  /** Upstream says so itself, or has it and the filter leaves it out. */
  | 'proven'
  /** Upstream has it again. */
  | 'back'
  /** It could not be asked. */
  | 'unknown'

export class Confirmation {
  readonly #upstream: SyncUpstream
  readonly #signal: AbortSignal
  /** Repositories that are gone are asked for once, not for each tag. */
  readonly #repositories = new Map<string, Promise<Proof>>()

  constructor(upstream: SyncUpstream, signal: AbortSignal) {
    this.#upstream = upstream
    this.#signal = signal
  }

  /** Throws only what the signal was aborted with. */
  async of({ repository, tag, rule }: Asked): Promise<Proof> {
    if (rule !== 'repository-gone') return this.#tag(repository, tag, rule)
    const known = this.#repositories.get(repository) ?? this.#repository(repository)
    this.#repositories.set(repository, known)
    return known
  }

  async #tag(repository: string, tag: string, rule: Asked['rule']): Promise<Proof> {
    try {
      const found = await this.#upstream.tag(repository, tag, this.#signal)
      if (found === undefined) return 'proven'
      return rule === 'unselected' ? 'proven' : 'back'
    } catch {
      this.#signal.throwIfAborted()
      return 'unknown'
    }
  }

  async #repository(repository: string): Promise<Proof> {
    try {
      const pages = this.#upstream.tags(repository, { signal: this.#signal })
      for await (const page of pages) if (page.length > 0) return 'back'
      // It is there and empty: that is not what was seen.
      return 'unknown'
    } catch (error) {
      this.#signal.throwIfAborted()
      const isMissing =
        error instanceof UpstreamError && error.kind === 'missing' && !error.isElsewhere
      return isMissing ? 'proven' : 'unknown'
    }
  }
}

type Asked = Pick<SyncPlanItemRow, 'repository' | 'tag' | 'rule'>
