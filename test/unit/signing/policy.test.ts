import { expect, test } from 'vitest'
import type { Digest } from '../../../src/registry/digest.ts'
import { compileGlob } from '../../../src/registry/glob.ts'
import type { Finding } from '../../../src/signing/verdicts/finding.ts'
import {
  type AttestationRule,
  type Evidence,
  judge,
  type Rule,
  type Where,
} from '../../../src/signing/verdicts/policy.ts'
import type { WantedSigner } from '../../../src/signing/verdicts/signers.ts'

const slsa = 'https://slsa.dev/provenance/v1'
const spdx = 'https://spdx.dev/Document'

const matches = (glob: string, text: string) => {
  const compiled = compileGlob(glob)
  return compiled.ok && compiled.value(text)
}

let count = 0
function found(fields: Partial<Finding>, statement?: object): Evidence {
  count += 1
  const manifest = `sha256:${String(count).padStart(64, '0')}` as Digest
  const finding: Finding = {
    scheme: 'bundle',
    manifest,
    isSignature: true,
    result: 'verified',
    ...fields,
  }
  return { finding, statement: statement as never }
}

const signedBy = (key: string) => found({ signer: { key } })
const attestedBy = (key: string, predicateType: string, predicate: object = {}) =>
  found({ isSignature: false, signer: { key }, predicateType }, { predicateType, predicate })

const keyed = (key: string): WantedSigner => ({ name: key, kind: 'key', key, isLogged: false })
const now = Date.parse('2026-06-01T00:00:00Z')

const signature = (by: readonly string[], atLeast = 1): Rule => ({
  kind: 'signature',
  by: by.map(keyed),
  atLeast,
  isAnyAttestation: false,
})
const attestation = (by: string, where: readonly Where[] = []): AttestationRule => ({
  kind: 'attestation',
  types: [slsa],
  by: [keyed(by)],
  isSigned: true,
  where,
  maxAgeMs: undefined,
})

const how = { matches, now, tags: [] }

const stateOf = (rules: readonly Rule[], all: readonly Evidence[]) => judge(rules, all, how).state

test('a signature of a key that is named is enough, whatever else is there', () => {
  const mine = signedBy('release')
  const all = [signedBy('team'), found({ result: 'unknown key' }), mine]
  expect(judge([signature(['release'])], all, how)).toEqual({
    state: 'verified',
    by: ['release'],
    manifests: [mine.finding.manifest],
  })
  expect(stateOf([signature(['release'])], [signedBy('team')])).toBe('untrusted')
  expect(stateOf([signature(['release'])], [found({ result: 'unknown key' })])).toBe('untrusted')
  expect(stateOf([signature(['release'])], [])).toBe('unsigned')
  const sbom = found({ isSignature: false, result: 'unsigned' })
  const unknown = found({ isSignature: false, scheme: 'unknown', result: 'not checked' })
  expect(stateOf([signature(['release'])], [unknown])).toBe('unsigned')
  expect(stateOf([signature(['release'])], [sbom])).toBe('unsigned')
})

test('two signatures of one key are one signer', () => {
  const rule = [signature(['release', 'team', 'other'], 2)]
  expect(stateOf(rule, [signedBy('release'), signedBy('release')])).toBe('untrusted')
  const both = judge(rule, [signedBy('release'), signedBy('team')], how)
  expect(both).toMatchObject({ state: 'verified', by: ['release', 'team'] })
})

test('an attestation is no signature, and a signature no attestation', () => {
  expect(stateOf([signature(['ci'])], [attestedBy('ci', slsa)])).toBe('untrusted')
  expect(stateOf([attestation('ci')], [signedBy('ci')])).toBe('incomplete')
  expect(stateOf([attestation('ci')], [attestedBy('ci', spdx)])).toBe('incomplete')
  expect(stateOf([attestation('ci')], [attestedBy('team', slsa)])).toBe('incomplete')
  expect(stateOf([attestation('ci')], [attestedBy('ci', slsa)])).toBe('verified')
})

test('all rules have to be met', () => {
  const rules = [signature(['release']), attestation('ci')]
  expect(stateOf(rules, [signedBy('release')])).toBe('incomplete')
  expect(stateOf(rules, [attestedBy('ci', slsa)])).toBe('untrusted')
  expect(judge(rules, [signedBy('release'), attestedBy('ci', slsa)], how)).toMatchObject({
    state: 'verified',
    by: ['ci', 'release'],
  })
})

test.each<[string, Where['test'], unknown, unknown]>([
  ['equals', { kind: 'equals', value: 'a' }, 'a', 'b'],
  ['equals a number', { kind: 'equals', value: 1 }, 1, '1'],
  ['in', { kind: 'in', values: ['a', 'b'] }, 'b', 'c'],
  ['matches', { kind: 'matches', glob: 'https://x/*' }, 'https://x/y', 'https://x/y/z'],
  ['matches text only', { kind: 'matches', glob: '**' }, 'a', 1],
  ['matches bounded text', { kind: 'matches', glob: '**' }, 'a', 'a'.repeat(3000)],
  ['at least', { kind: 'at-least', value: 2 }, 2, 1],
  ['at most', { kind: 'at-most', value: 2 }, 2, 3],
  ['numbers only', { kind: 'at-least', value: 2 }, 3, '3'],
  ['exists', { kind: 'exists', value: true }, null, undefined],
  ['exists not', { kind: 'exists', value: false }, undefined, 1],
])('a condition: %s', (_, condition, good, bad) => {
  const rule = attestation('ci', [{ path: ['predicate', 'a/b', '0'], test: condition }])
  const state = (value: unknown) =>
    stateOf([rule], [attestedBy('ci', slsa, value === undefined ? {} : { 'a/b': [value] })])
  expect(state(good)).toBe('verified')
  expect(state(bad)).toBe('incomplete')
})

test('what every object inherits is no part of a statement', () => {
  const where: Where = { path: ['predicate', 'constructor'], test: { kind: 'exists', value: true } }
  expect(stateOf([attestation('ci', [where])], [attestedBy('ci', slsa)])).toBe('incomplete')
})
