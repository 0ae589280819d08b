/**
 * @module Credentials and users' files for tests of access control. Hashes have the least cost that
 * bcrypt knows, so that tests do not wait for it.
 */
import { hashSync } from 'bcryptjs'

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
