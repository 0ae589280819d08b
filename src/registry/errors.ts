/**
 * @module The one error class. `error-kinds.ts` has a row for each case: its code, its status and its
 * message. `http/respond-error.ts` alone turns an error into an answer, and `http/error-headers.ts`
 * makes the headers.
 */
import { ERRORS, type ErrorCode, type ErrorKind } from './error-kinds.ts'
import type { ErrorRow } from './error-row.ts'

/** The table with every column: most rows have none of the optional ones. */
const ROWS: Readonly<Record<ErrorKind, ErrorRow & { readonly code: ErrorCode }>> = ERRORS

/** What the headers of the answer are made of, beside the kind. No part of the body. */
export interface ErrorFacts {
  /** When the same request may succeed, where the error knows it better than its kind. */
  readonly retryAfterSeconds?: number
  /** Methods that the path has. */
  readonly allowed?: readonly string[]
  /** Where an upload session stands. */
  readonly session?: {
    readonly repository: string
    readonly id: string
    readonly offsetBytes: number
  }
  /** How many bytes the blob has of which a range was asked for. */
  readonly blobBytes?: number
  /** Which credentials are wanted, as `WWW-Authenticate` has it. */
  readonly challenge?: string
  /** A cookie that the client is to forget, as `Set-Cookie` has it. */
  readonly cookie?: string
  /** Whether it rests on rows that may be old. */
  readonly isStale?: boolean
}

export interface RegistryErrorOptions {
  readonly message?: string
  /** Free JSON for the client: digests, offsets, limits. Never a secret or a path. */
  readonly detail?: unknown
  readonly facts?: ErrorFacts
  readonly cause?: unknown
  /** Further entries of `errors[]`, where one request fails for several reasons. */
  readonly more?: readonly { readonly message: string; readonly detail?: unknown }[]
  /** What another registry answered, where that is passed on (`UPSTREAM_REJECTS`). */
  readonly passedOn?: { readonly code?: ErrorCode; readonly status?: number }
}

/** A refusal that ends a request. Callers match `kind`, never the text. */
export class RegistryError extends Error {
  readonly kind: ErrorKind
  readonly code: ErrorCode
  readonly status: number
  readonly detail: unknown
  readonly facts: ErrorFacts | undefined
  readonly more: NonNullable<RegistryErrorOptions['more']>

  constructor(kind: ErrorKind, options: RegistryErrorOptions = {}) {
    const row = ROWS[kind]
    const status = options.passedOn?.status ?? row.status
    const { stackTraceLimit } = Error
    // Every push asks for blobs that are not there yet: a stack would cost more than the answer.
    if (status < 500) Error.stackTraceLimit = 0
    super(options.message ?? row.message, { cause: options.cause })
    Error.stackTraceLimit = stackTraceLimit
    this.name = 'RegistryError'
    this.kind = kind
    this.code = options.passedOn?.code ?? row.code
    this.status = status
    this.detail = options.detail
    this.facts = options.facts
    this.more = options.more ?? []
  }

  /** The same refusal with further facts. */
  withFacts(facts: ErrorFacts): RegistryError {
    const { message, detail, cause, more, code, status } = this
    const passedOn = { code, status }
    const all = { ...this.facts, ...facts }
    return new RegistryError(this.kind, { message, detail, facts: all, cause, more, passedOn })
  }

  /** The same refusal, whose detail is this. */
  withDetail(detail: unknown): RegistryError {
    const { message, facts = {}, cause, more, code, status } = this
    const passedOn = { code, status }
    return new RegistryError(this.kind, { message, detail, facts, cause, more, passedOn })
  }

  /** Undefined: it is not known when the same request may succeed. */
  get retryAfterSeconds(): number | undefined {
    return this.facts?.retryAfterSeconds ?? ROWS[this.kind].retryAfterSeconds
  }

  /** See `ErrorRow`. */
  get auditWord(): ErrorRow['auditWord'] {
    return ROWS[this.kind].auditWord
  }

  /** What the admin API calls it. */
  get word(): string {
    return ROWS[this.kind].word ?? this.code
  }
}
