/**
 * @module Bytes that have another digest than they should: one way to refuse them, and to know that refusal.
 */
import type { Digest } from './digest.ts'
import { RegistryError } from './errors.ts'

/** Throws DIGEST_MISMATCH when `received`, the digest of the bytes that came, is not the one expected. */
export function requireDigest(expected: Digest, received: Digest): void {
  if (received === expected) return
  throw new RegistryError('DIGEST_MISMATCH', { detail: { digest: expected, received } })
}

export function isDigestMismatch(error: unknown): boolean {
  return error instanceof RegistryError && error.kind === 'DIGEST_MISMATCH'
}
