/**
 * @module What a failure of an upstream is called in the results of a sync.
 */
import { assertNever } from '../../registry/assert-never.ts'
import { type Failure, isOfLimit, toUpstreamError, UpstreamError } from '../../upstream/error.ts'
import { SyncError, type SyncReason } from '../port.ts'

/** Any error as one with a fixed word; what is one already stays as it is. */
export function toSyncError(error: unknown): SyncError {
  if (error instanceof SyncError) return error
  if (!(error instanceof UpstreamError)) {
    const message = error instanceof Error ? error.message : String(error)
    return new SyncError('internal', message, false, { cause: error })
  }
  // A page of a proxy is gone in a moment.
  const isPassing = error.isPassing || error.kind === 'garbage' || error.kind === 'busy'
  return new SyncError(reasonOf(error), error.message, isPassing, { cause: error })
}

/**
 * Whether the credential itself was refused: nothing more of this run will be given. What is refused to a
 * credential that is good otherwise is `denied`, and concerns that alone.
 */
export function isCredentialRefused(error: unknown): boolean {
  return toSyncError(error).reason === 'credentials'
}

/** When a host may be asked again, ms since 1970; undefined where it did not refuse for that. */
export function retryAtOf(error: unknown): number | undefined {
  if (error instanceof SyncError) return retryAtOf(error.cause)
  return error instanceof UpstreamError ? error.retryAt : undefined
}

/** Whether no host of the source answers, as far as that can be told from one failure. */
export function isDown(error: unknown): boolean {
  if (error instanceof SyncError) return isDown(error.cause)
  if (!(error instanceof UpstreamError) || isOfLimit(error)) return false
  return error.kind === 'dns' || error.kind === 'refused' || error.kind === 'circuit'
}

/** Whether a question to which every host has an answer got none. */
export function isUnanswered(error: unknown): boolean {
  if (error instanceof SyncError && error.cause !== undefined) return isUnanswered(error.cause)
  if (!(error instanceof UpstreamError)) return false
  return error.isPassing && !isOfLimit(error)
}

function reasonOf(error: UpstreamError): SyncReason {
  if (isOfLimit(error)) return 'rate-limited'
  if (error.kind !== 'circuit') return wordOf(error.kind)
  const cause = error.cause === undefined ? undefined : toUpstreamError(error.cause, '')
  return cause === undefined ? 'unreachable' : reasonOf(cause)
}

function wordOf(kind: Exclude<Failure, 'circuit'>): SyncReason {
  switch (kind) {
    case 'auth':
      return 'credentials'
    case 'hidden':
    case 'denied':
      return 'denied'
    case 'dns':
    case 'refused':
    case 'reset':
      return 'unreachable'
    case 'timeout':
    case 'stall':
    case 'busy':
      return 'timeout'
    case 'tls':
      return 'tls'
    case 'limited':
      return 'rate-limited'
    case 'missing':
    case 'rejected':
    case 'server':
    case 'garbage':
    case 'redirect':
      return 'upstream-error'
    default:
      return assertNever(kind)
  }
}
