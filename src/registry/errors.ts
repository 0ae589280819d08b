/**
 * @module The one table of error codes and the one error class. The 14 codes of the distribution
 * specification (spec.md#error-codes) and two of ours for answers of class 5xx, whose codes the
 * specification leaves open. `http/respond-error.ts` alone turns an error into an answer.
 */

/** Every code with the status it usually has and a message that says what to do. */
export const ERRORS = {
  BLOB_UNKNOWN: { status: 404, message: 'blob is not in this repository; push or mount it first' },
  BLOB_UPLOAD_INVALID: { status: 400, message: 'upload request does not fit its session' },
  BLOB_UPLOAD_UNKNOWN: { status: 404, message: 'upload session is unknown here; start a new one' },
  DIGEST_INVALID: { status: 400, message: 'digest is malformed or does not match the content' },
  MANIFEST_BLOB_UNKNOWN: {
    status: 400,
    message: 'manifest refers to content that is not in this repository; push it first',
  },
  MANIFEST_INVALID: { status: 400, message: 'manifest is not valid' },
  MANIFEST_UNKNOWN: { status: 404, message: 'manifest is not in this repository' },
  NAME_INVALID: { status: 400, message: 'repository name is not valid' },
  NAME_UNKNOWN: { status: 404, message: 'repository is not known to this registry' },
  SIZE_INVALID: { status: 400, message: 'length given is not the length received' },
  UNAUTHORIZED: { status: 401, message: 'authentication is required' },
  DENIED: { status: 403, message: 'access to the requested resource is denied' },
  UNSUPPORTED: { status: 405, message: 'operation is not supported' },
  TOOMANYREQUESTS: { status: 429, message: 'too many requests; try again later' },
  UNKNOWN: { status: 500, message: 'internal error; the request id leads to the log entry' },
  UNAVAILABLE: { status: 503, message: 'temporarily unavailable; try again later' },
} as const

export type ErrorCode = keyof typeof ERRORS

export interface RegistryErrorOptions {
  /** HTTP status, where it is not the usual one of the code (413, 416, 412, 507 …). */
  readonly status?: number
  readonly message?: string
  /** Free JSON for the client: digests, offsets, limits. Never a secret or a path. */
  readonly detail?: unknown
  readonly cause?: unknown
  /** Headers that the answer needs beside the usual ones (Allow, Content-Range, Retry-After …). */
  readonly headers?: Readonly<Record<string, string>>
  /** Further entries of `errors[]`, where one request fails for several reasons. */
  readonly more?: readonly { readonly message: string; readonly detail?: unknown }[]
  /** Its word in the audit trail, where somebody asked for more than he is given. */
  readonly refusal?: 'limited' | 'too-many-uploads' | 'cross-site' | 'unknown-host'
}

/** A refusal that ends a request. Callers match `code`, never the text. */
export class RegistryError extends Error {
  readonly code: ErrorCode
  readonly status: number
  readonly detail: unknown
  readonly headers: Readonly<Record<string, string>> | undefined
  readonly more: NonNullable<RegistryErrorOptions['more']>
  readonly refusal: RegistryErrorOptions['refusal']

  constructor(code: ErrorCode, options: RegistryErrorOptions = {}) {
    const status = options.status ?? ERRORS[code].status
    const { stackTraceLimit } = Error
    // Every push asks for blobs that are not there yet: a stack would cost more than the answer.
    if (status < 500) Error.stackTraceLimit = 0
    super(options.message ?? ERRORS[code].message, { cause: options.cause })
    Error.stackTraceLimit = stackTraceLimit
    this.name = 'RegistryError'
    this.code = code
    this.status = status
    this.detail = options.detail
    this.headers = options.headers
    this.more = options.more ?? []
    this.refusal = options.refusal
  }
}
