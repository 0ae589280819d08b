/**
 * @module Whose share something counts against: what an attacker has to pay for. An IPv4 address is
 * one client; of IPv6 anybody has a /64 for himself, and most can have a /48, so what is counted by
 * /64 is counted by /48 as well, with a larger bound (`networkShare`).
 */
import { isIP } from 'node:net'

/** Of what one client may have, all clients of one /48 together may have so many times. */
export const networkShare = 4

/** The key of a client's address; an IPv4 address in IPv6 (mapped, NAT64) is the IPv4 address. */
export function clientKey(address: string): string {
  if (!address.includes(':')) return address
  const groups = groupsOf(address)
  if (groups === undefined) return address
  return ipv4In(groups) ?? `${groups.slice(0, 4).map(hex).join(':')}::/64`
}

/** The key of the /48 that a client's key belongs to; undefined where it belongs to none (IPv4). */
export function networkKey(client: string): string | undefined {
  if (!client.endsWith('::/64')) return undefined
  return `${client.slice(0, client.lastIndexOf(':', client.length - '::/64'.length - 1))}::/48`
}

const hex = (group: number) => group.toString(16)

/** Eight numbers of 16 bits; undefined for what is no IPv6 address. */
function groupsOf(address: string): number[] | undefined {
  // Longer than any address with a zone that the system gives.
  if (address.length > 64 || isIP(address) !== 6) return undefined
  const zone = address.indexOf('%')
  const [head = '', tail] = (zone < 0 ? address : address.slice(0, zone)).split('::')
  const front = wordsOf(head)
  if (tail === undefined) return front
  const back = wordsOf(tail)
  return [...front, ...new Array<number>(8 - front.length - back.length).fill(0), ...back]
}

function wordsOf(text: string): number[] {
  if (text === '') return []
  return text.split(':').flatMap((word) => {
    if (!word.includes('.')) return [Number.parseInt(word, 16)]
    const [a = 0, b = 0, c = 0, d = 0] = word.split('.').map(Number)
    return [a * 256 + b, c * 256 + d]
  })
}

/** `::ffff:0:0/96` and `64:ff9b::/96` stand for all of IPv4, which is not one client. */
function ipv4In(groups: readonly number[]): string | undefined {
  const prefix = groups.slice(0, 6).map(hex).join(':')
  if (prefix !== '0:0:0:0:0:ffff' && prefix !== '64:ff9b:0:0:0:0') return undefined
  const [high = 0, low = 0] = groups.slice(6)
  return `${high >> 8}.${high & 255}.${low >> 8}.${low & 255}`
}
