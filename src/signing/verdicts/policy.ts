/**
 * @module What a policy requires of an image, and whether what was found on it is enough. Pure.
 */

import { assertNever } from '../../registry/assert-never.ts'
import type { Digest } from '../../registry/digest.ts'
import type { Loose } from '../formats/encoding.ts'
import type { Finding } from './finding.ts'

/** Signatures of so many different keys. */
export interface SignatureRule {
  readonly kind: 'signature'
  /** Names of keys. */
  readonly by: readonly string[]
  readonly atLeast: number
}

/** An attestation of one of these types, by one of these keys, that says this. */
export interface AttestationRule {
  readonly kind: 'attestation'
  /** Predicate types, as URIs. */
  readonly types: readonly string[]
  readonly by: readonly string[]
  /** All of them. */
  readonly where: readonly Where[]
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
  /** Keys that it rests on, in byte order. */
  readonly by: readonly string[]
  /** Manifests that it rests on: without one of them the verdict may be another. */
  readonly manifests: readonly Digest[]
}

/** How a glob is matched: a compiled one for each. */
export type Matches = (glob: string, text: string) => boolean

/** Longest text that a condition looks at, characters. */
const textLengthMax = 2048

/** Judges what was found on one image by rules that are all required. Never throws. */
export function judge(
  rules: readonly Rule[],
  found: readonly Evidence[],
  matches: Matches,
): Verdict {
  const verified = found.filter(({ finding }) => finding.result === 'verified')
  const rests: Finding[] = []
  let lacksSignature = false
  let lacksAttestation = false
  for (const rule of rules) {
    const fitting =
      rule.kind === 'signature'
        ? signaturesBy(rule, verified)
        : attestationsOf(rule, verified, matches)
    const isMet = new Set(fitting.map(keyOf)).size >= (rule.kind === 'signature' ? rule.atLeast : 1)
    if (isMet) rests.push(...fitting)
    else if (rule.kind === 'signature') lacksSignature = true
    else lacksAttestation = true
  }
  const isVerified = !lacksSignature && !lacksAttestation
  return {
    state: isVerified ? 'verified' : stateOf(found, lacksSignature),
    by: isVerified ? [...new Set(rests.map(keyOf))].sort() : [],
    manifests: isVerified ? [...new Set(rests.map(({ manifest }) => manifest))] : [],
  }
}

function signaturesBy({ by }: SignatureRule, verified: readonly Evidence[]): Finding[] {
  return verified
    .map(({ finding }) => finding)
    .filter((finding) => finding.isSignature && by.includes(keyOf(finding)))
}

function attestationsOf(
  { types, by, where }: AttestationRule,
  verified: readonly Evidence[],
  matches: Matches,
): Finding[] {
  return verified
    .filter(({ finding, statement }) => {
      const isMeant = types.includes(finding.predicateType ?? '') && by.includes(keyOf(finding))
      return isMeant && where.every((condition) => holds(condition, statement, matches))
    })
    .map(({ finding }) => finding)
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

const keyOf = ({ signer }: Finding): string => signer?.key ?? ''

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
      return typeof value === 'string' && value.length <= textLengthMax && matches(test.glob, value)
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
