/**
 * @module Headers of refusals, made of the kind of an error and of its facts. Parts below `http/`
 * know no header: they say where a session stands, or when to come back.
 */
import type { ErrorKind } from '../registry/error-kinds.ts'
import type { RegistryError } from '../registry/errors.ts'
import { formatUploadRange } from '../registry/range.ts'
import type { HeaderList } from './respond.ts'
import { staleWarning } from './stale-reads.ts'

/** What `Allow` says where the path has more methods than the request may use. */
const ALLOWED: Partial<Readonly<Record<ErrorKind, string>>> = {
  DELETES_OFF: 'GET, HEAD, PUT',
  BLOB_IN_USE: 'GET, HEAD',
}

/** Headers that the answer to an error needs beside those that every refusal has. */
export function errorHeaders(error: RegistryError): HeaderList {
  const { kind, facts, retryAfterSeconds } = error
  const headers: [name: string, value: string][] = []
  const allowed = facts?.allowed?.join(', ') ?? ALLOWED[kind]
  if (allowed !== undefined) headers.push(['Allow', allowed])
  if (facts?.challenge !== undefined) headers.push(['WWW-Authenticate', facts.challenge])
  if (facts?.cookie !== undefined) headers.push(['Set-Cookie', facts.cookie])
  if (facts?.blobBytes !== undefined) {
    headers.push(['Content-Range', `bytes */${facts.blobBytes}`])
  }
  if (facts?.session !== undefined) {
    const { repository, id, offsetBytes } = facts.session
    headers.push(
      ['Location', `/v2/${repository}/blobs/uploads/${id}`],
      ['Range', formatUploadRange(offsetBytes)],
      ['Docker-Upload-UUID', id],
    )
  }
  if (retryAfterSeconds !== undefined) headers.push(['Retry-After', String(retryAfterSeconds)])
  if (facts?.isStale === true) headers.push([...staleWarning])
  return headers
}
