/**
 * @module A read without a lease: asks the log for its last entry and waits until the rows here show it. One
 * question is under way and one waits at most, however many readers there are.
 */
import { RegistryError } from '../registry/errors.ts'

/** A log that did not answer is not asked again for so long, ms: or readers would wait in line for time-outs. */
const restMs = 1_000

export interface BarrierParts {
  readonly head: () => Promise<number>
  /** Undefined: they show it. */
  readonly whenVisible: (index: number) => Promise<void> | undefined
  /** Monotonic, ms. */
  readonly now: () => number
}

export class Barrier {
  readonly #parts: BarrierParts
  #underWay: Promise<void> | undefined
  #waiting: Promise<void> | undefined
  #restsUntil = Number.NEGATIVE_INFINITY
  #hasFailed = false

  constructor(parts: BarrierParts) {
    this.#parts = parts
  }

  /** Whether the last question had no answer. */
  get hasFailed(): boolean {
    return this.#hasFailed
  }

  /**
   * Resolves when the rows here show all that was in the log at the time of the call. Rejects with LOG_SILENT,
   * for a second at once.
   */
  pass(): Promise<void> {
    if (this.#parts.now() < this.#restsUntil) return Promise.reject(new RegistryError('LOG_SILENT'))
    // What is under way may have been asked before the call: an answer of then would be too old.
    if (this.#underWay !== undefined) {
      this.#waiting ??= this.#underWay.catch(() => undefined).then(() => this.#next())
      return this.#waiting
    }
    return this.#ask()
  }

  #next(): Promise<void> {
    this.#waiting = undefined
    return this.pass()
  }

  #ask(): Promise<void> {
    const asked = this.#parts
      .head()
      .then((index) => this.#parts.whenVisible(index))
      .then(() => {
        this.#hasFailed = false
      })
      .catch(() => {
        this.#hasFailed = true
        this.#restsUntil = this.#parts.now() + restMs
        throw new RegistryError('LOG_SILENT')
      })
      .finally(() => {
        this.#underWay = undefined
      })
    this.#underWay = asked
    return asked
  }
}
