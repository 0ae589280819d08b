/**
 * @module Signers of images as rules name them: a public key, an identity that a certificate of a root proves
 * (keyless), or a subject of a trust store (Notation).
 */
import { assertNever } from '../../../registry/assert-never.ts'
import { compileGlob } from '../../../registry/glob.ts'
import * as type from '../../values.ts'

/** Keys of one registry, and signers of one rule: each is tried on each signature. */
export const keysMax = 64

export const name = type.textThat(
  (value) => /^[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?$/.test(value),
  'expected a name of lower-case letters, digits, dots, dashes and underscores, such as "release"',
)

/** What no one text of a signer is like. A glob that fits both fits every signer of its root. */
const STRANGERS = ['https://4f1c.invalid/a/b/c@refs/heads/d', '4f1c@4f1c.invalid', '4f1c'] as const

/** A glob over a whole text, so that it may hold what no name has. */
const textGlob = type.textThat(
  (value) => compileGlob(value).ok,
  'expected a glob such as "https://github.com/acme/*"',
)

const narrowGlob = type.refine(textGlob, (value) => {
  const compiled = compileGlob(value)
  const fitsAll = compiled.ok && STRANGERS.some((stranger) => compiled.value(stranger))
  return fitsAll ? 'expected a glob that names more: this one fits any signer' : undefined
})

/** Claims of Fulcio's certificates by their names here, and in the extension 1.3.6.1.4.1.57264.1.N. */
const CLAIM_NAMES = [
  'build_signer_uri',
  'build_signer_digest',
  'runner_environment',
  'source_repository',
  'source_digest',
  'source_ref',
  'source_repository_id',
  'source_owner',
  'source_owner_id',
  'build_config_uri',
  'build_config_digest',
  'trigger',
  'run_uri',
  'visibility',
  'deployment_environment',
  'token_subject',
] as const

const claims = Object.fromEntries(
  CLAIM_NAMES.map((claim) => [claim, type.optional(textGlob)]),
) as Readonly<Record<(typeof CLAIM_NAMES)[number], type.OptionalPart<string, false>>>

const identity = type.convert(
  type.item({ root: type.optional(name), issuer: narrowGlob, subject: narrowGlob, ...claims }),
  ({ root, issuer, subject, ...rest }): IdentityConfig => ({
    kind: 'identity',
    root,
    issuer,
    subject,
    claims: { ...rest },
  }),
)

/** Attributes of a subject by their short names. */
const ATTRIBUTES = new Set(['C', 'ST', 'L', 'O', 'OU', 'CN', 'STREET', 'SERIALNUMBER', 'DC'])

/** `C=US, O=acme`: undefined where it is none. A comma in a value stands behind a backslash. */
export function parseSubject(text: string): Readonly<Record<string, string>> | undefined {
  const found = new Map<string, string>()
  for (const part of text.split(/(?<!\\),/)) {
    const at = part.indexOf('=')
    const key = part.slice(0, Math.max(0, at)).trim().toUpperCase()
    const value = part.slice(at + 1).trim()
    const isValue = /^(?:[^\\=]|\\[\\,=+])+$/.test(value)
    if (!ATTRIBUTES.has(key) || found.has(key) || !isValue) return undefined
    found.set(key, value.replaceAll(/\\(.)/g, '$1'))
  }
  return Object.fromEntries(found)
}

const storeSubject = type.convert(
  type.textThat(
    (value) => value === '*' || (value.length <= 1024 && parseSubject(value) !== undefined),
    'expected attributes such as "C=US, O=acme" (of C, ST, L, O, OU, CN, each once), or "*"',
  ),
  (text) => ({ text, attributes: text === '*' ? {} : parseSubject(text)! }),
)

const KINDS = ['key', 'identity', 'store'] as const

/** One signer: exactly one of key, identity and store. */
const signer = type.convert(
  type.refine(
    type.item({
      key: type.optional(name),
      log: type.optional(type.oneOf('required', 'optional')),
      identity: type.optional(identity),
      store: type.optional(name),
      subject: type.optional(storeSubject),
    }),
    (it) => {
      const kinds = KINDS.filter((kind) => it[kind] !== undefined)
      if (kinds.length !== 1) return `expected exactly one of ${KINDS.join(', ')}`
      if (it.log !== undefined && it.key === undefined) return 'log is for a key alone'
      if ((it.subject === undefined) === (it.store === undefined)) return undefined
      return it.store === undefined
        ? 'subject is for a store alone; that of an identity stands inside it'
        : '"subject" is missing: attributes such as "C=US, O=acme", or "*" for all of the store'
    },
  ),
  ({ key, log, identity: it, store, subject }): SignerConfig => {
    if (key !== undefined) return { kind: 'key', key, isLogged: log === 'required' }
    if (it !== undefined) return it
    return { kind: 'store', store: store!, subject: subject!.text, attributes: subject!.attributes }
  },
)

/** What stands in `by`: a signer, or the name of one in signing.signers. */
const entry: type.ValueType<ByConfig> = {
  name: 'signer',
  parse: (raw) =>
    typeof raw === 'string'
      ? type.convert(name, (named): ByConfig => ({ kind: 'named', name: named })).parse(raw)
      : signer.parse(raw),
}

export const by = type.inspect(
  type.list('list of signers', entry, { lengthMin: 1 }),
  (all): readonly type.ValueIssue[] =>
    all.length > keysMax ? [{ path: [], message: `expected at most ${keysMax} signers` }] : [],
)

export const signers = type.mapping('mapping of signers', name, signer)

export interface IdentityConfig {
  readonly kind: 'identity'
  /** Name of a root; undefined: the only one. */
  readonly root: string | undefined
  /** Globs over the whole text. */
  readonly issuer: string
  readonly subject: string
  /** Globs by the names of claims. */
  readonly claims: Readonly<Record<string, string>>
}

export type SignerConfig =
  | { readonly kind: 'key'; readonly key: string; readonly isLogged: boolean }
  | IdentityConfig
  | {
      readonly kind: 'store'
      readonly store: string
      /** As it is written: `*`, or attributes. */
      readonly subject: string
      /** All of them have to be in the subject of the certificate. Empty: any subject. */
      readonly attributes: Readonly<Record<string, string>>
    }

export type ByConfig = SignerConfig | { readonly kind: 'named'; readonly name: string }

/** A signer with its name in verdicts. */
export type NamedSignerConfig = SignerConfig & { readonly name: string }

/** What a verdict calls a signer that has no name of its own. */
export function namedSigner(signer: SignerConfig): NamedSignerConfig {
  switch (signer.kind) {
    case 'key':
      return { ...signer, name: signer.key }
    case 'identity':
      return { ...signer, name: `${signer.subject} (${signer.issuer})` }
    case 'store':
      return { ...signer, name: `${signer.store}: ${signer.subject}` }
    default:
      return assertNever(signer)
  }
}
