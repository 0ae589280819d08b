/**
 * @module The socket of a long request body, given away: another thread reads the rest by itself, so the
 * main thread copies none of it. The lender (an HTTP engine) makes it, the borrower (a writer of blobs)
 * reads; both see how far it is.
 */

/** `whole`: all that was left has come. `gone`: the client left. `cut`: the borrower was stopped. */
export type LentEnd = 'whole' | 'gone' | 'cut'

export class LentSocket {
  /** A descriptor that nobody else uses, of a connection without encryption. The borrower closes it. */
  readonly descriptor: number
  /** What is left of the body, bytes: the borrower reads not one more. */
  readonly leftBytes: number
  /** Bytes of it that the borrower has read, as far as is known here. */
  receivedBytes = 0
  /** The borrower's: stops reading soon. */
  onCut: (() => void) | undefined
  readonly #queue: { readonly queuedBytes: number }
  #onEnd: ((end: LentEnd) => void) | undefined
  #hasEnded = false

  /** `queue`: how much of it has come and was not read yet. */
  constructor(
    descriptor: number,
    leftBytes: number,
    queue: { readonly queuedBytes: number },
    onEnd: (end: LentEnd) => void,
  ) {
    this.descriptor = descriptor
    this.leftBytes = leftBytes
    this.#queue = queue
    this.#onEnd = onEnd
  }

  /** Whether bytes wait for the borrower, rather than he for the client. */
  get isBehind(): boolean {
    return !this.#hasEnded && this.#queue.queuedBytes > 0
  }

  /** Stops the borrower. `ended` follows; a second call, or a late one, is none. */
  cut(): void {
    if (!this.#hasEnded) this.onCut?.()
  }

  /** The borrower has closed its descriptor. Called once. */
  ended(end: LentEnd): void {
    this.#hasEnded = true
    const onEnd = this.#onEnd
    this.#onEnd = undefined
    onEnd?.(end)
  }
}
