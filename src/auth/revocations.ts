/**
 * @module Logins that were taken back (`fastregistry token revoke`): refresh tokens and the bearer
 * tokens made from them, by the id of their login, of one token, or by user. One small file below
 * `storage.path` that the command line rewrites beside a running server; an entry goes when every
 * token that it could concern has ended.
 */
import * as v from 'valibot'
import { parseSecrets } from './secret-file.ts'

const Entry = v.union([
  /** A login (`sid`) or a single token (`jti`). */
  v.object({ id: v.string(), until: v.number() }),
  /** Whatever this user was given at `before` (seconds since the epoch) or earlier. */
  v.object({ user: v.string(), before: v.number(), until: v.number() }),
])

/** `until`: when it has nothing left to refuse, ms since the epoch. */
export type Revocation = v.InferOutput<typeof Entry>

const File = v.object({ revoked: v.array(Entry) })

/** Entries of the file: beyond it, `token rotate-keys --now` ends everything at once. */
export const revocationsMax = 10_000

/** Throws with what is wrong with the file. */
export function parseRevocations(text: string): readonly Revocation[] {
  return parseSecrets(text, File).revoked
}

export function formatRevocations(revoked: readonly Revocation[]): string {
  return `${JSON.stringify({ revoked }, undefined, 2)}\n`
}

/** The list with one more, without what has ended. Throws when it is full. */
export function addRevocation(
  list: readonly Revocation[],
  added: Revocation,
  now: number,
): readonly Revocation[] {
  const isReplaced = (one: Revocation) =>
    'id' in one ? 'id' in added && one.id === added.id : 'user' in added && one.user === added.user
  const kept = list.filter((one) => one.until > now && !isReplaced(one))
  if (kept.length >= revocationsMax) {
    throw new Error(
      `${revocationsMax} logins are revoked already; end all of them: fastregistry token rotate-keys --now`,
    )
  }
  return [...kept, added]
}

/** What a token says of itself. */
export interface TokenOrigin {
  readonly user: string
  readonly ids: readonly unknown[]
  /** When its user logged in, or when it was made where that is not known; seconds. */
  readonly at: number
}

export class Revocations {
  #ids = new Set<string>()
  #users = new Map<string, number>()

  /** Takes the content of the file anew. */
  take(list: readonly Revocation[]): void {
    this.#ids = new Set(list.flatMap((one) => ('id' in one ? [one.id] : [])))
    this.#users = new Map(
      list.flatMap((one) => ('user' in one ? [[one.user, one.before] as const] : [])),
    )
  }

  isRevoked({ user, ids, at }: TokenOrigin): boolean {
    if (ids.some((id) => typeof id === 'string' && this.#ids.has(id))) return true
    const before = this.#users.get(user)
    return before !== undefined && !(at > before)
  }
}
