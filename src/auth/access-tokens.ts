/**
 * @module Access tokens for machines (`fastregistry token create`): long random texts that stand in
 * for a user's password, limited to repositories and actions, with an end. Only their SHA-256 is
 * kept (they have 256 random bits, so that is enough), in one file below `storage.path` that the
 * command line rewrites beside a running server.
 */
import { createHash, randomBytes } from 'node:crypto'
import * as v from 'valibot'
import type { Clock } from '../runtime/clock.ts'
import { ACTIONS, type Action, type Caller, type Grant } from './caller.ts'
import { RepositoryPattern } from './repository-pattern.ts'
import { parseSecrets } from './secret-file.ts'

/** Tells one of ours from a password, and lets scanners of leaked secrets find it. */
const prefix = 'frt_'

const Row = v.object({
  id: v.string(),
  user: v.string(),
  repositories: v.array(v.string()),
  actions: v.array(v.picklist(ACTIONS)),
  createdAt: v.number(),
  expiresAt: v.number(),
  secretHash: v.string(),
})

export type AccessTokenRow = v.InferOutput<typeof Row>

const File = v.object({ tokens: v.array(Row) })

/** Throws with what is wrong with the file. */
export function parseAccessTokens(text: string): readonly AccessTokenRow[] {
  return parseSecrets(text, File).tokens
}

export function formatAccessTokens(tokens: readonly AccessTokenRow[]): string {
  return `${JSON.stringify({ tokens }, undefined, 2)}\n`
}

/** A new token: its row to keep, and the text that is shown once. */
export function makeAccessToken(
  fields: Pick<AccessTokenRow, 'user' | 'repositories' | 'actions' | 'createdAt' | 'expiresAt'>,
): { readonly row: AccessTokenRow; readonly text: string } {
  const id = randomBytes(6).toString('hex')
  const secret = randomBytes(32).toString('base64url')
  const row = { id, ...fields, secretHash: hashOf(secret) }
  return { row, text: `${prefix}${id}_${secret}` }
}

export interface AccessTokensOptions {
  readonly clock: Pick<Clock, 'now'>
  /** The caller of a user that still exists. */
  readonly callerOf: (user: string) => Caller | undefined
}

export interface AccessTokenLimits {
  readonly user: string
  readonly grant: Grant
  /** Milliseconds since the epoch. */
  readonly expiresAt: number
}

/** Tokens by the user they were made for. */
export class AccessTokens {
  readonly #options: AccessTokensOptions
  #byId = new Map<string, { row: AccessTokenRow; grant: Grant }>()

  constructor(options: AccessTokensOptions) {
    this.#options = options
  }

  /** Takes the content of the file anew. */
  take(rows: readonly AccessTokenRow[]): void {
    this.#byId = new Map(rows.map((row) => [row.id, { row, grant: grantOf(row) }]))
  }

  /** What a token of this id is limited to, and its end (ms); undefined: it holds no more. */
  limitsOf(id: string): AccessTokenLimits | undefined {
    const entry = this.#byId.get(id)
    if (entry === undefined || entry.row.expiresAt <= this.#options.clock.now()) return undefined
    return { user: entry.row.user, grant: entry.grant, expiresAt: entry.row.expiresAt }
  }

  /** The caller, when the password is a token of that user that still holds. */
  find(user: string, password: string): Caller | undefined {
    if (!password.startsWith(prefix)) return undefined
    const [id = '', secret = ''] = splitOnce(password.slice(prefix.length))
    const entry = this.#byId.get(id)
    // The hashes are compared, not the secrets: their timing says nothing about these.
    if (entry === undefined || entry.row.secretHash !== hashOf(secret)) return undefined
    if (entry.row.user !== user || entry.row.expiresAt <= this.#options.clock.now())
      return undefined
    const caller = this.#options.callerOf(user)
    const { grant } = entry
    return (
      caller &&
      Object.freeze({ ...caller, via: 'access-token', grant, bounds: grant, accessTokenId: id })
    )
  }
}

function grantOf({ repositories, actions, user }: AccessTokenRow): Grant {
  const patterns = repositories.map((text) => new RepositoryPattern(text))
  const allowed = new Set<Action>(actions)
  const coversEverything = repositories.includes('**')
  return {
    allows: (action, resource) =>
      allowed.has(action) &&
      (resource === undefined ||
        (coversEverything && action === 'admin') ||
        patterns.some((pattern) => pattern.matches(resource, user))),
    describe: () => [{ repositories, actions: [...allowed] }],
  }
}

function splitOnce(text: string): [string, string] {
  const at = text.indexOf('_')
  return at === -1 ? [text, ''] : [text.slice(0, at), text.slice(at + 1)]
}

function hashOf(secret: string): string {
  return createHash('sha256').update(secret).digest('hex')
}
