/**
 * @module The secret of a source's hook: read from its file, and again when that changes.
 */
import { createHash, timingSafeEqual } from 'node:crypto'
import { WatchedFile } from '../../runtime/watched-file.ts'

export class HookSecret {
  readonly #file: WatchedFile
  #digest: Buffer | undefined

  constructor(path: string, onProblem: (error: Error) => void) {
    this.#file = new WatchedFile({
      path,
      onContent: (text) => {
        const secret = text.trim()
        // Nothing would be a secret that everybody knows.
        if (secret === '') throw new Error(`${path} is empty`)
        this.#digest = digestOf(secret)
      },
      onProblem,
    })
  }

  /** Rejects when the file cannot be used. */
  start(): Promise<void> {
    return this.#file.start()
  }

  stop(): void {
    this.#file.stop()
  }

  /** In a time that says nothing of the secret. */
  is(secret: string): boolean {
    return this.#digest !== undefined && timingSafeEqual(this.#digest, digestOf(secret))
  }
}

function digestOf(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}
