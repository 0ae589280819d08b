/**
 * @module Logins that were taken back (`fastregistry token revoke`): refresh tokens and the bearer
 * tokens made from them, by the id of their login, of one token, or by user. One small file below
 * `storage.path` that the command line rewrites beside a running server; an entry goes when every
 * token that it could concern has ended. A second file of the same form has the logins in the pages that
 * were ended there.
 */
import * as v from 'valibot'
import { parseSecrets } from './secret-file.ts'

const Entry = v.union([
  /** A login (`sid`) or a single token (`jti`). */
  v.object({ id: v.string(), until: v.number(), of: v.optional(v.string()) }),
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

/** Logins in the pages that are ended one by one, of one user; and entries of their file. */
const endedOfUserMax = 100
const endedMax = 10_000

/** Stands for every user, and can be no user's name. */
const everyUser = '*'

/** A login in the pages that ends. Times are ms since the epoch. */
export interface EndedSession {
  readonly id: string
  readonly user: string
  /** When no cookie of it can be good any more. */
  readonly until: number
}

/**
 * The list with one login more, without what is over. It never grows beyond its bound and never forgets a login: of
 * a user with too many, and in the end of all users, every login until now ends.
 */
export function addEndedSession(
  list: readonly Revocation[],
  { id, user, until }: EndedSession,
  now: number,
): readonly Revocation[] {
  const kept = list.filter((one) => one.until > now && !('id' in one && one.id === id))
  const before = Math.floor(now / 1000)
  const isOwn = (one: Revocation) => ('id' in one ? one.of === user : one.user === user)
  const own = kept.filter(isOwn)
  const all: readonly Revocation[] =
    own.length < endedOfUserMax
      ? [...kept, { id, of: user, until }]
      : [...kept.filter((one) => !isOwn(one)), { user, before, until }]
  return all.length <= endedMax ? all : [{ user: everyUser, before, until }]
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
    return [user, everyUser].some((name) => {
      const before = this.#users.get(name)
      return before !== undefined && !(at > before)
    })
  }
}
