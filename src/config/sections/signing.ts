/**
 * @module Settings of signatures: the public keys that signatures of images are verified with.
 */
import { setting, type ValuesOf } from '../setting.ts'
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

export const SIGNING_SETTINGS = {
  'signing.keys': setting({
    type: keys,
    default: [],
    doc: 'Public keys that signatures of images are verified with, each with a name.',
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

export interface SigningConfig {
  /** In the order of the file. */
  readonly keys: readonly SigningKeyConfig[]
}

export function signingPart(values: ValuesOf<typeof SIGNING_SETTINGS>): {
  readonly signing: SigningConfig
} {
  return { signing: { keys: values['signing.keys'] } }
}
