/**
 * @module Whether two names belong to the same owner, by the public suffix list. Loaded when the
 * first token server is named that is not on its upstream's own host: the list costs 26 ms.
 * @apart the one file that knows the list of public suffixes
 */
import { isIP } from 'node:net'

/** `auth.docker.io` and `registry-1.docker.io`; never for addresses and single labels. */
export async function isOfSameDomain(one: string, other: string): Promise<boolean> {
  if (isIP(one) !== 0 || isIP(other) !== 0) return false
  const { getDomain } = await import('tldts')
  const domain = getDomain(one, { allowPrivateDomains: true })
  return domain !== null && domain === getDomain(other, { allowPrivateDomains: true })
}
