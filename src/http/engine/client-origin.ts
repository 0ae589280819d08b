/**
 * @module Who is at the other end when proxies stand between: the client's address and scheme, from
 * `X-Forwarded-*`, believed only as far as the addresses that said so are trusted.
 */
import { isIP } from 'node:net'

/** Most hops that are looked at. */
const hopsMax = 32

/**
 * The client's address. `forwardedFor` is read from the right, for as long as each hop is a trusted
 * proxy: what stands further left was said by somebody else, and may be forged.
 */
export function clientAddress(
  peer: string,
  forwardedFor: string | undefined,
  isTrusted: (address: string) => boolean,
): string {
  if (forwardedFor === undefined || !isTrusted(peer)) return peer
  let client = peer
  for (const text of forwardedFor.split(',').reverse().slice(0, hopsMax)) {
    const address = plainAddress(text.trim())
    if (address === undefined) break
    client = address
    if (!isTrusted(address)) break
  }
  return client
}

/** `10.0.0.1`, `10.0.0.1:4711`, `[::1]:4711`, `::1`: the address alone, or undefined. */
function plainAddress(text: string): string | undefined {
  const bracketed = /^\[([^\]]+)\](?::\d{1,5})?$/.exec(text)?.[1]
  const withPort = /^([\d.]+):\d{1,5}$/.exec(text)?.[1]
  const address = (bracketed ?? withPort ?? text).replace(/^::ffff:(?=\d+\.)/i, '')
  return isIP(address) === 0 ? undefined : address
}

/** The last of several values: the one that the nearest proxy wrote. */
export function lastValue(header: string | undefined): string | undefined {
  return header?.slice(header.lastIndexOf(',') + 1).trim()
}
