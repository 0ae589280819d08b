/**
 * @module Settings of signatures: the public keys that signatures of images are verified with.
 */
import { type Contradiction, setting, type ValuesOf } from '../../setting.ts'
import * as type from '../../values.ts'
import { keysMax, name, rule, type SigningRuleConfig } from './rules.ts'

const since = '1.0.0'

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
