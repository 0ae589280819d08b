/**
 * @module A file that is read again when it changes: replaced by a rename, rewritten in place, or
 * behind a symbolic link that now leads elsewhere (as Kubernetes swaps mounted secrets). Looked at
 * once a second off the main thread, because change notices are lost across such swaps.
 */
import { stat } from 'node:fs/promises'
import { readText } from './text-file.ts'

export interface WatchedFileOptions {
  readonly path: string
  /**
   * Takes the new content, and when it was written, ms since the epoch. A throw keeps what was there before, and is
   * told to `onProblem`.
   */
  readonly onContent: (text: string, writtenAt: number) => void
  /** Told once for each state of the file that cannot be used. */
  readonly onProblem: (error: Error) => void
}

const lookEveryMs = 1_000

export class WatchedFile {
  readonly #options: WatchedFileOptions
  #seen = ''
  #problem = ''
  #timer: NodeJS.Timeout | undefined
  #isStopped = false
  #looking: Promise<void> | undefined

  constructor(options: WatchedFileOptions) {
    this.#options = options
  }

  /**
   * Reads the file for the first time, and then watches it. Rejects when it cannot be used; with `isOptional` it tells
   * that to `onProblem` instead, and goes on looking.
   */
  async start({ isOptional = false } = {}): Promise<void> {
    if (isOptional) await this.look()
    else {
      const { identity, writtenAt } = await this.#identity()
      this.#seen = identity
      this.#options.onContent(await readText(this.#options.path), writtenAt)
    }
    // Stopped while it started: another part of the server could not.
    if (this.#isStopped) return
    this.#timer = setInterval(() => void this.look(), lookEveryMs)
    this.#timer.unref()
  }

  stop(): void {
    this.#isStopped = true
    clearInterval(this.#timer)
  }

  /** Looks now. Never rejects. */
  look(): Promise<void> {
    this.#looking ??= this.#look().finally(() => {
      this.#looking = undefined
    })
    return this.#looking
  }

  async #look(): Promise<void> {
    try {
      const { identity, writtenAt } = await this.#identity()
      if (identity === this.#seen) return
      const text = await readText(this.#options.path)
      // Still being written: the next look sees it whole.
      if ((await this.#identity()).identity !== identity) return
      this.#seen = identity
      this.#options.onContent(text, writtenAt)
      this.#problem = ''
    } catch (error) {
      const problem = error instanceof Error ? error : new Error(String(error))
      // A file that went and comes back the same is read again.
      if ((error as NodeJS.ErrnoException).code !== undefined) this.#seen = ''
      if (problem.message === this.#problem) return
      this.#problem = problem.message
      this.#options.onProblem(problem)
    }
  }

  async #identity(): Promise<{ readonly identity: string; readonly writtenAt: number }> {
    const { ino, dev, size, mtimeNs, ctimeNs, mtimeMs } = await stat(this.#options.path, {
      bigint: true,
    })
    const identity = `${dev} ${ino} ${size} ${mtimeNs} ${ctimeNs}`
    return { identity, writtenAt: Number(mtimeMs) }
  }
}
