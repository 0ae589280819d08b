/**
 * @module A refused credential in the middle of a run: of one repository, or of all that would follow? Some registries
 * say the same of both, so the source is asked. A credential that is asked with again and again is locked out.
 */
import { SyncError } from '../../port.ts'
import { toSyncError } from '../../sources/failures.ts'

/** Refusals in a row after which nothing good is expected, whatever the source says of the credential. */
const inRowMax = 5

export interface RefusalParts {
  /** Throws `credentials` where the credential itself is refused. */
  readonly probe: () => Promise<void>
  readonly end: (error: SyncError) => void
}

export class Refusals {
  readonly #parts: RefusalParts
  #asking: Promise<SyncError | undefined> | undefined
  #inRow = 0

  constructor(parts: RefusalParts) {
    this.#parts = parts
  }

  /** Something was given for the credential. */
  ok(): void {
    this.#inRow = 0
  }

  /** What a failure is called, once it is known what was refused. Other failures stay as they are. */
  async judge(error: SyncError): Promise<SyncError> {
    if (error.reason !== 'credentials') return error
    this.#inRow += 1
    this.#asking ??= this.#ask().finally(() => {
      this.#asking = undefined
    })
    const refused = (await this.#asking) ?? (this.#inRow >= inRowMax ? error : undefined)
    if (refused === undefined)
      return new SyncError('denied', error.message, false, { cause: error })
    this.#parts.end(refused)
    return refused
  }

  async #ask(): Promise<SyncError | undefined> {
    try {
      await this.#parts.probe()
      return undefined
    } catch (error) {
      const failure = toSyncError(error)
      return failure.reason === 'credentials' ? failure : undefined
    }
  }
}
