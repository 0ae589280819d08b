import { describe, expect, test } from 'vitest'
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

const day = 86_400_000
const vuln = 'https://cosign.sigstore.dev/attestation/vuln/v1'

const identity = (name: string, subject: string): WantedSigner => ({
  name,
  kind: 'identity',
  root: 'own',
  issuer: 'https://issuer.test',
  subject,
  claims: {},
})
const signedAs = (subject: string, fields: Partial<Finding> = {}) =>
  found({
    signer: {
      identity: { issuer: 'https://issuer.test', subject, roots: ['own'], claims: {} },
    },
    ...fields,
  })
const byAll = (by: readonly WantedSigner[], atLeast: number): Rule => ({
  kind: 'signature',
  by,
  atLeast,
  isAnyAttestation: false,
})

test('as many signers as are asked for are different ones, on both sides', () => {
  const team = identity('team', 'https://git.test/team/*')
  const app = identity('app', 'https://git.test/team/app')
  const state = (by: readonly WantedSigner[], atLeast: number, ...subjects: readonly string[]) =>
    stateOf(
      [byAll(by, atLeast)],
      subjects.map((one) => signedAs(`https://git.test/team/${one}`)),
    )
  expect(state([team, app], 1, 'app')).toBe('verified')
  // Both fit one identity; one signer fits two identities.
  expect(state([team, app], 2, 'app', 'app')).toBe('untrusted')
  expect(state([team], 2, 'app', 'other')).toBe('untrusted')
  expect(state([team, app], 2, 'one', 'two')).toBe('untrusted')
  // Whichever comes first, each has a place.
  expect(state([team, app], 2, 'app', 'other')).toBe('verified')
  expect(state([app, team], 2, 'other', 'app')).toBe('verified')
})

test('one key under two names, or two certificates of one subject, are one signer', () => {
  const twice = ['a', 'b'].map((key) => found({ signer: { key, fingerprint: '00' } }))
  expect(stateOf([byAll([keyed('a'), keyed('b')], 2)], twice)).toBe('untrusted')
  const subject = { stores: ['s'], subject: 'O=acme', attributes: { O: 'acme' } }
  const certificates = ['1', '2'].map((it) =>
    found({ signer: { store: subject, certificate: it } }),
  )
  const stores = ['x', 'y'].map((name): WantedSigner => {
    return { name, kind: 'store', store: 's', attributes: {} }
  })
  expect(stateOf([byAll(stores, 2)], certificates)).toBe('untrusted')
  expect(stateOf([byAll(stores, 1)], certificates)).toBe('verified')
})

test('a verdict names its signers', () => {
  const team = identity('team', 'https://git.test/team/*')
  const rules = [byAll([team, keyed('release')], 2)]
  const all = [signedAs('https://git.test/team/app'), signedBy('release'), signedBy('other')]
  expect(judge(rules, all, how).by).toEqual(['release', 'team'])
})

test('a key that has to be logged counts with a log alone', () => {
  const logged: WantedSigner = { name: 'release', kind: 'key', key: 'release', isLogged: true }
  const state = (fields: Partial<Finding>) =>
    stateOf([byAll([logged], 1)], [found({ signer: { key: 'release' }, ...fields })])
  expect(state({})).toBe('untrusted')
  expect(state({ isLogged: true })).toBe('verified')
})

test('any attestation is a signature where the rule says so', () => {
  const rule = { ...signature(['ci']), isAnyAttestation: true } as Rule
  expect(stateOf([rule], [attestedBy('ci', spdx)])).toBe('verified')
  expect(stateOf([rule], [attestedBy('team', spdx)])).toBe('untrusted')
})

test('what need not be signed is met by what is about the image, signed or not', () => {
  const rule: Rule = { ...attestation('ci'), types: [spdx], by: [], isSigned: false }
  const state = (fields: Partial<Finding>) =>
    stateOf([rule], [found({ isSignature: false, predicateType: spdx, ...fields })])
  expect(state({ result: 'unsigned' })).toBe('verified')
  expect(state({ result: 'verified' })).toBe('verified')
  expect(state({ result: 'unknown key' })).toBe('verified')
  for (const result of [
    'digest mismatch',
    'unreadable',
    'revoked',
    'invalid',
    'expired',
  ] as const) {
    expect(state({ result }), result).not.toBe('verified')
  }
  expect(state({ result: 'unsigned', predicateType: slsa })).toBe('unsigned')
  // What is not signed meets no other rule.
  const unsigned = found({ isSignature: false, predicateType: slsa, result: 'unsigned' })
  expect(stateOf([attestation('ci')], [unsigned])).toBe('unsigned')
  expect(judge([rule], [found({ predicateType: spdx, result: 'unsigned' })], how).by).toEqual([])
})

describe('the age of an attestation', () => {
  const clean: Where = { path: ['predicate', 'findings'], test: { kind: 'at-most', value: 0 } }
  const scanned = (ageDays: number | undefined, findings: number, key = 'ci') => {
    const at = now - (ageDays ?? 0) * day
    const signedAt = { at, by: 'claimed' } as const
    return found(
      {
        isSignature: false,
        signer: { key },
        predicateType: vuln,
        ...(ageDays !== undefined && { signedAt }),
      },
      { predicate: { findings } },
    )
  }
  const rule = (maxAgeMs: number | undefined, by = ['ci']): Rule => ({
    kind: 'attestation',
    types: [vuln],
    by: by.map(keyed),
    isSigned: true,
    where: [clean],
    maxAgeMs,
  })

  test('is bounded by max_age, and says until when the verdict holds', () => {
    const fresh = scanned(6, 0)
    const verdict = judge([rule(7 * day)], [fresh], how)
    expect(verdict).toMatchObject({ state: 'verified', validUntil: now + day })
    expect(stateOf([rule(7 * day)], [scanned(7, 0)])).toBe('incomplete')
    expect(stateOf([rule(7 * day)], [scanned(undefined, 0)])).toBe('incomplete')
    // From a time that has not come.
    expect(stateOf([rule(7 * day)], [scanned(-1, 0)])).toBe('incomplete')
    expect(judge([rule(undefined)], [fresh], how).validUntil).toBeUndefined()
  })

  test('lets the newest of a signer count alone', () => {
    expect(stateOf([rule(30 * day)], [scanned(3, 0), scanned(1, 5)])).toBe('incomplete')
    expect(stateOf([rule(undefined)], [scanned(3, 0), scanned(1, 5)])).toBe('incomplete')
    expect(stateOf([rule(30 * day)], [scanned(3, 5), scanned(1, 0)])).toBe('verified')
    // Another signer is another newest one.
    const both = rule(30 * day, ['ci', 'scanner'])
    expect(stateOf([both], [scanned(1, 5), scanned(3, 0, 'scanner')])).toBe('verified')
    // What has no time is older than all that has one.
    expect(stateOf([rule(undefined)], [scanned(undefined, 0), scanned(9, 5)])).toBe('incomplete')
  })

  test('does not matter for other types without max_age', () => {
    const old = { ...attestation('ci', [clean]) }
    const all = [3, 1].map((ageDays, index) =>
      found(
        {
          isSignature: false,
          signer: { key: 'ci' },
          predicateType: slsa,
          signedAt: { at: now - ageDays * day, by: 'claimed' },
        },
        { predicate: { findings: index * 5 } },
      ),
    )
    expect(stateOf([old], all)).toBe('verified')
  })
})

test('a verdict ends when the first signature that it rests on does', () => {
  const all = [
    found({ signer: { key: 'release' }, validUntil: now + 2 * day }),
    found({ signer: { key: 'team' }, validUntil: now + day }),
    found({ signer: { key: 'other' }, validUntil: now + 1 }),
  ]
  const verdict = judge([signature(['release', 'team'], 2)], all, how)
  expect(verdict.validUntil).toBe(now + day)
  expect(judge([signature(['ci'])], all, how).validUntil).toBeUndefined()
})
