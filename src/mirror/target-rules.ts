/**
 * @module Where an upstream may send us: redirects and token realms come from outside, so they are
 * judged like any input. Never a link-local or metadata address, never from https to http.
 */
import { type LookupAddress, type LookupOptions, lookup } from 'node:dns'
import { BlockList, isIP } from 'node:net'
import { UpstreamError } from './upstream-error.ts'

const forbidden = new BlockList()
// Link-local, where clouds keep the credentials of the machine.
forbidden.addSubnet('169.254.0.0', 16, 'ipv4')
forbidden.addSubnet('fe80::', 10, 'ipv6')
// Metadata services outside the link-local networks.
forbidden.addAddress('fd00:ec2::254', 'ipv6')
forbidden.addAddress('100.100.100.200', 'ipv4')
forbidden.addAddress('192.0.0.192', 'ipv4')
// "This host": connects to loopback under another name.
forbidden.addSubnet('0.0.0.0', 8, 'ipv4')
forbidden.addAddress('::', 'ipv6')

export function isForbiddenAddress(address: string): boolean {
  const plain = address.replace(/^\[|\]$/g, '').replace(/%.*$/, '')
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(plain)?.[1]
  if (mapped !== undefined) return forbidden.check(mapped, 'ipv4')
  const family = isIP(plain)
  return family !== 0 && forbidden.check(plain, family === 6 ? 'ipv6' : 'ipv4')
}

/** The target of a redirect or a realm. Throws `redirect` when it may not be followed. */
export function judgeTarget(text: string, base: URL, isUpstreamTls: boolean): URL {
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
  if (isForbiddenAddress(target.hostname) || /^metadata(?:\.|$)/i.test(target.hostname)) {
    throw refuse(base, 'leads to a link-local or metadata address')
  }
  return target
}

function refuse(base: URL, why: string): UpstreamError {
  return new UpstreamError('redirect', `${base.host}: the target it names ${why}`, {
    host: base.host,
  })
}

type LookupCallback = (
  error: NodeJS.ErrnoException | null,
  address: string | LookupAddress[],
  family?: number,
) => void

/** Name resolution that drops forbidden addresses: a name may not lead where a URL may not. */
export function guardedLookup(
  hostname: string,
  options: LookupOptions,
  callback: LookupCallback,
): void {
  lookup(hostname, { ...options, all: true }, (error, found) => {
    if (error !== null) {
      callback(error, [])
      return
    }
    const allowed = found.filter(({ address }) => !isForbiddenAddress(address))
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
