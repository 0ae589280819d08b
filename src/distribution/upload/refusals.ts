/**
 * @module What clients of upload sessions are refused with: where the session stands, so that they can go
 * on from there (distribution-spec, pushing a blob in chunks).
 */

import { isDamage } from '../../blobs/port.ts'
import { RegistryError } from '../../registry/errors.ts'
import type { RepositoryName } from '../../registry/name.ts'

/** Where a session stands now. */
export interface SessionPlace {
  readonly repository: RepositoryName
  readonly id: string
  readonly offsetBytes: number
}

/** The chunk does not start where the session stands. */
export function outOfOrder(place: SessionPlace): RegistryError {
  return new RegistryError('CHUNK_OUT_OF_ORDER', {
    detail: { offset: place.offsetBytes },
    facts: { session: place },
  })
}

/** Another request goes on sending to the session. */
export function sessionInUse(place: SessionPlace): RegistryError {
  return new RegistryError('SESSION_IN_USE', {
    detail: { offset: place.offsetBytes },
    facts: { session: place },
  })
}

/** For the request whose client had stopped sending when a newer one came. */
export function takenOver(): RegistryError {
  return new RegistryError('SESSION_TAKEN_OVER')
}

/** The body is not as long as its Content-Range says. */
export function wrongLength(expectedBytes: number): RegistryError {
  return new RegistryError('SIZE_INVALID', {
    message: 'the body does not have the length that Content-Range says',
    detail: { expected: expectedBytes },
  })
}

/** It is not there, or not for whoever asks: nobody learns which. */
export function unknownSession(id: string): RegistryError {
  return new RegistryError('BLOB_UPLOAD_UNKNOWN', { detail: { upload: id } })
}

export function isUnknownSession(error: unknown): boolean {
  return error instanceof RegistryError && error.kind === 'BLOB_UPLOAD_UNKNOWN'
}

/** The file is not there or holds less than was acknowledged: a crash took it. */
export function isLost(error: unknown): boolean {
  return error instanceof RegistryError && isDamage(error.cause)
}
