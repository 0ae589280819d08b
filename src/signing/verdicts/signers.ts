/**
 * @module Which signer of the configuration made what was found, and how many different ones did. Pure.
 */
import { assertNever } from '../../registry/assert-never.ts'
import type { Finding } from './finding.ts'

/** A signer that a rule asks for. */
export type WantedSigner = { readonly name: string } & (
  | { readonly kind: 'key'; readonly key: string; readonly isLogged: boolean }
  | {
      readonly kind: 'identity'
      /** Undefined: there is no root, so that nothing fits. */
      readonly root: string | undefined
      /** Globs over the whole text. */
      readonly issuer: string
      readonly subject: string
      readonly claims: Readonly<Record<string, string>>
    }
  | {
      readonly kind: 'store'
      readonly store: string
      /** Attributes that the subject of the certificate has to have; none: any subject. */
      readonly attributes: Readonly<Record<string, string>>
    }
)

/** How a glob is matched: a compiled one for each. */
export type Matches = (glob: string, text: string) => boolean

/** Longest text that a glob looks at, characters. */
export const matchedLengthMax = 2048

/** Whether this signer made what was found, by what is proven of it. Says nothing of the result. */
export function fits(
  wanted: WantedSigner,
  { signer = {}, isLogged }: Pick<Finding, 'signer' | 'isLogged'>,
  matches: Matches,
): boolean {
  switch (wanted.kind) {
    case 'key':
      return signer.key === wanted.key && (!wanted.isLogged || isLogged === true)
    case 'identity': {
      const { identity } = signer
      if (identity === undefined || wanted.root === undefined) return false
      const { issuer, subject, claims, roots } = identity
      const isText = (glob: string, text: string | undefined) =>
        text !== undefined && text.length <= matchedLengthMax && matches(glob, text)
      if (!roots.includes(wanted.root)) return false
      if (!isText(wanted.issuer, issuer) || !isText(wanted.subject, subject)) return false
      return Object.entries(wanted.claims).every(([claim, glob]) => {
        return isText(glob, Object.hasOwn(claims, claim) ? claims[claim] : undefined)
      })
    }
    case 'store': {
      const { store } = signer
      if (store === undefined || !store.stores.includes(wanted.store)) return false
      const { attributes } = store
      return Object.entries(wanted.attributes).every(
        ([name, value]) => Object.hasOwn(attributes, name) && attributes[name] === value,
      )
    }
    default:
      return assertNever(wanted)
  }
}

/** The same text for what the same signer made, however often and with however many certificates. */
export function principalOf({ signer = {} }: Pick<Finding, 'signer'>): string {
  const { identity, store, fingerprint } = signer
  if (identity !== undefined) return JSON.stringify(['identity', identity.issuer, identity.subject])
  if (store !== undefined) return JSON.stringify(['store', store.subject])
  return JSON.stringify(['key', fingerprint ?? signer.key])
}

/**
 * How many of the signers are there, each by a signature of its own: two signatures of one key or identity are
 * one, and so are two identities that only one of `by` fits. (A largest matching; both sides are short.)
 */
export function countSigners(
  by: readonly WantedSigner[],
  found: readonly Finding[],
  matches: Matches,
): number {
  const fitting = new Map<string, Set<number>>()
  for (const finding of found) {
    const principal = principalOf(finding)
    const places = fitting.get(principal) ?? new Set()
    fitting.set(principal, places)
    for (const [index, wanted] of by.entries())
      if (fits(wanted, finding, matches)) places.add(index)
  }
  const takenBy = new Map<number, string>()
  const seat = (principal: string, asked: Set<number>): boolean => {
    for (const place of fitting.get(principal)!) {
      if (asked.has(place)) continue
      asked.add(place)
      const other = takenBy.get(place)
      if (other !== undefined && !seat(other, asked)) continue
      takenBy.set(place, principal)
      return true
    }
    return false
  }
  let count = 0
  for (const principal of fitting.keys()) if (seat(principal, new Set())) count += 1
  return count
}
