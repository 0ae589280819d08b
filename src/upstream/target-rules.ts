/**
 * @module Where an upstream may send us: redirects and token realms come from outside, so they are
 * judged against what was configured. Never a link-local or metadata address, never from https to
 * http, into a private network only where the upstream itself is in one, and credentials only to a
 * token server of the upstream's own domain or to the one that was configured.
 */
import { type LookupAddress, type LookupOptions, lookup } from 'node:dns'
import type { LookupFunction } from 'node:net'
import { kindOfAddress } from './addresses.ts'
import { UpstreamError } from './error.ts'
import { isOfSameDomain } from './registrable-domain.ts'

/** Which addresses a request may be sent to. */
export type Reach = 'any' | 'public'

/** Longest target that is looked at, characters. */
const targetLengthMax = 8192

/** Whether a host of a URL may not be asked at all with this reach. Names are judged when resolved. */
export function isOutOfReach(hostname: string, reach: Reach): boolean {
  const kind = kindOfAddress(hostname)
  if (kind === undefined) return reach === 'public' && isLocalName(hostname)
  return kind === 'forbidden' || (kind === 'private' && reach === 'public')
}

/** Whether a host of a URL is in a private network by its name alone. */
export function isPrivateHost(hostname: string): boolean {
  return kindOfAddress(hostname) === 'private' || isLocalName(hostname)
}

function isLocalName(hostname: string): boolean {
  return hostname === 'localhost' || hostname.endsWith('.localhost')
}

/** The target of a redirect or a realm. Throws `redirect` when it may not be followed. */
export function judgeTarget(text: string, base: URL, isUpstreamTls: boolean): URL {
  if (text.length > targetLengthMax) throw refuse(base, 'is too long')
  let target: URL
  try {
    target = new URL(text, base)
  } catch {
    throw refuse(base, 'is not a URL')
  }
  if (target.protocol !== 'https:' && (isUpstreamTls || target.protocol !== 'http:')) {
    throw refuse(base, `leads to ${target.protocol}//, which this upstream may not`)
  }
  if (target.username !== '' || target.password !== '') throw refuse(base, 'carries credentials')
  const isMetadata = target.hostname === 'metadata' || target.hostname.startsWith('metadata.')
  if (isMetadata || isOutOfReach(target.hostname, 'any')) {
    throw refuse(base, 'leads to a link-local or metadata address')
  }
  return target
}

/**
 * Throws `auth` unless credentials may go to this token server: the configured one, the upstream's
 * own host and port, or a host of its registrable domain (`auth.docker.io` for
 * `registry-1.docker.io`).
 */
export async function requireTokenServer(
  realm: URL,
  upstream: URL,
  configured: string | undefined,
): Promise<void> {
  if (configured !== undefined) {
    if (realm.origin === new URL(configured).origin) return
  } else if (realm.host === upstream.host) return
  else if (await isOfSameDomain(realm.hostname, upstream.hostname)) return
  const message =
    `${upstream.host} names the token server ${realm.host}, which is not known to be its own; ` +
    `where it is, set token_server: ${realm.origin} beside the credentials`
  throw new UpstreamError('auth', message, { host: upstream.host })
}

function refuse(base: URL, why: string): UpstreamError {
  return new UpstreamError('redirect', `${base.host}: the target it names ${why}`, {
    host: base.host,
    isOurs: true,
  })
}

type LookupCallback = (
  error: NodeJS.ErrnoException | null,
  address: string | LookupAddress[],
  family?: number,
) => void

/**
 * Name resolution that drops addresses out of reach: a name may not lead where a URL may not.
 * `onPrivate` is told of names that lead into a private network.
 */
export function lookupWithin(
  reach: Reach,
  onPrivate: (hostname: string) => void = () => undefined,
): LookupFunction {
  return (hostname: string, options: LookupOptions, callback: LookupCallback): void => {
    lookup(hostname, { ...options, all: true }, (error, found) => {
      if (error !== null) {
        callback(error, [])
        return
      }
      const allowed = found.filter(({ address }) => !isOutOfReach(address, reach))
      if (allowed.some(({ address }) => isPrivateHost(address))) onPrivate(hostname)
      const [first] = allowed
      if (first === undefined) {
        const refusal = Object.assign(new Error(`${hostname} has no address that may be used`), {
          code: 'ENOTFOUND',
        })
        callback(refusal, [])
      } else if (options.all === true) callback(null, allowed)
      else callback(null, first.address, first.family)
    })
  }
}
