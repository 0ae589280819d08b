/**
 * @module The socket of a long request body, given away: another thread reads the rest by itself, so the
 * main thread copies none of it. The lender (an HTTP engine) makes it, the borrower (a writer of blobs)
 * reads; both see how far it is.
 */

/**
 * `whole`: all that was left has come. `overrun`: and more, which was read too. `gone`: the client left, or
 * sent what is no body. `cut`: the borrower was stopped.
 */
export type LentEnd = 'whole' | 'overrun' | 'gone' | 'cut'

/** What is left of a body: so many bytes, or of the chunk that has begun, with others behind it. */
export type LentRest =
  | { readonly kind: 'length'; readonly bytes: number }
  | { readonly kind: 'chunked'; readonly leftInChunk: number }

export class LentSocket {
  /** A descriptor that nobody else uses, of a connection without encryption. The borrower closes it. */
  readonly descriptor: number
  /** Of a length, the borrower reads not one byte more. */
  readonly rest: LentRest
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
    rest: LentRest,
    queue: { readonly queuedBytes: number },
    onEnd: (end: LentEnd) => void,
  ) {
    this.descriptor = descriptor
    this.rest = rest
    this.#queue = queue
    this.#onEnd = onEnd
  }

  /** Whether bytes wait for the borrower, rather than that for the client. */
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
