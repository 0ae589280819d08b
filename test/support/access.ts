/**
 * @module Credentials and users' files for tests of access control. Hashes have the least cost that
 * bcrypt knows, so that tests do not wait for it.
 */
import { readFileSync } from 'node:fs'
import { hashSync } from 'bcryptjs'
import { secretFilePaths } from '../../src/auth/secret-file.ts'
import { parseKeyFile, TokenKeys } from '../../src/auth/token-keys.ts'

const cost = 4

export function hashOf(password: string): string {
  return hashSync(password, cost)
}

/** The text of a users' file, from passwords by name. */
export function htpasswd(users: Readonly<Record<string, string>>): string {
  return Object.entries(users)
    .map(([name, password]) => `${name}:${hashOf(password)}\n`)
    .join('')
}

/** The header of Basic credentials. */
export function basic(name: string, password: string): Record<string, string> {
  return { authorization: `Basic ${Buffer.from(`${name}:${password}`).toString('base64')}` }
}

export function bearer(token: string): Record<string, string> {
  return { authorization: `Bearer ${token}` }
}

/** A bearer token signed with the registry's own newest key: for what no client can ask for. */
export async function forgeToken(
  storage: string,
  claims: Readonly<Record<string, unknown>>,
  type = 'JWT',
): Promise<string> {
  const text = readFileSync(secretFilePaths(storage).keys, 'utf8')
  const keys = await TokenKeys.from(parseKeyFile(text), 'fastregistry')
  const now = Math.floor(Date.now() / 1000)
  return keys.signer.sign({ iat: now, exp: now + 600, aud: 'registry.test', ...claims }, type)
}
