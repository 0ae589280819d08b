/**
 * @module Who waits for more of a growing blob. Readers are woken together: few of them once a turn of
 * the event loop, with all that the turn has brought; many a quarter of a MiB or some milliseconds
 * later, because five hundred wakes for every piece would be all that the thread does. The first
 * bytes wake everybody at once.
 */

const fewReaders = 8
const wakeBytes = 256 * 1024
const wakeMs = 5

export class FillWaiters {
  #arrived: Promise<void> | undefined
  #wake: (() => void) | undefined
  #timer: NodeJS.Timeout | undefined
  #immediate: NodeJS.Immediate | undefined
  #wokenAt = 0

  /** Resolves at the next wake. */
  wait(): Promise<void> {
    this.#arrived ??= new Promise((resolve) => {
      this.#wake = resolve
    })
    return this.#arrived
  }

  /** There are `availableBytes` now, for so many readers. */
  offer(availableBytes: number, readers: number): void {
    if (this.#wake === undefined) return
    const isDue = this.#wokenAt === 0 || availableBytes - this.#wokenAt >= wakeBytes
    if (isDue) this.wakeAll(availableBytes)
    else if (readers <= fewReaders)
      this.#immediate ??= setImmediate(() => this.wakeAll(availableBytes))
    else this.#timer ??= setTimeout(() => this.wakeAll(availableBytes), wakeMs)
  }

  wakeAll(availableBytes: number): void {
    clearTimeout(this.#timer)
    clearImmediate(this.#immediate)
    this.#timer = undefined
    this.#immediate = undefined
    this.#wokenAt = availableBytes
    const wake = this.#wake
    this.#arrived = undefined
    this.#wake = undefined
    wake?.()
  }
}
