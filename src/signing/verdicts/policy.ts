/**
 * @module What a policy requires of an image, and whether what was found on it is enough. Pure.
 */

import { assertNever } from '../../registry/assert-never.ts'
import type { Digest } from '../../registry/digest.ts'
import type { Loose } from '../formats/encoding.ts'
import type { Finding, FindingResult } from './finding.ts'
import {
  countSigners,
  fits,
  type Matches,
  matchedLengthMax,
  principalOf,
  type WantedSigner,
} from './signers.ts'

/** Signatures of so many different signers. */
export interface SignatureRule {
  readonly kind: 'signature'
  readonly by: readonly WantedSigner[]
  readonly atLeast: number
  /** Attestations count as well. */
  readonly isAnyAttestation: boolean
}

/** An attestation of one of these types, by one of these signers, that says this. */
export interface AttestationRule {
  readonly kind: 'attestation'
  /** Predicate types, as URIs. */
  readonly types: readonly string[]
  /** Empty where it need not be signed. */
  readonly by: readonly WantedSigner[]
  /** Whether it has to be. */
  readonly isSigned: boolean
  /** All of them. */
  readonly where: readonly Where[]
  /** How old it may be; undefined: of any age. */
  readonly maxAgeMs: number | undefined
}

export type Rule = SignatureRule | AttestationRule

/** A condition on one value of the statement. */
export interface Where {
  /** The way to the value: names of members, or numbers of a list (RFC 6901, decoded). */
  readonly path: readonly string[]
  readonly test:
    | { readonly kind: 'equals'; readonly value: string | number | boolean }
    | { readonly kind: 'in'; readonly values: readonly (string | number | boolean)[] }
    /** Globs of the product's one grammar, compiled where the rule is read. */
    | { readonly kind: 'matches'; readonly glob: string }
    | { readonly kind: 'at-least' | 'at-most'; readonly value: number }
    | { readonly kind: 'exists'; readonly value: boolean }
}

/** Something that was found, with the statement of an attestation. */
export interface Evidence {
  readonly finding: Finding
  readonly statement?: Loose | undefined
}

/**
 * `verified`: everything that is required is there. `incomplete`: the signatures are, an attestation is missing.
 * `untrusted`: there are signatures or attestations, and they are not enough. `unsigned`: there are none.
 */
export type PolicyState = 'verified' | 'incomplete' | 'untrusted' | 'unsigned'

export interface Verdict {
  readonly state: PolicyState
  /** Names of the signers that it rests on, in byte order. */
  readonly by: readonly string[]
  /** Manifests that it rests on: without one of them the verdict may be another. */
  readonly manifests: readonly Digest[]
  /** When the newest signature was made that it rests on, by a trusted time, ms since the epoch; undefined: no such time. */
  readonly signedAt?: number
  /** From then on it has to be asked for again, ms since the epoch; undefined: it ends by a change only. */
  readonly validUntil?: number
}

/** What rules are judged with. */
export interface JudgeHow {
  readonly matches: Matches
  /** Tags that every signature has to name, to count; empty: none. */
  readonly tags: readonly string[]
  /** ms since the epoch. */
  readonly now: number
}

/** A claimed time that is further ahead than clocks differ is no time, ms. */
const aheadMsMax = 3_600_000

/** Whose newest statement counts alone: an older one says what is known not to hold any more. */
const NEWEST_ONLY = 'https://cosign.sigstore.dev/attestation/vuln/v1'

/** Results of what is about this very image, whoever made it. */
const ABOUT_IMAGE: ReadonlySet<FindingResult> = new Set([
  'verified',
  'unsigned',
  'unknown key',
  'wrong subject',
  'not checked',
])

/** Whether a rule looks into the statement of a finding: others need not be kept. */
export function isLookedInto(
  rules: readonly Rule[],
  { predicateType = '', result }: Finding,
): boolean {
  return rules.some((rule) => {
    if (rule.kind === 'signature' || rule.where.length === 0) return false
    if (!rule.types.includes(predicateType)) return false
    return rule.isSigned ? result === 'verified' : ABOUT_IMAGE.has(result)
  })
}

/** What meets a rule. */
interface Met {
  readonly findings: readonly Finding[]
  /** When it does not any more. */
  readonly validUntil: number
}

/** Judges what was found on one image by rules that are all required. Never throws. */
export function judge(rules: readonly Rule[], found: readonly Evidence[], how: JudgeHow): Verdict {
  const verified = found.filter(({ finding }) => finding.result === 'verified')
  const rests = new Set<Finding>()
  const by = new Set<string>()
  let validUntil = Number.POSITIVE_INFINITY
  let signedAt = Number.NEGATIVE_INFINITY
  let lacksSignature = false
  let lacksAttestation = false
  for (const rule of rules) {
    const met =
      rule.kind === 'signature'
        ? signaturesBy(rule, verified, how)
        : attestationsOf(rule, rule.isSigned ? verified : found, how)
    if (met === undefined) {
      if (rule.kind === 'signature') lacksSignature = true
      else lacksAttestation = true
      continue
    }
    validUntil = Math.min(validUntil, met.validUntil)
    if (rule.kind === 'signature') signedAt = Math.max(signedAt, trustedTimeOf(met.findings))
    for (const finding of met.findings) {
      rests.add(finding)
      for (const one of rule.by) if (fits(one, finding, how.matches)) by.add(one.name)
    }
  }
  if (lacksSignature || lacksAttestation) {
    return { state: stateOf(found, lacksSignature), by: [], manifests: [] }
  }
  return {
    state: 'verified',
    by: [...by].sort(),
    manifests: [...new Set([...rests].map(({ manifest }) => manifest))],
    ...(Number.isFinite(signedAt) && { signedAt }),
    ...(Number.isFinite(validUntil) && { validUntil }),
  }
}

const trustedTimeOf = (findings: readonly Finding[]) =>
  Math.max(
    ...findings.map(({ signedAt }) => (signedAt?.by === 'trusted' ? signedAt.at : -Infinity)),
  )

const isBy = (by: readonly WantedSigner[], finding: Finding, matches: Matches) =>
  by.some((one) => fits(one, finding, matches))

const endOf = (findings: readonly Finding[]) =>
  Math.min(...findings.map(({ validUntil = Number.POSITIVE_INFINITY }) => validUntil))

function signaturesBy(
  { by, atLeast, isAnyAttestation }: SignatureRule,
  verified: readonly Evidence[],
  { matches, tags }: JudgeHow,
): Met | undefined {
  const findings = verified
    .map(({ finding }) => finding)
    .filter((finding) => finding.isSignature || isAnyAttestation)
    .filter((finding) => tags.every((tag) => finding.tags?.includes(tag) === true))
    .filter((finding) => isBy(by, finding, matches))
  if (countSigners(by, findings, matches) < atLeast) return undefined
  return { findings, validUntil: endOf(findings) }
}

function attestationsOf(
  rule: AttestationRule,
  found: readonly Evidence[],
  { matches, now }: JudgeHow,
): Met | undefined {
  const { types, by, isSigned, where, maxAgeMs } = rule
  const meant = found.filter(({ finding }) => {
    if (!types.includes(finding.predicateType ?? '')) return false
    return isSigned ? isBy(by, finding, matches) : ABOUT_IMAGE.has(finding.result)
  })
  const isNewestOnly = maxAgeMs !== undefined || types.includes(NEWEST_ONLY)
  const holding = (isNewestOnly ? newestOf(meant, now) : meant)
    .filter(({ finding }) => maxAgeMs === undefined || ageOf(finding, now) < maxAgeMs)
    .filter(({ statement }) => where.every((condition) => holds(condition, statement, matches)))
    .map(({ finding }) => finding)
  if (holding.length === 0) return undefined
  const ends = holding.map(({ signedAt }) => (signedAt?.at ?? 0) + (maxAgeMs ?? Infinity))
  return { findings: holding, validUntil: Math.min(endOf(holding), ...ends) }
}

/** Of each signer and type the newest, and what has no time only where nothing has one. */
function newestOf(found: readonly Evidence[], now: number): readonly Evidence[] {
  const groups = new Map<string, Evidence[]>()
  for (const one of found) {
    const { finding } = one
    const who = `${finding.result === 'unsigned' ? '' : principalOf(finding)} ${finding.predicateType}`
    const group = groups.get(who)
    const [first] = group ?? []
    const age = ageOf(finding, now)
    const firstAge = first === undefined ? Number.POSITIVE_INFINITY : ageOf(first.finding, now)
    if (group === undefined || age < firstAge) groups.set(who, [one])
    else if (age === firstAge) group.push(one)
  }
  return [...groups.values()].flat()
}

/** Infinite for what has no time that can be believed. */
function ageOf({ signedAt }: Finding, now: number): number {
  if (signedAt === undefined || signedAt.at > now + aheadMsMax) return Number.POSITIVE_INFINITY
  return now - signedAt.at
}

function stateOf(found: readonly Evidence[], lacksSignature: boolean): PolicyState {
  const isSigned = found.some(({ finding }) => isOfSigner(finding))
  if (!lacksSignature) return isSigned ? 'incomplete' : 'unsigned'
  return isSigned ? 'untrusted' : 'unsigned'
}

/** Whether somebody made it as a signature or attestation: an SBOM alone, or what is not understood, is none. */
export function isOfSigner({ isSignature, predicateType, result }: Finding): boolean {
  return result !== 'unsigned' && (isSignature || predicateType !== undefined)
}

function holds({ path, test }: Where, statement: Loose | undefined, matches: Matches): boolean {
  const value = valueAt(statement, path)
  switch (test.kind) {
    case 'exists':
      return (value !== undefined) === test.value
    case 'equals':
      return value === test.value
    case 'in':
      return test.values.some((one) => one === value)
    case 'matches':
      return (
        typeof value === 'string' && value.length <= matchedLengthMax && matches(test.glob, value)
      )
    case 'at-least':
      return typeof value === 'number' && value >= test.value
    case 'at-most':
      return typeof value === 'number' && value <= test.value
    default:
      return assertNever(test)
  }
}

/** Members that the value has itself: what every object inherits is no part of a statement. */
function valueAt(from: unknown, path: readonly string[]): unknown {
  let value = from
  for (const name of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name)) return undefined
    value = (value as Loose)[name]
  }
  return value
}
