/**
 * @module Why something of a copy failed, in the fixed words.
 */
import { assertNever } from '../../registry/assert-never.ts'
import { RegistryError } from '../../registry/errors.ts'
import { UpstreamError } from '../../upstream/error.ts'
import { SyncError, type SyncReason } from '../port.ts'

/** Upstream sent bytes that are not what it promised: asked once more, then given up. */
export class CorruptError extends UpstreamError {
  constructor(message: string) {
    super('garbage', message)
  }
}

/** Any error as one with a fixed word. What the caller aborted with is thrown as it is. */
export function toSyncError(error: unknown, signal: AbortSignal): SyncError {
  if (signal.aborted) throw signal.reason
  if (error instanceof SyncError) return error
  const options = { cause: error }
  const message = error instanceof Error ? error.message : String(error)
  if (error instanceof CorruptError)
    return new SyncError('corrupt-upstream', message, true, options)
  if (error instanceof UpstreamError) {
    return new SyncError(reasonOf(error), message, isPassing(error), options)
  }
  if (error instanceof RegistryError) return ofRegistry(error)
  return new SyncError('internal', message, true, options)
}

function reasonOf({ kind }: UpstreamError): SyncReason {
  switch (kind) {
    case 'missing':
      return 'child-missing'
    case 'hidden':
    case 'denied':
      return 'denied'
    case 'auth':
      return 'credentials'
    case 'dns':
    case 'refused':
    case 'reset':
    case 'circuit':
    case 'busy':
      return 'unreachable'
    case 'timeout':
    case 'stall':
      return 'timeout'
    case 'tls':
      return 'tls'
    case 'limited':
      return 'rate-limited'
    case 'rejected':
    case 'server':
    case 'garbage':
    case 'redirect':
      return 'upstream-error'
    default:
      return assertNever(kind)
  }
}

function isPassing(error: UpstreamError): boolean {
  return error.isPassing || error.kind === 'busy' || error.kind === 'garbage'
}

/** What the store says of a write. */
function ofRegistry(error: RegistryError): SyncError {
  const options = { cause: error }
  const { message, status } = error
  if (status === 507) return new SyncError('no-space', message, true, options)
  if (error.code === 'MANIFEST_INVALID' || error.code === 'DIGEST_INVALID') {
    return new SyncError('bad-manifest', message, false, options)
  }
  return new SyncError('internal', message, status >= 500, options)
}
