/**
 * @module What an API answers that knows nothing of sockets, to the handler that does: a JSON body or
 * pieces without an end.
 */
import type { RegistryError } from '../registry/errors.ts'

export type ApiAnswer =
  | {
      readonly kind: 'json'
      readonly status: number
      readonly headers: readonly (readonly [string, string])[]
      readonly body: unknown
      /** The refusal that the body is made of: for its headers, and its word in the audit trail. */
      readonly error: RegistryError | undefined
      /** What was thrown, when it is a fault of ours: for the log. */
      readonly fault: unknown
    }
  | ApiStream

export interface ApiStream {
  readonly kind: 'stream'
  readonly contentType: string
  readonly pieces: AsyncIterable<string>
}
