/**
 * @module Where an upstream may send us: redirects and token realms come from outside, so they are
 * judged against what was configured. Never a link-local or metadata address, never from https to
 * http, into a private network only where the upstream itself is in one, and credentials only to a
 * token server of the upstream's own domain or to the one that was configured.
 */
import { type LookupAddress, type LookupOptions, lookup } from 'node:dns'
import { BlockList, isIP, type LookupFunction } from 'node:net'
import type { Ask, PathAsk } from './ask.ts'
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

export type AddressKind = 'forbidden' | 'private' | 'public'

const forbidden = listOf([
  // Link-local, where clouds keep the credentials of the machine.
  '169.254.0.0/16',
  'fe80::/10',
  // Services of clouds for their machines, outside of the link-local networks.
  '100.100.100.200/32',
  '168.63.129.16/32',
  '192.0.0.192/32',
  'fd00:ec2::254/128',
  'fd00:42::42/128',
  'fd20:ce::254/128',
  // "This host": connects to loopback under another name.
  '0.0.0.0/8',
  '::/128',
  // Nobody's single host.
  '224.0.0.0/4',
  '255.255.255.255/32',
  'ff00::/8',
  // Teredo hides the address that it leads to.
  '2001::/32',
])

const privateNetworks = listOf([
  '127.0.0.0/8',
  '10.0.0.0/8',
  '172.16.0.0/12',
  '192.168.0.0/16',
  '192.0.0.0/24',
  '198.18.0.0/15',
  // Carrier-grade NAT, and what overlay networks take for their own.
  '100.64.0.0/10',
  '::1/128',
  'fc00::/7',
  'fec0::/10',
  // NAT64 of the local network, whose other end only its operator knows.
  '64:ff9b:1::/48',
])

/** Longest text that can be an address, with brackets and a zone. */
const addressLengthMax = 128

/** The kind of an address as text, with or without brackets; undefined for a name. */
export function kindOfAddress(text: string): AddressKind | undefined {
  if (text.length > addressLengthMax) return undefined
  const unbracketed = text.startsWith('[') && text.endsWith(']') ? text.slice(1, -1) : text
  const zone = unbracketed.indexOf('%')
  const plain = zone === -1 ? unbracketed : unbracketed.slice(0, zone)
  switch (isIP(plain)) {
    case 4:
      return kindOf(plain, 'ipv4')
    case 6: {
      const carried = carriedIpv4(plain)
      return carried === undefined ? kindOf(plain, 'ipv6') : kindOf(carried, 'ipv4')
    }
    default:
      return undefined
  }
}

function kindOf(address: string, family: 'ipv4' | 'ipv6'): AddressKind {
  if (forbidden.check(address, family)) return 'forbidden'
  return privateNetworks.check(address, family) ? 'private' : 'public'
}

/** The IPv4 address in a mapped, compatible, NAT64 or 6to4 one. */
function carriedIpv4(address: string): string | undefined {
  const groups = groupsOf(address)
  const [first, second] = groups
  if (first === 0x2002) return ipv4(groups[1]!, groups[2]!)
  const isNat64 = first === 0x64 && second === 0xff9b && groups.slice(2, 6).every((it) => it === 0)
  const isEmbedded = groups.slice(0, 5).every((it) => it === 0) && isMappedOrCompatible(groups)
  return isNat64 || isEmbedded ? ipv4(groups[6]!, groups[7]!) : undefined
}

/** `::ffff:a.b.c.d` or `::a.b.c.d`, but for `::` and `::1`. */
function isMappedOrCompatible(groups: readonly number[]): boolean {
  if (groups[5] === 0xffff) return true
  return groups[5] === 0 && (groups[6] !== 0 || groups[7]! > 1)
}

function ipv4(high: number, low: number): string {
  return [high >> 8, high & 0xff, low >> 8, low & 0xff].join('.')
}

/** The eight groups of an IPv6 address that `isIP` has taken. */
function groupsOf(address: string): number[] {
  const [head = '', tail] = address.split('::')
  const front = expand(head)
  if (tail === undefined) return front
  const back = expand(tail)
  return [...front, ...new Array<number>(8 - front.length - back.length).fill(0), ...back]
}

function expand(text: string): number[] {
  if (text === '') return []
  return text.split(':').flatMap((group) => {
    if (!group.includes('.')) return [Number.parseInt(group, 16)]
    const [a = 0, b = 0, c = 0, d = 0] = group.split('.').map(Number)
    return [(a << 8) | b, (c << 8) | d]
  })
}

function listOf(networks: readonly string[]): BlockList {
  const list = new BlockList()
  for (const network of networks) {
    const [address = '', bits] = network.split('/')
    list.addSubnet(address, Number(bits), isIP(address) === 6 ? 'ipv6' : 'ipv4')
  }
  return list
}

/** Largest body that is sent, characters. */
const bodyLengthMax = 64 * 1024

/** Where it goes; `repository`: with the path of the upstream's URL. Throws for what is no path. */
export function urlOf(ask: Ask | PathAsk, origin: URL, repository: string): URL {
  if (!('path' in ask)) return new URL(`/v2/${repository}/${ask.tail}`, origin)
  // Two slashes would name a host.
  const url = new URL(`${origin.origin}${ask.path}`)
  if (!ask.path.startsWith('/') || url.origin !== origin.origin) {
    throw new Error(`not a path of ${origin.host}`)
  }
  if ((ask.body?.length ?? 0) > bodyLengthMax) throw new Error('the body of a request is too large')
  return url
}
