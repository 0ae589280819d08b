/**
 * @module A row of the table of errors.
 */

export interface ErrorRow {
  readonly code: string
  readonly status: number
  /** What to do, where the place that throws has no better words. */
  readonly message: string
  /** When the same request may succeed; `facts` of an error say it better where they know it. */
  readonly retryAfterSeconds?: number
  /** Its word in the audit trail, where a client asks for more than it is given. */
  readonly auditWord?:
    | 'limited'
    | 'too-many-uploads'
    | 'cross-site'
    | 'unknown-host'
    | 'hook-secret'
    | 'signature'
  /** Its word in the admin API, where that is not the code. */
  readonly word?: string
}
