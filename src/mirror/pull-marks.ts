/**
 * @module When mirrored content was last pulled: noted on the hot path by one assignment, written in
 * batches. A crash loses the last seconds, which only makes eviction a little less exact.
 */
import type { Digest } from '../registry/digest.ts'

/** Hangs on a prepared answer; `note` runs on every pull. */
export class PullMark {
  readonly digest: Digest
  readonly #marks: PullMarks
  #isNoted = false

  constructor(marks: PullMarks, digest: Digest) {
    this.#marks = marks
    this.digest = digest
  }

  /** `bytes`: what the pull will send. */
  note(bytes: number): void {
    this.#marks.count(bytes)
    if (this.#isNoted) return
    this.#isNoted = true
    this.#marks.note(this)
  }

  taken(): void {
    this.#isNoted = false
  }
}

/** Marks of one mirror. */
export class PullMarks {
  readonly #onHit: (bytes: number) => void
  #noted: PullMark[] = []

  constructor(onHit: (bytes: number) => void) {
    this.#onHit = onHit
  }

  count(bytes: number): void {
    this.#onHit(bytes)
  }

  note(mark: PullMark): void {
    this.#noted.push(mark)
  }

  /** Digests pulled since the last call; bounded by the number of blobs that are prepared. */
  take(): Digest[] {
    const noted = this.#noted
    this.#noted = []
    for (const mark of noted) mark.taken()
    return [...new Set(noted.map(({ digest }) => digest))]
  }
}
