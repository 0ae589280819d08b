/**
 * @module What clients of upload sessions are refused with, in the terms of HTTP: where the session
 * stands, so that they can go on from there (distribution-spec, pushing a blob in chunks).
 */

import { isDamage } from '../../blobs/port.ts'
import { RegistryError } from '../../registry/errors.ts'
import type { RepositoryName } from '../../registry/name.ts'
import { formatUploadRange } from '../../registry/range.ts'

/** Where a session stands now. */
export interface SessionPlace {
  readonly repository: RepositoryName
  readonly id: string
  readonly offsetBytes: number
}

/** 416: the chunk does not start where the session stands. */
export function outOfOrder(place: SessionPlace): RegistryError {
  return new RegistryError('BLOB_UPLOAD_INVALID', {
    status: 416,
    message: 'the chunk does not start where the session stands',
    detail: { offset: place.offsetBytes },
    headers: placeHeaders(place),
  })
}

/** 409: another request goes on sending to the session. */
export function sessionInUse(place: SessionPlace): RegistryError {
  return new RegistryError('BLOB_UPLOAD_INVALID', {
    status: 409,
    message:
      'another request is sending to this upload session; wait for its end, cancel the session, or open another',
    detail: { offset: place.offsetBytes },
    headers: { ...placeHeaders(place), 'Retry-After': '1' },
  })
}

/** 409, for the request whose client had stopped sending when a newer one came. */
export function takenOver(): RegistryError {
  return new RegistryError('BLOB_UPLOAD_INVALID', {
    status: 409,
    message:
      'a newer request has taken this upload session over; ask for its status and go on there',
  })
}

/** 400: the body is not as long as its Content-Range says. */
export function wrongLength(expectedBytes: number): RegistryError {
  return new RegistryError('SIZE_INVALID', {
    message: 'the body does not have the length that Content-Range says',
    detail: { expected: expectedBytes },
  })
}

function placeHeaders({ repository, id, offsetBytes }: SessionPlace): Record<string, string> {
  return {
    Location: `/v2/${repository}/blobs/uploads/${id}`,
    Range: formatUploadRange(offsetBytes),
    'Docker-Upload-UUID': id,
  }
}

/** It is not there, or not for whoever asks: nobody learns which. */
export function unknownSession(id: string): RegistryError {
  return new RegistryError('BLOB_UPLOAD_UNKNOWN', { detail: { upload: id } })
}

/** The bytes have another digest than the client said. */
export function isMismatch(error: unknown): boolean {
  return error instanceof RegistryError && error.code === 'DIGEST_INVALID'
}

/** The file is not there or holds less than was acknowledged: a crash took it. */
export function isLost(error: unknown): boolean {
  return error instanceof RegistryError && isDamage(error.cause)
}
