/**
 * @module Whose credentials a repository is asked for with: the longest prefix counts. Secrets that
 * live in files are read when they are needed, so that a rotated one counts at once.
 */
import { readFile } from 'node:fs/promises'

export interface Credential {
  readonly prefix: string
  readonly username: string | undefined
  readonly secret: { readonly kind: 'text' | 'file'; readonly value: string }
  readonly isToken: boolean
  /** The one token server that they may be sent to; undefined: one of the upstream's own domain. */
  readonly tokenServer: string | undefined
}

export class Credentials {
  readonly #byLength: readonly Credential[]

  constructor(credentials: readonly Credential[]) {
    this.#byLength = [...credentials].sort((a, b) => b.prefix.length - a.prefix.length)
  }

  /** Prefixes hold whole path components: `team` covers `team/app`, not `teamwork/app`. */
  find(repository: string): Credential | undefined {
    return this.#byLength.find(({ prefix }) => {
      const stem = prefix.replace(/\/$/, '')
      return stem === '' || repository === stem || repository.startsWith(`${stem}/`)
    })
  }
}

async function secretOf({ secret }: Credential): Promise<string> {
  return secret.kind === 'text' ? secret.value : (await readFile(secret.value, 'utf8')).trim()
}

/** `Basic …`, where the credential is a user's; undefined for a bare token. */
export async function basicHeader(credential: Credential): Promise<string | undefined> {
  if (credential.username === undefined) return undefined
  const pair = `${credential.username}:${await secretOf(credential)}`
  return `Basic ${Buffer.from(pair).toString('base64')}`
}

/** `Bearer …` for a token that is sent as it is. */
export async function bearerHeader(credential: Credential): Promise<string | undefined> {
  if (!credential.isToken || credential.username !== undefined) return undefined
  return `Bearer ${await secretOf(credential)}`
}
