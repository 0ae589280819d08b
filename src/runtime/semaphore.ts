/**
 * @module So many at a time, first come first served.
 */

export class Semaphore {
  readonly #max: number
  readonly #waiting: (() => void)[] = []
  #taken = 0

  /** `max` is at least 1. */
  constructor(max: number) {
    this.#max = max
  }

  get taken(): number {
    return this.#taken
  }

  get waiting(): number {
    return this.#waiting.length
  }

  /**
   * Resolves with what gives the place back, once there is one; giving it twice is giving it once. Rejects
   * with the signal's reason when that comes first: whoever has left holds nobody up.
   */
  async take(signal?: AbortSignal): Promise<() => void> {
    signal?.throwIfAborted()
    if (this.#taken < this.#max) this.#taken += 1
    else await this.#wait(signal)
    let isMine = true
    return () => {
      if (isMine) this.#give()
      isMine = false
    }
  }

  #wait(signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const onAbort = () => {
        const at = this.#waiting.indexOf(enter)
        if (at !== -1) this.#waiting.splice(at, 1)
        reject(signal!.reason as Error)
      }
      const enter = () => {
        signal?.removeEventListener('abort', onAbort)
        resolve()
      }
      this.#waiting.push(enter)
      signal?.addEventListener('abort', onAbort, { once: true })
    })
  }

  /** The place goes to the next in line, or is free. */
  #give(): void {
    const next = this.#waiting.shift()
    if (next === undefined) this.#taken -= 1
    else next()
  }
}
