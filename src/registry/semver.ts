/**
 * @module Semantic versions in tags (`v1.2.3-rc.1+build`): read strictly, ordered by precedence
 * (semver.org, point 11), grouped by major and minor. A leading `v` is tolerated.
 */

export interface Version {
  /** `1.2`: what newest-of-each-minor groups by. */
  readonly minor: string
  readonly numbers: readonly [bigint, bigint, bigint]
  readonly pre: readonly string[]
}

const VERSION =
  /^v?(0|[1-9]\d{0,18})\.(0|[1-9]\d{0,18})\.(0|[1-9]\d{0,18})(?:-([0-9A-Za-z.-]+))?(?:[+_][0-9A-Za-z._-]+)?$/

export function parseVersion(tag: string): Version | undefined {
  const match = VERSION.exec(tag)
  if (match === null) return undefined
  const [, major = '', minor = '', patch = '', pre] = match
  return {
    minor: `${major}.${minor}`,
    numbers: [BigInt(major), BigInt(minor), BigInt(patch)],
    pre: pre === undefined ? [] : pre.split('.'),
  }
}

/** Negative when `one` comes before `other`. */
export function compareVersions(one: Version, other: Version): number {
  for (const [index, number] of one.numbers.entries()) {
    const against = other.numbers[index]!
    if (number !== against) return number < against ? -1 : 1
  }
  if (one.pre.length === 0 || other.pre.length === 0) return other.pre.length - one.pre.length
  for (let index = 0; index < Math.max(one.pre.length, other.pre.length); index += 1) {
    const order = comparePre(one.pre[index], other.pre[index])
    if (order !== 0) return order
  }
  return 0
}

function comparePre(one: string | undefined, other: string | undefined): number {
  if (one === undefined || other === undefined)
    return one === other ? 0 : one === undefined ? -1 : 1
  const [isNumber, isOtherNumber] = [/^\d+$/.test(one), /^\d+$/.test(other)]
  if (isNumber && isOtherNumber) {
    const difference = BigInt(one) - BigInt(other)
    return difference === 0n ? 0 : difference < 0n ? -1 : 1
  }
  if (isNumber !== isOtherNumber) return isNumber ? -1 : 1
  return one === other ? 0 : one < other ? -1 : 1
}
