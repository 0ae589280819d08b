/**
 * @module When an attestation was made, as the statement itself says. It stands inside of what is signed, so that
 * it is the word of the signer and of no one else.
 *
 * @apart Each kind of predicate has a place of its own for it.
 */
import type { Loose } from '../formats/encoding.ts'
import type { SignedAt } from './finding.ts'

/** Ways to the time in predicates of the common types. */
const PATHS: readonly (readonly string[])[] = [
  // Vulnerability scans of cosign.
  ['metadata', 'scanFinishedOn'],
  // SLSA provenance 1 and 0.2.
  ['runDetails', 'metadata', 'finishedOn'],
  ['metadata', 'buildFinishedOn'],
  // SPDX, CycloneDX, OpenVEX, VSA, and what cosign wraps as `custom`.
  ['creationInfo', 'created'],
  ['metadata', 'timestamp'],
  ['timestamp'],
  ['timeVerified'],
  ['Timestamp'],
]

const ISO = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)$/

/** Nothing where it names none. */
export function claimedTimeOf({ predicate }: Loose): { readonly signedAt?: SignedAt } {
  for (const path of PATHS) {
    const text = path.reduce(memberOf, predicate)
    const at = typeof text === 'string' && ISO.test(text) ? Date.parse(text) : Number.NaN
    if (!Number.isNaN(at)) return { signedAt: { at, by: 'claimed' } }
  }
  return {}
}

function memberOf(value: unknown, name: string): unknown {
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name)) return undefined
  return (value as Loose)[name]
}
