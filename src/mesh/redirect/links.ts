/**
 * @module Links by which a client that may pull a blob from one node gets it from another one: a query of that path,
 * signed with a key that only the nodes have. A link is of one blob in one repository at one node, and ends soon.
 *
 *   ?fastregistry-redirect=<end, seconds since 1970>.<HMAC-SHA-256, base64url>
 */
import { createHmac, timingSafeEqual } from 'node:crypto'
import type { Digest } from '../../registry/digest.ts'
import type { RepositoryName } from '../../registry/name.ts'

/** With which the query of a link begins. */
export const linkMark = 'fastregistry-redirect='

/** How long a link is good for, s: a client follows it at once, and clocks may differ by some seconds. */
const lifeSeconds = 120

const form = /^fastregistry-redirect=(\d{10})\.([A-Za-z0-9_-]{43})$/

export interface LinkTarget {
  /** The node that sends the blob. */
  readonly member: number
  readonly repository: RepositoryName
  readonly digest: Digest
}

/** The query of a link. `now`: milliseconds since 1970. */
export function signLink(key: Uint8Array, target: LinkTarget, now: number): string {
  const end = Math.floor(now / 1000) + lifeSeconds
  return `${linkMark}${end}.${macOf(key, target, String(end)).toString('base64url')}`
}

/** Whether a query is one of this target that has not ended. Takes as long for each wrong signature. */
export function isLinkTo(key: Uint8Array, target: LinkTarget, query: string, now: number): boolean {
  const [, end, signature] = form.exec(query.slice(0, 100)) ?? []
  if (end === undefined || signature === undefined) return false
  const isSigned = timingSafeEqual(macOf(key, target, end), Buffer.from(signature, 'base64url'))
  return isSigned && Number(end) * 1000 > now
}

/** No part has a line break in it. */
function macOf(key: Uint8Array, { member, repository, digest }: LinkTarget, end: string): Buffer {
  const words = ['fastregistry redirect 1', member, repository, digest, end]
  return createHmac('sha256', key).update(words.join('\n')).digest()
}
