/**
 * @module Why an upstream did not give what was asked: one class of failure each, for answers,
 * metrics and the decision whether to try again.
 */
import { assertNever } from '../registry/assert-never.ts'
import { RegistryError } from '../registry/errors.ts'

/** Every class, in words that metrics and answers carry. */
export const FAILURES = [
  /** Upstream says that it does not have it (404). */
  'missing',
  /** Upstream wants to know who asks, and no credentials are configured, or its token is not enough. */
  'hidden',
  /** 403: upstream knows who asks and does not give it. */
  'denied',
  /** Any other 4xx: the request is at fault, not the host. */
  'rejected',
  'dns',
  'refused',
  'reset',
  /** No connection or no first byte in time. */
  'timeout',
  /** Bytes stopped, or only dripped. */
  'stall',
  'tls',
  /** The configured credentials are refused, or must not be sent where upstream wants them. */
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
  /** Not asked at all: our own line for this host was too long. */
  'busy',
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

/** What upstream means, and will mean in a moment as well: remembered, and never a reason to fail. */
const REFUSALS: ReadonlySet<Failure> = new Set(['missing', 'hidden', 'denied', 'rejected'])

/** Longest piece of an upstream's own words that is passed on, characters. */
const wordsMax = 300

export interface UpstreamErrorOptions {
  readonly status?: number | undefined
  /** What upstream's own host said, for the client's error detail. */
  readonly words?: string | undefined
  /** The code of the first error in its body, in the shape of the specification. */
  readonly code?: string | undefined
  /** A host that a redirect named has answered so. */
  readonly isElsewhere?: boolean
  /** Nobody was asked, or was given too little time: the host has not failed. */
  readonly isOurs?: boolean
  readonly host?: string | undefined
  readonly retryAfterMs?: number | undefined
  /** Of `limited`, where it takes long: when it may be asked again, ms since 1970. */
  readonly retryAt?: number | undefined
  readonly cause?: unknown
}

export class UpstreamError extends Error {
  readonly kind: Failure
  readonly status: number | undefined
  readonly words: string | undefined
  readonly code: string | undefined
  readonly host: string | undefined
  readonly retryAfterMs: number | undefined
  readonly retryAt: number | undefined
  readonly isElsewhere: boolean
  readonly isOurs: boolean

  constructor(kind: Failure, message: string, options: UpstreamErrorOptions = {}) {
    super(message, { cause: options.cause })
    this.name = 'UpstreamError'
    this.kind = kind
    this.status = options.status
    this.words = options.words?.slice(0, wordsMax)
    this.code = options.code
    this.host = options.host
    this.retryAfterMs = options.retryAfterMs
    this.retryAt = options.retryAt
    this.isElsewhere = options.isElsewhere === true
    this.isOurs = options.isOurs === true
  }

  get isPassing(): boolean {
    return PASSING.has(this.kind)
  }

  /** Whether upstream has answered, and the answer is no. */
  get isRefusal(): boolean {
    return REFUSALS.has(this.kind)
  }
}

/**
 * Whether a HEAD was not understood, or said nothing, or was refused as only HEADs may be: then a GET
 * is asked. (Some registries answer each HEAD with 401 or 403, links are signed for GET alone.)
 */
export function isHeadUnknown(error: unknown): boolean {
  if (!(error instanceof UpstreamError)) return false
  return error.kind === 'garbage' || (error.isRefusal && error.kind !== 'missing')
}

/** Whether it failed because too much was asked for: of what asks now, or of what has asked before. */
export function isOfLimit(error: unknown): boolean {
  if (!(error instanceof UpstreamError)) return false
  return error.kind === 'limited' || (error.kind === 'circuit' && isOfLimit(error.cause))
}

/**
 * Whether a registry that has the referrers API says so of a subject that it does not know: Quay answers
 * 400 where the specification wants an empty list. There may still be a fallback tag.
 */
export function meansNoReferrers(error: unknown): boolean {
  if (!(error instanceof UpstreamError) || error.status !== 400) return false
  return error.code === 'MANIFEST_INVALID' || error.code === 'MANIFEST_UNKNOWN'
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

/**
 * The answer to a client. Upstream's refusals keep their meaning: 404, 403, or the 4xx that it was.
 * What may pass is 504 for time, 503 for our own line and 502 for everything else, with what
 * upstream did and what the operator can do.
 */
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
    ...(known.words === undefined || known.words === '' ? {} : { upstream: known.words }),
  }
  const { kind } = known
  switch (kind) {
    case 'missing':
      return new RegistryError(what, { message: 'upstream does not have it', detail, cause: error })
    case 'hidden':
      return new RegistryError(what, {
        message: `upstream does not have it, or shows it to others only; credentials of the mirror ${mirror} may help`,
        detail,
        cause: error,
      })
    case 'denied':
      return new RegistryError('UPSTREAM_DENIES', {
        message: `upstream refuses it to the mirror ${mirror}`,
        detail,
        cause: error,
      })
    case 'rejected':
      return rejection(known, detail)
    case 'timeout':
    case 'stall':
      return failure('UPSTREAM_TOO_SLOW', known, mirror, detail)
    case 'busy':
      return failure('UPSTREAM_BUSY', known, mirror, detail)
    case 'dns':
    case 'refused':
    case 'reset':
    case 'tls':
    case 'auth':
    case 'limited':
    case 'server':
    case 'garbage':
    case 'redirect':
    case 'circuit':
      return failure('UPSTREAM_FAILED', known, mirror, detail)
    default:
      return assertNever(kind)
  }
}

/** Statuses of upstreams that mean the same from us. Any other of class 4xx is answered as the kind is. */
const PASSED_ON: ReadonlySet<number> = new Set([405, 406, 413, 414, 451])

function rejection(known: UpstreamError, detail: object): RegistryError {
  const { code = '', status = 400 } = known
  return new RegistryError('UPSTREAM_REJECTS', {
    passedOn: {
      ...(isRefusalCode(code) ? { code } : {}),
      ...(PASSED_ON.has(status) ? { status } : {}),
    },
    message: `upstream refuses the request with ${status}`,
    detail,
    cause: known,
  })
}

/** Codes of the specification that are about what was asked for. */
const REFUSAL_CODES = ['NAME_INVALID', 'DIGEST_INVALID', 'MANIFEST_INVALID'] as const

function isRefusalCode(code: string): code is (typeof REFUSAL_CODES)[number] {
  return REFUSAL_CODES.some((it) => it === code)
}

function failure(
  ours: 'UPSTREAM_TOO_SLOW' | 'UPSTREAM_BUSY' | 'UPSTREAM_FAILED',
  known: UpstreamError,
  mirror: string,
  detail: object,
): RegistryError {
  const { kind } = known
  const retryAfterSeconds = Math.max(1, Math.ceil((known.retryAfterMs ?? 1000) / 1000))
  const advice = ADVICE[kind]
  return new RegistryError(ours, {
    message: `upstream of ${mirror} failed (${kind}): ${known.message}${advice === undefined ? '' : `; ${advice}`}`,
    detail,
    cause: known,
    facts: { retryAfterSeconds },
  })
}

/** What the operator can do, where it is not plain from the failure. */
const ADVICE: Partial<Record<Failure, string>> = {
  auth: 'see `credentials` of the mirror',
  limited: 'credentials of the mirror may raise the limit',
  busy: 'see `limits.connections` of the mirror',
  tls: 'see `ca` of the mirror',
  dns: 'see `upstream` of the mirror, or its `proxy`',
}
