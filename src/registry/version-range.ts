/**
 * @module Ranges of semantic versions as package managers write them: comparators (`>=1.2 <2`), `^1.2`,
 * `~1.2`, `1.x`, `1.2 - 1.4`, alternatives by `||`. Only tags of three numbers are versions (`semver.ts`): `1.2`
 * and `latest` are in no range. A version with a suffix (`1.2.3-alpine`, `2.0.0-rc.1`) is in a range only
 * where the range names a suffix of the same three numbers.
 */
import { assertNever } from './assert-never.ts'
import { fail, ok, type Result } from './result.ts'
import { compareVersions, parseVersion, type Version } from './semver.ts'

/** Longest range, characters. */
export const rangeLengthMax = 256

type Operator = '<' | '<=' | '>' | '>=' | '='

interface Comparator {
  readonly operator: Operator
  readonly version: Version
}

/** Whether a tag is a version of the range. */
export type VersionRange = (tag: string) => boolean

/** What stands in a range for a version: numbers that may be missing or `x`. */
const PARTIAL =
  /^v?(x|\*|0|[1-9]\d{0,9})(?:\.(x|\*|0|[1-9]\d{0,9})(?:\.(x|\*|0|[1-9]\d{0,9})(?:-([0-9a-z.-]+))?(?:\+[0-9a-z.-]+)?)?)?$/i
const OPERATOR = /^(?:\^|~|<=|>=|<|>|=)/

interface Partial {
  /** Major, minor, patch; what is missing or `x`, and all behind it, is left out. */
  readonly numbers: readonly bigint[]
  readonly pre: readonly string[]
}

/** The range, or what is wrong with it in words. */
export function parseVersionRange(text: string): Result<VersionRange, string> {
  if (text.length > rangeLengthMax) return fail(`longer than ${rangeLengthMax} characters`)
  const sets: (readonly Comparator[])[] = []
  for (const alternative of text.split('||')) {
    const set = parseSet(alternative.trim())
    if (!set.ok) return set
    sets.push(set.value)
  }
  return ok((tag) => {
    const version = parseVersion(tag)
    return version !== undefined && sets.some((set) => isInside(version, set))
  })
}

/** Comparators that must all hold. */
function parseSet(text: string): Result<readonly Comparator[], string> {
  if (text === '') return fail('an empty range; "*" is any version')
  // An operator may stand apart from its version: `>= 1.2`.
  const words = text.split(' ').filter((word) => word !== '')
  const found: Comparator[] = []
  for (let at = 0; at < words.length; at += 1) {
    const word = words[at]!
    const isRange = words[at + 1] === '-'
    const isApart = OPERATOR.exec(word)?.[0] === word
    const parsed = isRange
      ? parseSpan(word, words[at + 2])
      : parseWord(isApart ? word + (words[at + 1] ?? '') : word)
    if (!parsed.ok) return parsed
    found.push(...parsed.value)
    at += isRange ? 2 : isApart ? 1 : 0
  }
  return ok(found)
}

/** `1.2 - 1.4`: both ends included, a short upper end with all that it begins. */
function parseSpan(from: string, to = ''): Result<readonly Comparator[], string> {
  const [lower, upper] = [parsePartial(from), parsePartial(to)]
  if (!lower.ok) return lower
  if (!upper.ok) return upper
  return ok([...atLeast(lower.value), ...atMost(upper.value)])
}

function parseWord(word: string): Result<readonly Comparator[], string> {
  const operator = OPERATOR.exec(word)?.[0] ?? ''
  const parsed = parsePartial(word.slice(operator.length))
  if (!parsed.ok) return parsed
  const partial = parsed.value
  const { numbers } = partial
  switch (operator) {
    case '^':
      return ok([...atLeast(partial), ...below(bumped(numbers, leadingPlace(numbers)))])
    case '~':
      return ok([...atLeast(partial), ...below(bumped(numbers, 1))])
    case '>=':
      return ok(atLeast(partial))
    case '<=':
      return ok(atMost(partial))
    case '<':
      // Nothing comes before all versions.
      return ok(
        isWhole(partial) ? [{ operator: '<', version: filled(partial) }] : below(orZero(numbers)),
      )
    case '>':
      return ok(above(partial))
    default:
      return ok(
        isWhole(partial)
          ? [{ operator: '=', version: filled(partial) }]
          : [...atLeast(partial), ...below(bumped(numbers, 2))],
      )
  }
}

function parsePartial(text: string): Result<Partial, string> {
  const match = PARTIAL.exec(text)
  if (match === null) return fail(`"${text.slice(0, 40)}" is no version such as 1.2.3, 1.2 or 1.x`)
  const words = match.slice(1, 4)
  const missing = words.findIndex((word) => word === undefined || /^[x*]$/i.test(word))
  const numbers = (missing < 0 ? words : words.slice(0, missing)).map((word) => BigInt(word!))
  return ok({ numbers, pre: missing < 0 && match[4] !== undefined ? match[4].split('.') : [] })
}

function isWhole({ numbers }: Partial): boolean {
  return numbers.length === 3
}

function versionOf(numbers: readonly bigint[], pre: readonly string[] = []): Version {
  const [major = 0n, minor = 0n, patch = 0n] = numbers
  return { minor: `${major}.${minor}`, numbers: [major, minor, patch], pre }
}

function filled({ numbers, pre }: Partial): Version {
  return versionOf(numbers, pre)
}

/** The first number of `^` that is not zero: what may not grow. */
function leadingPlace(numbers: readonly bigint[]): number {
  const place = numbers.findIndex((number) => number !== 0n)
  return place < 0 ? numbers.length - 1 : place
}

/** One more at this place, or at the last that there is; undefined: there is no next. */
function bumped(numbers: readonly bigint[], place: number): readonly bigint[] | undefined {
  const at = Math.min(place, numbers.length - 1)
  return at < 0 ? undefined : [...numbers.slice(0, at), numbers[at]! + 1n]
}

/** Suffixes of the bound itself come before it, so they are left out with it: `0` is the least of them. */
function below(numbers: readonly bigint[] | undefined): readonly Comparator[] {
  return numbers === undefined ? [] : [{ operator: '<', version: versionOf(numbers, ['0']) }]
}

function atLeast(partial: Partial): readonly Comparator[] {
  return [{ operator: '>=', version: filled(partial) }]
}

function atMost(partial: Partial): readonly Comparator[] {
  return isWhole(partial)
    ? [{ operator: '<=', version: filled(partial) }]
    : below(bumped(partial.numbers, 2))
}

function above(partial: Partial): readonly Comparator[] {
  if (isWhole(partial)) return [{ operator: '>', version: filled(partial) }]
  const next = bumped(partial.numbers, 2)
  // Nothing comes behind all versions.
  return next === undefined ? below([0n]) : [{ operator: '>=', version: versionOf(next) }]
}

function orZero(numbers: readonly bigint[]): readonly bigint[] {
  return numbers.length === 0 ? [0n] : numbers
}

function isInside(version: Version, set: readonly Comparator[]): boolean {
  if (!set.every((comparator) => holds(comparator, version))) return false
  if (version.pre.length === 0) return true
  return set.some(
    ({ version: named }) =>
      named.pre.length > 0 &&
      named.numbers.every((number, index) => number === version.numbers[index]),
  )
}

function holds({ operator, version: bound }: Comparator, version: Version): boolean {
  const order = compareVersions(version, bound)
  switch (operator) {
    case '<':
      return order < 0
    case '<=':
      return order <= 0
    case '>':
      return order > 0
    case '>=':
      return order >= 0
    case '=':
      return order === 0
    default:
      return assertNever(operator)
  }
}
