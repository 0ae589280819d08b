/**
 * @module Settings of signatures: the public keys that signatures of images are verified with.
 */
import { compileGlob } from '../../registry/glob.ts'
import { fail, ok } from '../../registry/result.ts'
import { type Contradiction, setting, type ValuesOf } from '../setting.ts'
import * as type from '../values.ts'

const since = '1.0.0'

/** Keys of one registry: each is tried on each signature that names none. */
const keysMax = 64

const name = type.textThat(
  (value) => /^[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?$/.test(value),
  'expected a name of lower-case letters, digits, dots, dashes and underscores, such as "release"',
)

const key = type.convert(
  type.refine(
    type.item({
      name,
      path: type.optional(type.path({ lengthMin: 1 })),
      pem: type.optional(type.text({ lengthMin: 1 })),
    }),
    ({ path, pem }) =>
      (path === undefined) === (pem === undefined)
        ? 'expected exactly one of path (a file) and pem (the key itself)'
        : undefined,
  ),
  ({ name, path, pem }): SigningKeyConfig => ({
    name,
    source: path === undefined ? { kind: 'pem', pem: pem! } : { kind: 'file', path },
  }),
)

const keys = type.inspect(type.list('list of keys', key), (all) => {
  if (all.length > keysMax) return [{ path: [], message: `expected at most ${keysMax} keys` }]
  return all.flatMap((one, index) => {
    const first = all.findIndex((other) => other.name === one.name)
    if (first === index) return []
    return [
      { path: [index, 'name'], message: `"${one.name}" is the name of the key [${first}] too` },
    ]
  })
})

/** Predicate types by the short names that cosign has for them. */
const PREDICATE_TYPES: Readonly<Record<string, string>> = {
  slsaprovenance1: 'https://slsa.dev/provenance/v1',
  slsaprovenance02: 'https://slsa.dev/provenance/v0.2',
  spdx: 'https://spdx.dev/Document',
  cyclonedx: 'https://cyclonedx.org/bom',
  vuln: 'https://cosign.sigstore.dev/attestation/vuln/v1',
  openvex: 'https://openvex.dev/ns',
  custom: 'https://cosign.sigstore.dev/attestation/v1',
  vsa: 'https://slsa.dev/verification_summary/v1',
}

const predicateType = type.convert(
  type.textThat(
    (value) => Object.hasOwn(PREDICATE_TYPES, value) || /^[a-z][a-z0-9+.-]*:\S+$/i.test(value),
    `expected a predicate type as a URI, or one of ${Object.keys(PREDICATE_TYPES).join(', ')}`,
  ),
  (value) => PREDICATE_TYPES[value] ?? value,
)

const keyName = type.item({ key: name })
const by = type.convert(type.list('list of signers', keyName, { lengthMin: 1 }), (all) =>
  all.map(({ key }) => key),
)

const signature = type.convert(
  type.inspect(type.item({ by, at_least: type.withDefault(type.integer(1, keysMax), 1) }), (it) =>
    it.at_least > new Set(it.by).size
      ? [{ path: ['at_least'], message: 'expected at most as many as there are signers in by' }]
      : [],
  ),
  (it): SignatureRuleConfig => ({ kind: 'signature', by: it.by, atLeast: it.at_least }),
)

/** A value as YAML gives it. */
const scalar: type.ValueType<string | number | boolean> = {
  name: 'text, number or boolean',
  parse: (raw) =>
    typeof raw === 'string' || typeof raw === 'boolean' || Number.isFinite(raw)
      ? ok(raw as string | number | boolean)
      : fail([{ path: [], message: 'expected text, a number, true or false' }]),
}

const pointer = type.convert(
  type.textThat(
    (value) => /^(?:\/(?:[^/~]|~[01])*){1,32}$/.test(value),
    'expected a JSON pointer such as "/predicate/runDetails/builder/id"',
  ),
  (value) =>
    value
      .slice(1)
      .split('/')
      .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~')),
)

const number = type.integer(Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER)
const TESTS = ['equals', 'matches', 'in', 'at_least', 'at_most', 'exists'] as const

/** Over any text, so that it may hold what no name has. */
const textGlob = type.textThat(
  (value) => compileGlob(value).ok,
  'expected a glob such as "https://github.com/acme/*"',
)

const where = type.convert(
  type.refine(
    type.item({
      path: pointer,
      equals: type.optional(scalar),
      matches: type.optional(textGlob),
      in: type.optional(type.list('list of values', scalar)),
      at_least: type.optional(number),
      at_most: type.optional(number),
      exists: type.optional(type.boolean()),
    }),
    (it) =>
      TESTS.filter((test) => it[test] !== undefined).length === 1
        ? undefined
        : `expected exactly one of ${TESTS.join(', ')}`,
  ),
  (it): WhereConfig => ({ path: it.path, test: testOf(it) }),
)

function testOf(it: {
  readonly equals?: string | number | boolean | undefined
  readonly matches?: string | undefined
  readonly in?: readonly (string | number | boolean)[] | undefined
  readonly at_least?: number | undefined
  readonly at_most?: number | undefined
  readonly exists?: boolean | undefined
}): WhereConfig['test'] {
  if (it.equals !== undefined) return { kind: 'equals', value: it.equals }
  if (it.matches !== undefined) return { kind: 'matches', glob: it.matches }
  if (it.in !== undefined) return { kind: 'in', values: it.in }
  if (it.at_least !== undefined) return { kind: 'at-least', value: it.at_least }
  if (it.at_most !== undefined) return { kind: 'at-most', value: it.at_most }
  return { kind: 'exists', value: it.exists! }
}

const attestation = type.convert(
  type.item({
    type: type.oneOrMore('list of predicate types', predicateType),
    by,
    where: type.withDefault(type.list('list of conditions', where), []),
  }),
  (it): AttestationRuleConfig => ({
    kind: 'attestation',
    types: it.type,
    by: it.by,
    where: it.where,
  }),
)

const rule = type.convert(
  type.refine(
    type.item({ signature: type.optional(signature), attestation: type.optional(attestation) }),
    (it) =>
      (it.signature === undefined) === (it.attestation === undefined)
        ? 'expected exactly one of signature and attestation'
        : undefined,
  ),
  (it): SigningRuleConfig => it.signature ?? it.attestation!,
)

const patterns = type.list('list of patterns', type.pattern(), { lengthMin: 1 })

const policy = type.convert(
  type.item({
    name,
    repositories: patterns,
    tags: type.withDefault(patterns, ['**']),
    mode: type.withDefault(type.oneOf('audit', 'warn', 'enforce'), 'audit'),
    gates: type.withDefault(
      type.list('list of gates', type.oneOf('tag', 'copy'), { lengthMin: 1 }),
      ['tag', 'copy'],
    ),
    require: type.list('list of rules', rule, { lengthMin: 1 }),
  }),
  ({ require, ...rest }): SigningPolicyConfig => ({ ...rest, rules: require }),
)

const policies = type.inspect(type.list('list of policies', policy), (all) =>
  all.flatMap((one, index) => {
    const first = all.findIndex((other) => other.name === one.name)
    if (first < index) {
      const message = `"${one.name}" is the name of the policy [${first}] too`
      return [{ path: [index, 'name'], message }]
    }
    const earlier = all.slice(0, index).flatMap(({ repositories }) => repositories)
    const isReached = one.repositories.some(
      (it) => !earlier.includes(it) && !earlier.includes('**'),
    )
    if (isReached) return []
    const message =
      'earlier policies decide about all of these repositories; put this one before them'
    return [{ path: [index, 'repositories'], message }]
  }),
)

export const SIGNING_SETTINGS = {
  'signing.keys': setting({
    type: keys,
    default: [],
    doc: 'Public keys that signatures of images are verified with, each with a name.',
    since,
  }),
  'signing.policies': setting({
    type: policies,
    default: [],
    doc: 'What images need to be signed, and by whom, before a tag can point at them. The first policy whose repositories fit decides.',
    since,
  }),
} as const

/** A public key: its text, or the file that has it. */
export interface SigningKeyConfig {
  readonly name: string
  readonly source:
    | { readonly kind: 'pem'; readonly pem: string }
    | { readonly kind: 'file'; readonly path: string }
}

export interface SignatureRuleConfig {
  readonly kind: 'signature'
  readonly by: readonly string[]
  readonly atLeast: number
}

export interface WhereConfig {
  /** Members on the way to the value. */
  readonly path: readonly string[]
  readonly test:
    | { readonly kind: 'equals'; readonly value: string | number | boolean }
    | { readonly kind: 'in'; readonly values: readonly (string | number | boolean)[] }
    | { readonly kind: 'matches'; readonly glob: string }
    | { readonly kind: 'at-least' | 'at-most'; readonly value: number }
    | { readonly kind: 'exists'; readonly value: boolean }
}

export interface AttestationRuleConfig {
  readonly kind: 'attestation'
  /** URIs. */
  readonly types: readonly string[]
  readonly by: readonly string[]
  readonly where: readonly WhereConfig[]
}

export type SigningRuleConfig = SignatureRuleConfig | AttestationRuleConfig

export interface SigningPolicyConfig {
  readonly name: string
  readonly repositories: readonly string[]
  readonly tags: readonly string[]
  readonly mode: 'audit' | 'warn' | 'enforce'
  readonly gates: readonly ('tag' | 'copy')[]
  /** All of them. */
  readonly rules: readonly SigningRuleConfig[]
}

export interface SigningConfig {
  /** In the order of the file. */
  readonly keys: readonly SigningKeyConfig[]
  /** In the order of the file: the first whose repositories fit decides. */
  readonly policies: readonly SigningPolicyConfig[]
}

type Values = ValuesOf<typeof SIGNING_SETTINGS>

export function signingPart(values: Values): { readonly signing: SigningConfig } {
  return { signing: { keys: values['signing.keys'], policies: values['signing.policies'] } }
}

/** Policies that name keys which are none. */
export function signingContradictions(values: Values): readonly Contradiction[] {
  const known = new Set(values['signing.keys'].map((one) => one.name))
  return values['signing.policies'].flatMap(({ rules }, at) =>
    rules.flatMap((one, ruleAt) =>
      one.by
        .filter((key) => !known.has(key))
        .map((key) => ({
          key: 'signing.policies',
          message: `[${at}].require[${ruleAt}].${one.kind}.by: there is no key "${key}" in signing.keys`,
          unless: ['signing.keys'],
        })),
    ),
  )
}
