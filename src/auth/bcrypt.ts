/**
 * @module bcrypt: the only user of bcryptjs (plain JavaScript, no dependencies, alike on every
 * platform). Synchronous and slow on purpose: workers and the command line call it, never the
 * main thread of a server.
 */
import { compareSync, hashSync } from 'bcryptjs'

/** Cost of new hashes: about a tenth of a second. */
export const bcryptCost = 10

/** bcrypt looks at the first 72 bytes only. */
export const passwordBytesMax = 72

export function verifyBcrypt(password: string, hash: string): boolean {
  return compareSync(password, hash)
}

export function hashBcrypt(password: string): string {
  return hashSync(password, bcryptCost)
}

/** A hash of this cost that no password has: checking against it takes as long as any other. */
export function nobodysHash(cost: number): string {
  return `$2b$${String(cost).padStart(2, '0')}$${'.'.repeat(53)}`
}
