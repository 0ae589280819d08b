/**
 * @module Whose share something counts against: what an attacker has to pay for. An IPv4 address is
 * one client; of IPv6 anybody has a /64 for himself.
 */
import { isIP } from 'node:net'

/** The key of a client's address; an IPv4 address in IPv6 is the IPv4 address. */
export function clientKey(address: string): string {
  if (isIP(address) !== 6) return address
  const lower = address.toLowerCase()
  if (lower.startsWith('::ffff:') && lower.includes('.')) return lower.slice('::ffff:'.length)
  const [head = '', tail] = lower.split('%', 1)[0]!.split('::')
  const front = head === '' ? [] : head.split(':')
  if (tail === undefined) return `${front.slice(0, 4).map(plainGroup).join(':')}::/64`
  const back = tail === '' ? [] : tail.split(':')
  const zeros = new Array<string>(Math.max(0, 8 - front.length - back.length)).fill('0')
  return `${[...front, ...zeros, ...back].slice(0, 4).map(plainGroup).join(':')}::/64`
}

const plainGroup = (group: string) => Number.parseInt(group, 16).toString(16)
