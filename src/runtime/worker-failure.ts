/**
 * @module Failures on the border to worker threads. What else crosses it is plain data, which the
 * owner of a worker describes in its `worker/messages.ts`.
 */

/** Failures cross as data and are rebuilt: `errno` is Node's code (ENOSPC, EIO …) when it has one. */
export interface WorkerFailure {
  readonly errno: string | undefined
  readonly message: string
}

export function toWorkerFailure(error: unknown): WorkerFailure {
  const errno = (error as NodeJS.ErrnoException | undefined)?.code
  const message = error instanceof Error ? error.message : String(error)
  return { errno: typeof errno === 'string' ? errno : undefined, message }
}

/** A failure on this side of the border. `code` is the errno, as Node's own errors have it. */
export class WorkerError extends Error {
  readonly code: string | undefined

  constructor(failure: WorkerFailure) {
    super(failure.message)
    this.name = 'WorkerError'
    this.code = failure.errno
  }
}
