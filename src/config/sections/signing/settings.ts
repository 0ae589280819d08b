/**
 * @module Settings of signatures: what they are verified with, who signs, and the policies that ask for them.
 */
import { assertNever } from '../../../registry/assert-never.ts'
import type { Digest } from '../../../registry/digest.ts'
import { type Contradiction, setting, type ValuesOf } from '../../setting.ts'
import * as type from '../../values.ts'
import {
  ATTEST_SETTINGS,
  type AttestConfig,
  attestContradictions,
  attestPart,
  type KnownNames,
} from './attest.ts'
import { rule, type SigningRuleConfig } from './rules.ts'
import {
  type ByConfig,
  type NamedSignerConfig,
  name,
  namedSigner,
  type SignerConfig,
  signers,
} from './signers.ts'
import {
  digest,
  keys,
  revokedCertificates,
  revokedDigests,
  revokedKeys,
  roots,
  type SigningKeyConfig,
  type SigningRevokedConfig,
  type SigningRootConfig,
  type SigningStoreConfig,
  stores,
} from './trust.ts'

const since = '1.0.0'

const patterns = type.list('list of patterns', type.pattern(), { lengthMin: 1 })

const exempt = type.withDefault(
  type.item({
    pushers: type.withDefault(type.boolean(), true),
    users: type.withDefault(type.list('list of users', type.text({ lengthMin: 1 })), []),
    groups: type.withDefault(type.list('list of groups', type.text({ lengthMin: 1 })), []),
    digests: type.withDefault(type.list('list of digests', digest), []),
  }),
  {},
)

const policy = type.convert(
  type.item({
    name,
    repositories: patterns,
    tags: type.withDefault(patterns, ['**']),
    mode: type.withDefault(type.oneOf('audit', 'warn', 'enforce'), 'audit'),
    gates: type.withDefault(
      type.list('list of gates', type.oneOf('tag', 'copy', 'pull', 'mirror'), { lengthMin: 1 }),
      ['tag', 'copy'],
    ),
    exempt,
    grace: type.withDefault(type.duration('0s', '30d'), '0s'),
    require: type.list('list of rules', rule, { lengthMin: 1 }),
    children: type.optional(type.oneOf('all')),
    via_attestation: type.withDefault(type.boolean(), false),
    tag_binding: type.withDefault(type.boolean(), false),
    not_older_than: type.optional(type.oneOf('current')),
    countersign: type.withDefault(type.boolean(), false),
  }),
  ({
    require,
    grace,
    children,
    via_attestation,
    tag_binding,
    not_older_than,
    ...rest
  }): SigningPolicyConfig<ByConfig> => ({
    ...rest,
    graceMs: grace,
    rules: require,
    takesChildren: children === 'all',
    takesProvenance: via_attestation,
    bindsTags: tag_binding,
    isNotOlder: not_older_than === 'current',
  }),
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
  'signing.roots': setting({
    type: roots,
    default: [],
    doc: 'Trusted roots of sigstore (`trusted_root.json`), each with a name: authorities and logs that keyless signatures are verified with.',
    since,
  }),
  'signing.stores': setting({
    type: stores,
    default: [],
    doc: 'Trust stores of Notation, each a folder of certificates (PEM or DER) with a name and a type: ca, signingAuthority or tsa.',
    since,
  }),
  'signing.signers': setting({
    type: signers,
    default: [],
    doc: 'Signers by names that rules can use: a key, an identity or a store with a subject.',
    since,
  }),
  'signing.revoked.keys': setting({
    type: revokedKeys,
    default: [],
    doc: 'Keys whose signatures count no more: names, or the SHA-256 of the public key (SPKI in DER).',
    since,
  }),
  'signing.revoked.certificates': setting({
    type: revokedCertificates,
    default: [],
    doc: 'Certificates that count no more, by their SHA-256: those of signers and of authorities.',
    since,
  }),
  'signing.revoked.digests': setting({
    type: revokedDigests,
    default: [],
    doc: 'Digests of images that can be pulled no more, in any repository. The digest of an index stops what it lists as well.',
    since,
  }),
  'signing.policies': setting({
    type: policies,
    default: [],
    doc: 'What images need to be signed, and by whom, before a tag can point at them. The first policy whose repositories fit decides.',
    since,
  }),
  ...ATTEST_SETTINGS,
} as const

export type {
  SigningKeyConfig,
  SigningRevokedConfig,
  SigningRootConfig,
  SigningStoreConfig,
} from './trust.ts'

export interface SigningExemptConfig {
  /** Whoever may push to the repository by the access rules. */
  readonly pushers: boolean
  readonly users: readonly string[]
  readonly groups: readonly string[]
  readonly digests: readonly Digest[]
}

export interface SigningPolicyConfig<By = NamedSignerConfig> {
  readonly name: string
  readonly repositories: readonly string[]
  readonly tags: readonly string[]
  readonly mode: 'audit' | 'warn' | 'enforce'
  readonly gates: readonly ('tag' | 'copy' | 'pull' | 'mirror')[]
  /** Whom and what the gates of pulls let pass. */
  readonly exempt: SigningExemptConfig
  /** How long after its push an image may be pulled unverified, ms. */
  readonly graceMs: number
  /** All of them. */
  readonly rules: readonly SigningRuleConfig<By>[]
  /** Whether an index is verified when every image that it lists is. */
  readonly takesChildren: boolean
  /** Whether the signature of its provenance in an index counts for an image. */
  readonly takesProvenance: boolean
  /** Whether a signature has to name the tag that moves. */
  readonly bindsTags: boolean
  /** Whether a tag never moves to what was signed before the image that it points at. */
  readonly isNotOlder: boolean
  /** Whether the registry adds a signature of its own to what is verified, for podman and the like. */
  readonly countersign: boolean
}

export interface SigningConfig {
  /** In the order of the file. */
  readonly keys: readonly SigningKeyConfig[]
  readonly roots: readonly SigningRootConfig[]
  readonly stores: readonly SigningStoreConfig[]
  /** Those with names, and those that stand in rules. */
  readonly signers: readonly NamedSignerConfig[]
  readonly revoked: SigningRevokedConfig
  /** In the order of the file: the first whose repositories fit decides. */
  readonly policies: readonly SigningPolicyConfig[]
  /** What the registry signs itself. */
  readonly attest: AttestConfig
}

type Values = ValuesOf<typeof SIGNING_SETTINGS>

export function signingPart(
  values: Values,
  names: KnownNames,
): { readonly signing: SigningConfig } {
  const resolve = (one: ByConfig): NamedSignerConfig => {
    if (one.kind !== 'named') return withRoot(namedSigner(one), values)
    // `signingContradictions` has found it.
    return withRoot({ ...values['signing.signers'][one.name]!, name: one.name }, values)
  }
  const policies = values['signing.policies'].map((policy) => ({
    ...policy,
    rules: policy.rules.map((one) => ({ ...one, by: one.by.map(resolve) })),
  }))
  const named = Object.keys(values['signing.signers']).map((called) =>
    resolve({ kind: 'named', name: called }),
  )
  const inRules = policies.flatMap(({ rules }) => rules.flatMap(({ by }) => by))
  const all = new Map([...named, ...inRules].map((one) => [JSON.stringify(one), one]))
  return {
    signing: {
      keys: values['signing.keys'],
      roots: values['signing.roots'],
      stores: values['signing.stores'],
      signers: [...all.values()],
      revoked: {
        keys: values['signing.revoked.keys'],
        certificates: values['signing.revoked.certificates'],
        digests: values['signing.revoked.digests'],
      },
      policies,
      attest: attestPart(values, names),
    },
  }
}

/** An identity that names no root is one of the only root. */
function withRoot(signer: NamedSignerConfig, values: Values): NamedSignerConfig {
  if (signer.kind !== 'identity' || signer.root !== undefined) return signer
  return { ...signer, root: values['signing.roots'][0]?.name }
}

/** Signers that name what is not there. */
export function signingContradictions(values: Values): readonly Contradiction[] {
  const named = Object.entries(values['signing.signers']).flatMap(([called, signer]) => {
    const problem = problemOf(signer, values) ?? nameProblem(called, signer, values)
    return problem === undefined
      ? []
      : [{ key: 'signing.signers', message: `${called}: ${problem[0]}`, unless: [problem[1]] }]
  })
  const inRules = values['signing.policies'].flatMap(({ rules }, at) =>
    rules.flatMap((one, ruleAt) =>
      one.by.flatMap((signer) => {
        const problem = problemOf(signer, values)
        if (problem === undefined) return []
        const place = `[${at}].require[${ruleAt}].${one.kind}.by`
        const message = `${place}: ${problem[0]}`
        return [{ key: 'signing.policies', message, unless: [problem[1]] }]
      }),
    ),
  )
  const keyNames = new Set(values['signing.keys'].map((one) => one.name))
  const revoked = values['signing.revoked.keys']
    .filter((it) => !/^[0-9a-f]{64}$/.test(it) && !keyNames.has(it))
    .map((it) => ({
      key: 'signing.revoked.keys',
      message: `there is no key "${it}" in signing.keys`,
      unless: ['signing.keys'],
    }))
  const attested = attestContradictions(values, values['signing.policies'])
  return [...named, ...inRules, ...revoked, ...attested, ...ungatedOptions(values)]
}

/** Options of moves in a policy that judges none. */
function ungatedOptions(values: Values): readonly Contradiction[] {
  return values['signing.policies'].flatMap(({ gates, bindsTags, isNotOlder }, at) => {
    const option = bindsTags ? 'tag_binding' : isNotOlder ? 'not_older_than' : undefined
    if (option === undefined || gates.some((gate) => gate === 'tag' || gate === 'copy')) return []
    const message = `[${at}].${option}: it reaches the gates tag and copy alone, and gates has neither`
    return [{ key: 'signing.policies', message }]
  })
}

/** What is wrong, and the setting that it depends on. */
type Problem = readonly [message: string, key: string]

function problemOf(signer: ByConfig, values: Values): Problem | undefined {
  const has = (key: 'signing.keys' | 'signing.roots' | 'signing.stores', wanted: string) =>
    values[key].some((one) => one.name === wanted)
  switch (signer.kind) {
    case 'named':
      if (Object.hasOwn(values['signing.signers'], signer.name)) return undefined
      return [`there is no signer "${signer.name}" in signing.signers`, 'signing.signers']
    case 'key':
      if (has('signing.keys', signer.key)) return undefined
      return [`there is no key "${signer.key}" in signing.keys`, 'signing.keys']
    case 'identity': {
      const { root } = signer
      if (root === undefined && values['signing.roots'].length === 1) return undefined
      if (root === undefined) return ['root is missing: name one of signing.roots', 'signing.roots']
      if (has('signing.roots', root)) return undefined
      return [`there is no root "${root}" in signing.roots`, 'signing.roots']
    }
    case 'store': {
      const store = values['signing.stores'].find((one) => one.name === signer.store)
      if (store === undefined) {
        return [`there is no store "${signer.store}" in signing.stores`, 'signing.stores']
      }
      if (store.type !== 'tsa') return undefined
      return [`"${signer.store}" has authorities of timestamps, not of signers`, 'signing.stores']
    }
    default:
      return assertNever(signer)
  }
}

/** In verdicts both are names of who has signed. */
function nameProblem(called: string, signer: SignerConfig, values: Values): Problem | undefined {
  const isKey = values['signing.keys'].some((one) => one.name === called)
  if (!isKey || (signer.kind === 'key' && signer.key === called)) return undefined
  return [`it is the name of a key too, which is another signer`, 'signing.keys']
}
