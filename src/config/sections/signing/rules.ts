/**
 * @module Rules of the policies of signatures: who has to have signed an image, and what has to be attested of it.
 */
import { compileGlob } from '../../../registry/glob.ts'
import { fail, ok } from '../../../registry/result.ts'
import * as type from '../../values.ts'

/** Keys of one registry: each is tried on each signature that names none. */
export const keysMax = 64

export const name = type.textThat(
  (value) => /^[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?$/.test(value),
  'expected a name of lower-case letters, digits, dots, dashes and underscores, such as "release"',
)

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

export const rule = type.convert(
  type.refine(
    type.item({ signature: type.optional(signature), attestation: type.optional(attestation) }),
    (it) =>
      (it.signature === undefined) === (it.attestation === undefined)
        ? 'expected exactly one of signature and attestation'
        : undefined,
  ),
  (it): SigningRuleConfig => it.signature ?? it.attestation!,
)

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
