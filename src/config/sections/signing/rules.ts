/**
 * @module Rules of the policies of signatures: who has to have signed an image, and what has to be attested of it.
 */
import { compileGlob } from '../../../registry/glob.ts'
import { fail, ok } from '../../../registry/result.ts'
import * as type from '../../values.ts'
import { type ByConfig, by, keysMax } from './signers.ts'

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

const signature = type.convert(
  type.inspect(
    type.item({
      by,
      at_least: type.withDefault(type.integer(1, keysMax), 1),
      any_attestation: type.withDefault(type.boolean(), false),
    }),
    (it) =>
      it.at_least > new Set(it.by.map((one) => JSON.stringify(one))).size
        ? [{ path: ['at_least'], message: 'expected at most as many as there are signers in by' }]
        : [],
  ),
  (it): SignatureRuleConfig => ({
    kind: 'signature',
    by: it.by,
    atLeast: it.at_least,
    isAnyAttestation: it.any_attestation,
  }),
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
  type.refine(
    type.item({
      type: type.oneOrMore('list of predicate types', predicateType),
      by: type.optional(by),
      signed: type.withDefault(type.boolean(), true),
      where: type.withDefault(type.list('list of conditions', where), []),
      max_age: type.optional(type.duration('1m')),
    }),
    (it) => {
      if (it.signed === (it.by !== undefined)) return undefined
      return it.signed
        ? '"by" is missing: who has to have signed it (or signed: false)'
        : 'by is for what is signed; leave it out, or leave out signed: false'
    },
  ),
  (it): AttestationRuleConfig => ({
    kind: 'attestation',
    types: it.type,
    by: it.by ?? [],
    isSigned: it.signed,
    where: it.where,
    maxAgeMs: it.max_age,
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

/** `By` is `ByConfig` as it is written, and `NamedSignerConfig` once names are looked up. */
export interface SignatureRuleConfig<By = ByConfig> {
  readonly kind: 'signature'
  readonly by: readonly By[]
  readonly atLeast: number
  /** Attestations count as well. */
  readonly isAnyAttestation: boolean
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

export interface AttestationRuleConfig<By = ByConfig> {
  readonly kind: 'attestation'
  /** URIs. */
  readonly types: readonly string[]
  /** Empty where it need not be signed. */
  readonly by: readonly By[]
  readonly isSigned: boolean
  readonly where: readonly WhereConfig[]
  /** Undefined: it may be of any age. */
  readonly maxAgeMs: number | undefined
}

export type SigningRuleConfig<By = ByConfig> = SignatureRuleConfig<By> | AttestationRuleConfig<By>
