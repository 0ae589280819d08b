/**
 * @module Why an upstream did not give what was asked: one class of failure each, for answers,
 * metrics and the decision whether to try again.
 */
import { RegistryError } from '../registry/errors.ts'

/** Every class, in words that metrics and answers carry. */
export const FAILURES = [
  /** Upstream says that it does not have it (404). */
  'missing',
  'dns',
  'refused',
  'reset',
  /** No connection or no first byte in time. */
  'timeout',
  /** Bytes stopped, or only dripped. */
  'stall',
  'tls',
  /** 401, 403, or no token to be had. */
  'auth',
  /** 429. */
  'limited',
  /** 5xx. */
  'server',
  /** An answer that no registry gives: wrong digest, wrong length, HTML, a coding not asked for. */
  'garbage',
  /** A redirect or a token realm that may not be followed. */
  'redirect',
  /** Not asked at all: the host failed too often a moment ago. */
  'circuit',
] as const

export type Failure = (typeof FAILURES)[number]

/** Failures that another attempt, or another upstream, may mend. */
const PASSING: ReadonlySet<Failure> = new Set([
  'dns',
  'refused',
  'reset',
  'timeout',
  'stall',
  'server',
  'limited',
  'circuit',
  'tls',
])

/** Longest piece of an upstream's own words that is passed on, characters. */
const wordsMax = 300

export interface UpstreamErrorOptions {
  readonly status?: number | undefined
  /** What upstream said, for the client's error detail. */
  readonly words?: string | undefined
  readonly host?: string | undefined
  readonly retryAfterMs?: number | undefined
  readonly cause?: unknown
}

export class UpstreamError extends Error {
  readonly kind: Failure
  readonly status: number | undefined
  readonly words: string | undefined
  readonly host: string | undefined
  readonly retryAfterMs: number | undefined

  constructor(kind: Failure, message: string, options: UpstreamErrorOptions = {}) {
    super(message, { cause: options.cause })
    this.name = 'UpstreamError'
    this.kind = kind
    this.status = options.status
    this.words = options.words?.slice(0, wordsMax)
    this.host = options.host
    this.retryAfterMs = options.retryAfterMs
  }

  get isPassing(): boolean {
    return PASSING.has(this.kind)
  }
}

const TLS_CODE = /^(?:CERT_|ERR_TLS|ERR_SSL|UNABLE_TO_|DEPTH_ZERO|SELF_SIGNED|EPROTO$)/
const GARBAGE_CODE = /^(?:HPE_|UND_ERR_RES|UND_ERR_HEADERS_OVERFLOW|UND_ERR_REQ_CONTENT)/

const BY_CODE: Readonly<Record<string, Failure>> = {
  ENOTFOUND: 'dns',
  EAI_AGAIN: 'dns',
  EAI_FAIL: 'dns',
  ENODATA: 'dns',
  ECONNREFUSED: 'refused',
  EHOSTUNREACH: 'refused',
  ENETUNREACH: 'refused',
  EADDRNOTAVAIL: 'refused',
  ETIMEDOUT: 'timeout',
  UND_ERR_CONNECT_TIMEOUT: 'timeout',
}

/** An error of the network or the HTTP library as one of ours. */
export function toUpstreamError(error: unknown, host: string): UpstreamError {
  if (error instanceof UpstreamError) return error
  const code = codeOf(error)
  const message = error instanceof Error ? error.message : String(error)
  const kind =
    BY_CODE[code] ?? (TLS_CODE.test(code) ? 'tls' : GARBAGE_CODE.test(code) ? 'garbage' : 'reset')
  return new UpstreamError(kind, `${host}: ${message || code}`, { host, cause: error })
}

function codeOf(error: unknown): string {
  const { code, errors, cause } = (error ?? {}) as {
    code?: unknown
    errors?: unknown
    cause?: unknown
  }
  if (typeof code === 'string') return code
  if (Array.isArray(errors) && errors.length > 0) return codeOf(errors[0])
  return cause === undefined ? '' : codeOf(cause)
}

/** Statuses of refusals: 404 for what is not there, 504 for time, 502 for everything else. */
export function toRegistryError(
  error: unknown,
  mirror: string,
  what: 'MANIFEST_UNKNOWN' | 'BLOB_UNKNOWN' | 'NAME_UNKNOWN',
): RegistryError {
  if (error instanceof RegistryError) return error
  const known = toUpstreamError(error, mirror)
  const detail = {
    mirror,
    failure: known.kind,
    ...(known.status === undefined ? {} : { upstreamStatus: known.status }),
    ...(known.words === undefined ? {} : { upstream: known.words }),
  }
  if (known.kind === 'missing') {
    return new RegistryError(what, { message: 'upstream does not have it', detail, cause: error })
  }
  const isTime = known.kind === 'timeout' || known.kind === 'stall'
  const seconds = Math.max(1, Math.ceil((known.retryAfterMs ?? 1000) / 1000))
  return new RegistryError('UNAVAILABLE', {
    status: isTime ? 504 : 502,
    message: `upstream of ${mirror} failed (${known.kind}): ${known.message}`,
    detail,
    cause: error,
    headers: { 'Retry-After': String(seconds) },
  })
}
