/**
 * @module What an API answers that knows nothing of sockets, to the handler that does: a JSON body or
 * pieces without an end.
 */

export type ApiAnswer =
  | {
      readonly kind: 'json'
      readonly status: number
      readonly headers: readonly (readonly [string, string])[]
      readonly body: unknown
      /** What was thrown, when it is a fault of ours: for the log. */
      readonly fault: unknown
      /** Why access was refused, as a word, when it was: for the audit trail. */
      readonly refusal?: string
    }
  | ApiStream

export interface ApiStream {
  readonly kind: 'stream'
  readonly contentType: string
  readonly pieces: AsyncIterable<string>
}
