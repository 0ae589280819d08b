/**
 * @module Pulls of blobs that one node of a mesh sends to another one: the answer that says where the bytes are, and
 * the request that comes with such a link. The link is the only credential of that request, and good for that blob alone.
 */

import type { Digest } from '../registry/digest.ts'
import { parseDigest } from '../registry/digest.ts'
import { RegistryError } from '../registry/errors.ts'
import type { RepositoryName } from '../registry/name.ts'
import type { Handler, HttpRequest, HttpResponse } from './engine/port.ts'
import { respondEmpty } from './respond.ts'
import { parseRoute } from './router.ts'

/** What is pulled. */
export interface PulledBlob {
  readonly repository: RepositoryName
  readonly digest: Digest
  readonly sizeBytes: number
}

/** As the path names it. */
export interface LinkedBlob {
  readonly repository: RepositoryName
  readonly digest: string
}

export interface Redirects {
  /** With which the query of a link begins. */
  readonly mark: string
  /** Whether clients may be sent elsewhere at all: then their addresses are to be kept. */
  readonly isOn: boolean
  /** Where a client gets the blob; undefined: here. */
  locationOf(client: string, blob: PulledBlob): string | undefined
  /** Whether the query is a link to this blob at this node that has not ended. */
  admits(query: string, blob: Pick<PulledBlob, 'repository' | 'digest'>): boolean
}

/** Sends the client to where the bytes are. False: it gets them here. */
export function redirect(
  redirects: Redirects,
  blob: PulledBlob,
  request: HttpRequest,
  response: HttpResponse,
): boolean {
  // Who was sent here is not sent on: two nodes could go on with that.
  if (request.query.startsWith(redirects.mark)) return false
  const location = redirects.locationOf(request.remoteAddress, blob)
  if (location === undefined) return false
  respondEmpty(response, 307, [
    ['Location', location],
    ['Docker-Content-Digest', blob.digest],
    ['Cache-Control', 'no-store'],
  ])
  return true
}

/**
 * Wraps the dispatcher: a GET of a blob whose query is a link is answered without any other credential, or refused
 * with DENIED. Everything else goes on as if there were no links.
 */
export function takingLinks(
  dispatch: Handler,
  blobs: { readonly get: (blob: LinkedBlob, ...of: Parameters<Handler>) => ReturnType<Handler> },
  redirects: Redirects,
): Handler {
  return (request, response) => {
    if (request.method !== 'GET' || !request.query.startsWith(redirects.mark)) {
      return dispatch(request, response)
    }
    const route = parseRoute(request.path)
    if (route?.kind !== 'blob') return dispatch(request, response)
    request.routeKind = 'blob'
    const { repository } = route
    const digest = parseDigest(route.digest)
    if (digest.ok && redirects.admits(request.query, { repository, digest: digest.value })) {
      return blobs.get(route, request, response)
    }
    const message = 'the link has ended, or is none of this node; ask the registry again'
    throw new RegistryError('DENIED', { message })
  }
}
