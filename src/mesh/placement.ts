/**
 * @module Which members keep a file: digests fall into groups, and each group has owners among the members, by
 * weighted rendezvous. A member that comes or goes moves only what it gets or had.
 *
 * Each member draws a time for the group from an exponential distribution, `-ln(u) / weight`, where u comes from
 * a hash of group and member. The earliest win: so each is the first owner as often as its share of the weight, and
 * the second is drawn among the rest in the same way. A member with half of all weight is not in every group.
 *
 * All nodes must find the same owners. SHA-256 is the same everywhere, and so are + - * / on doubles: the language
 * defines them to the last bit. `Math.log` it does not, so the logarithm here is made of these four alone.
 */
import { createHash } from 'node:crypto'
import { type Digest, encodedOf } from '../registry/digest.ts'

/** Groups are 0 to 4095. */
export const groupCount = 4_096

/** A member that may own files. */
export interface PlacementMember {
  readonly number: number
  /** TiB that it has for files; nothing goes to one with 0. */
  readonly weight: number
  /** What fails together, such as a rack; empty where none was set. */
  readonly zone: string
}

/** The group of a blob whose row names none: the first 12 bits of its digest. */
export function groupOf(digest: Digest): number {
  return Number.parseInt(encodedOf(digest).slice(0, 3), 16)
}

/** The group of a blob that has a row. */
export function groupOfRow(digest: Digest, { group }: { readonly group?: number }): number {
  return group ?? groupOf(digest)
}

/**
 * Numbers of the members that own a group, at most `count`, the first owner first. The best of each zone come
 * before the second of any. Depends on the set of the members only, not on their order.
 */
export function ownersOf(
  group: number,
  members: readonly PlacementMember[],
  count: number,
): number[] {
  const ranked = members
    .filter(({ weight }) => weight > 0)
    .map((member) => ({ member, time: drawnTime(group, member) }))
    .sort((one, other) => one.time - other.time || one.member.number - other.member.number)
  const zones = new Set<string>()
  const best: number[] = []
  const rest: number[] = []
  for (const { member } of ranked) {
    if (zones.has(member.zone)) rest.push(member.number)
    else best.push(member.number)
    zones.add(member.zone)
  }
  return [...best, ...rest].slice(0, count)
}

function drawnTime(group: number, { number, weight }: PlacementMember): number {
  const hash = createHash('sha256').update(`owner of group ${group}: member ${number}`).digest()
  // 48 bits and a half: never 0 and never 1, and exact as a double.
  return -naturalLog((hash.readUIntBE(0, 6) + 0.5) / 2 ** 48) / weight
}

/** Of a number above 0 and below 1. To the last bits as `Math.log`, and to the last bit the same everywhere. */
export function naturalLog(value: number): number {
  let mantissa = value
  let halvings = 0
  while (mantissa < 0.75) {
    mantissa *= 2
    halvings += 1
  }
  // ln m = 2 (s + s³/3 + s⁵/5 …) with s = (m - 1) / (m + 1), which is at most a fifth here.
  const s = (mantissa - 1) / (mantissa + 1)
  const square = s * s
  let power = s
  let sum = 0
  for (let odd = 1; odd <= 25; odd += 2) {
    sum += power / odd
    power *= square
  }
  return 2 * sum - halvings * Math.LN2
}
