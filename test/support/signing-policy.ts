/** @module A policy of signatures as the configuration makes it, for tests of what asks it. */
import type { Policy } from '../../src/signing/policies.ts'

/** The signer of the key `release`. */
const release = { name: 'release', kind: 'key', key: 'release', isLogged: false } as const

export const exemptNone: Policy['exempt'] = {
  pushers: false,
  users: new Set(),
  groups: new Set(),
  digests: new Set(),
}

/** Enforced for every tag, by one rule: a signature of `release`. */
export const policyOf = (more: Partial<Policy> = {}): Policy => ({
  name: 'prod',
  mode: 'enforce',
  gates: new Set(['tag']),
  tags: () => true,
  exempt: { ...exemptNone, pushers: true },
  graceMs: 0,
  rules: [{ kind: 'signature', by: [release], atLeast: 1, isAnyAttestation: false }],
  takesChildren: false,
  takesProvenance: false,
  bindsTags: false,
  isNotOlder: false,
  countersign: false,
  ...more,
})
