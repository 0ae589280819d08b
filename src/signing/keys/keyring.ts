/**
 * @module The public keys of `signing.keys`, by name: those of files are read again when the files change.
 */
import { WatchedFile } from '../../runtime/watched-file.ts'
import type { NamedKey } from '../worker/messages.ts'
import { readPublicKey } from './public-key.ts'

/** A key of the configuration: its text, or the file that has it. */
export interface KeySource {
  readonly name: string
  readonly source:
    | { readonly kind: 'pem'; readonly pem: string }
    | { readonly kind: 'file'; readonly path: string }
}

export class Keyring {
  readonly #keys = new Map<string, string>()
  readonly #files: readonly WatchedFile[]

  /** `onProblem` hears of a file that cannot be used any more: the key that it had stays. */
  constructor(sources: readonly KeySource[], onProblem: (name: string, error: Error) => void) {
    this.#files = sources.flatMap(({ name, source }) => {
      if (source.kind === 'pem') {
        this.#take(name, source.pem)
        return []
      }
      const { path } = source
      const onContent = (text: string) => this.#take(name, text)
      return [new WatchedFile({ path, onContent, onProblem: (error) => onProblem(name, error) })]
    })
  }

  /** As they are now, in no order. */
  get keys(): readonly NamedKey[] {
    return [...this.#keys].map(([name, pem]) => ({ name, pem }))
  }

  /** Reads the files and follows them. Rejects when one cannot be used, with what was expected. */
  async start(): Promise<void> {
    await Promise.all(this.#files.map((file) => file.start()))
  }

  stop(): void {
    for (const file of this.#files) file.stop()
  }

  #take(name: string, pem: string): void {
    const read = readPublicKey(name, pem)
    if (!read.ok) throw new Error(`signing key ${name}: ${read.error}`)
    this.#keys.set(name, pem)
  }
}
