/**
 * @module One run at a time per key, shared by everybody who asks meanwhile.
 */

export class SingleFlight<T> {
  readonly #running = new Map<string, Promise<T>>()

  get size(): number {
    return this.#running.size
  }

  isRunning(key: string): boolean {
    return this.#running.has(key)
  }

  /** The run under way for `key`, or a new one. `onJoined` is told that there was one. */
  run(key: string, work: () => Promise<T>, onJoined?: () => void): Promise<T> {
    const running = this.#running.get(key)
    if (running !== undefined) {
      onJoined?.()
      return running
    }
    const started = work().finally(() => this.#running.delete(key))
    this.#running.set(key, started)
    return started
  }
}
