/**
 * @module A node that the log has left behind: it asks for what a peer has kept, applies that, and follows the log
 * again. Until another member's beat has shown that both have the same rows, nothing here is taken for current.
 *
 *     cut ──► head of the log ──► tail of peers ──► follow ──► a beat with the same chain
 *                                      └ none has it: a whole view is needed
 */
import type { LogEntry, LogPlace, SequencedLog } from './port.ts'
import type { Replica } from './replica.ts'

/** Between two questions to a log that does not answer, ms. */
const askAgainMs = 500

/** What a tail has brought is proven within so long, ms: a beat comes each second. Else it was none of this log. */
const provenMsMax = 60_000

export interface CatchUpParts {
  readonly log: Pick<SequencedLog, 'head' | 'isPlace'>
  readonly replica: Pick<
    Replica,
    'accept' | 'applied' | 'followAgain' | 'giveUp' | 'isProven' | 'isStuck' | 'place' | 'takeTail'
  >
  /** Asks for the entries behind `place`, up to the one of index `upTo`. */
  readonly ask: (place: LogPlace, upTo: number) => void
  /** No peer has them: nothing more is applied. */
  readonly onLost: () => void
  /** Monotonic, ms. */
  readonly now: () => number
}

export class CatchUp {
  readonly #parts: CatchUpParts
  #upTo: number | undefined
  #askAt: number | undefined
  #provenUntil: number | undefined
  #isOver = false

  constructor(parts: CatchUpParts) {
    this.#parts = parts
  }

  /** The log has forgotten what comes next. */
  onCut(): void {
    this.#provenUntil = undefined
    void this.#ask()
  }

  /** Entries of a peer. The last one that is applied then; undefined: they are of no use. */
  take(entries: readonly LogEntry[]): number | undefined {
    const { replica, log } = this.#parts
    const last = entries.at(-1)
    if (this.#upTo === undefined || last === undefined || last.index > this.#upTo) return undefined
    if (!entries.every((it) => log.isPlace?.(it) ?? true)) return undefined
    return replica.takeTail(entries) ? replica.applied : undefined
  }

  /** Peers have no more. `hasSome`: something was taken. */
  end(hasSome: boolean): void {
    const { replica, now } = this.#parts
    if (this.#upTo === undefined) return
    this.#upTo = undefined
    // The log is followed again in a moment, and asks again.
    if (!hasSome && replica.isStuck) return
    if (!hasSome) return this.#lose()
    this.#provenUntil = now() + provenMsMax
    replica.followAgain()
  }

  /** To be called some twenty times a second. */
  tick(): void {
    const { replica, now } = this.#parts
    if (this.#askAt !== undefined && now() >= this.#askAt) void this.#ask()
    if (this.#provenUntil === undefined) return
    if (replica.isProven) this.#provenUntil = undefined
    else if (now() >= this.#provenUntil) void this.#judge()
  }

  close(): void {
    this.#isOver = true
    this.#askAt = undefined
    this.#provenUntil = undefined
  }

  /**
   * No member has said anything that could be compared: the others may be gone. A tail that was none of this log leads
   * to a place from which the log is not followed. Never rejects.
   */
  async #judge(): Promise<void> {
    const { log, replica, now } = this.#parts
    this.#provenUntil = now() + provenMsMax
    const head = await log.head().catch(() => undefined)
    if (this.#isOver || this.#provenUntil === undefined || head === undefined) return
    if (replica.applied < head) return this.#lose()
    this.#provenUntil = undefined
    replica.accept()
  }

  #lose(): void {
    this.close()
    this.#parts.replica.giveUp()
    this.#parts.onLost()
  }

  /** No more than the log has: what a peer says may have no end. Never rejects. */
  async #ask(): Promise<void> {
    const { log, replica, ask, now } = this.#parts
    this.#askAt = undefined
    const head = await log.head().catch(() => undefined)
    if (this.#isOver) return
    if (head === undefined) {
      this.#askAt = now() + askAgainMs
      return
    }
    this.#upTo = head
    ask(replica.place, head)
  }
}
