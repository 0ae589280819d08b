/**
 * @module What a failure of the disk means to a client: 507 when it is full, 500 otherwise. The
 * cause stays for the log; the client learns nothing of paths.
 */
import { RegistryError } from './errors.ts'

const DISK_IS_FULL: ReadonlySet<string> = new Set(['ENOSPC', 'EDQUOT', 'MDB_MAP_FULL', 'EFBIG'])

/** Descriptors or memory ran out: the same request may succeed in a moment. */
const TRY_AGAIN: ReadonlySet<string> = new Set(['EMFILE', 'ENFILE', 'EAGAIN', 'ENOMEM'])

/** The answer to a failed read or write. A RegistryError passes unchanged. */
export function storageFault(error: unknown): RegistryError {
  if (error instanceof RegistryError) return error
  const code = (error as { code?: unknown } | undefined)?.code
  const text = error instanceof Error ? error.message : ''
  if ((typeof code === 'string' && DISK_IS_FULL.has(code)) || text.includes('MDB_MAP_FULL')) {
    return new RegistryError('DISK_FULL', { cause: error })
  }
  if (typeof code === 'string' && TRY_AGAIN.has(code)) {
    return new RegistryError('BUSY', { cause: error })
  }
  return new RegistryError('UNKNOWN', { cause: error })
}
