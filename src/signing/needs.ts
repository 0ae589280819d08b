/**
 * @module Which keys, roots and stores the policies of signatures rest on: what cannot be read fails closed where a
 * policy is enforced, and is a warning where it is not.
 */
import type { SigningConfig } from '../config/config.ts'
import type { WantedSigner } from './verdicts/signers.ts'

/** A key, root or store of the configuration. */
export interface Needed {
  readonly kind: 'key' | 'root' | 'store'
  readonly name: string
}

type Rules = readonly { readonly by: readonly WantedSigner[] }[]

/** Whether rules rest on it. Authorities of timestamps serve all rules that name a store. */
export function isUsed(
  { kind, name }: Needed,
  rules: Rules,
  stores: readonly Pick<SigningConfig['stores'][number], 'name' | 'type'>[],
): boolean {
  const isOfTimes = kind === 'store' && stores.some((it) => it.name === name && it.type === 'tsa')
  return rules.some(({ by }) =>
    by.some((signer) => {
      switch (signer.kind) {
        case 'key':
          return kind === 'key' && signer.key === name
        case 'identity':
          return kind === 'root' && signer.root === name
        default:
          return kind === 'store' && (isOfTimes || signer.store === name)
      }
    }),
  )
}

/** Whether a server may not start without it: an enforced policy rests on it, or none that is only watched does. */
export function isNeeded(
  needed: Needed,
  { policies, stores }: Pick<SigningConfig, 'policies' | 'stores'>,
): boolean {
  const users = policies.filter(({ rules }) => isUsed(needed, rules, stores))
  return users.length === 0 || users.some(({ mode }) => mode === 'enforce')
}
