/**
 * @module The files of a simulated node: they take their time, and a loss of power takes what was not flushed.
 */
import type { CopyFiles } from '../../../src/mesh/copies.ts'
import type { NodeRun } from './virtual-time.ts'

export interface PinFilesParts {
  /** The run that works on them now. */
  readonly run: () => NodeRun
  /** How long a step takes, ms. */
  readonly stepMs: () => number
  /** A file is about to be removed, and is removed. */
  readonly onDiscard: (digest: string, step: 'decided' | 'done') => void
}

export class PinFiles implements CopyFiles {
  readonly #parts: PinFilesParts
  /** Each with whether it is flushed. */
  readonly #files = new Map<string, boolean>()
  readonly #trash = new Set<string>()

  constructor(parts: PinFilesParts) {
    this.#parts = parts
  }

  /** Whether the file outlives a loss of power. */
  isFlushed(digest: string): boolean {
    return this.#files.get(digest) === true
  }

  get names(): readonly string[] {
    return [...this.#files.keys()]
  }

  get trashed(): readonly string[] {
    return [...this.#trash]
  }

  async place(digest: string): Promise<void> {
    await this.#step()
    this.#files.set(digest, this.isFlushed(digest))
    await this.confirm(digest)
  }

  async confirm(digest: string): Promise<boolean> {
    await this.#step()
    if (!this.#files.has(digest)) return false
    this.#files.set(digest, true)
    return true
  }

  /** Moves the file out of the trash; in place it may be already. Rejects when it is nowhere. */
  async restore(digest: string): Promise<void> {
    if (await this.confirm(digest)) return
    if (!this.#trash.delete(digest)) throw new Error('not in the trash')
    this.#files.set(digest, false)
    await this.confirm(digest)
  }

  async discard(digest: string, to: 'trash' | 'nowhere'): Promise<void> {
    if (!this.#files.has(digest)) return
    this.#parts.onDiscard(digest, 'decided')
    await this.#step()
    this.#files.delete(digest)
    if (to === 'trash') this.#trash.add(digest)
    this.#parts.onDiscard(digest, 'done')
  }

  async purge(digest: string): Promise<void> {
    await this.#step()
    this.#trash.delete(digest)
  }

  async *list(): AsyncIterable<string> {
    for (const digest of new Set([...this.names, ...this.#trash])) {
      await this.#step()
      yield digest
    }
  }

  losePower(): void {
    for (const [digest, isFlushed] of this.#files) if (!isFlushed) this.#files.delete(digest)
  }

  #step(): Promise<void> {
    return this.#parts.run().sleep(this.#parts.stepMs())
  }
}
