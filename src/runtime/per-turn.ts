/**
 * @module A bounded number of callers in each turn of the event loop; the others wait in line. For
 * work that is too dear to be done a thousand times between two looks at the sockets.
 */

export class PerTurn {
  readonly #passesMax: number
  readonly #waiting: (() => void)[] = []
  #passesLeft: number
  #isScheduled = false

  constructor(passesMax: number) {
    this.#passesMax = passesMax
    this.#passesLeft = passesMax
  }

  /** True: go on now. False: `wait`, others are in line or this turn has had its share. */
  tryPass(): boolean {
    if (this.#passesLeft === 0 || this.#waiting.length > 0) return false
    this.#passesLeft -= 1
    this.#schedule()
    return true
  }

  /** Resolves when it is this caller's turn. */
  wait(): Promise<void> {
    this.#schedule()
    return new Promise((resolve) => this.#waiting.push(resolve))
  }

  #schedule(): void {
    if (this.#isScheduled) return
    this.#isScheduled = true
    setImmediate(this.#nextTurn)
  }

  readonly #nextTurn = (): void => {
    this.#isScheduled = false
    const called = this.#waiting.splice(0, this.#passesMax)
    this.#passesLeft = this.#passesMax - called.length
    for (const resolve of called) resolve()
    if (this.#passesLeft < this.#passesMax) this.#schedule()
  }
}
