/**
 * @module Digests (image-spec, descriptor.md#digests): the registered algorithms that we compute
 * (sha256, sha512, blake3) and the grammar that foreign ones must follow inside a manifest.
 */
import { RegistryError } from './errors.ts'
import { digestLengthMax } from './limits.ts'
import { fail, ok, type Result } from './result.ts'

declare const brand: unique symbol

/** `sha256:<64 lower-case hex>` and the like. Holding one means that the grammar was checked. */
export type Digest = string & { readonly [brand]: 'Digest' }

/** Algorithms that this registry computes, with the length of their encoded part. */
export const ALGORITHMS = { sha256: 64, sha512: 128, blake3: 64 } as const

export type Algorithm = keyof typeof ALGORITHMS

export const defaultAlgorithm: Algorithm = 'sha256'

const COMPUTED = /^(?:sha256:[a-f0-9]{64}|sha512:[a-f0-9]{128}|blake3:[a-f0-9]{64})$/
const GRAMMAR = /^[a-z0-9]+(?:[+._-][a-z0-9]+)*:[a-zA-Z0-9=_-]+$/

/** The only door: a digest that this registry can verify, or DIGEST_INVALID. */
export function parseDigest(text: string): Result<Digest, RegistryError> {
  if (COMPUTED.test(text)) return ok(text as Digest)
  return fail(
    new RegistryError('DIGEST_INVALID', {
      message: 'digest must be sha256, sha512 or blake3 with lower-case hex of the full length',
      detail: { digest: text.slice(0, digestLengthMax) },
    }),
  )
}

/** What a digest inside a manifest is: ours, foreign but well-formed (never stored here), or bad. */
export type ForeignDigest =
  | { readonly kind: 'computed'; readonly digest: Digest }
  | { readonly kind: 'foreign'; readonly digest: string }
  | { readonly kind: 'malformed' }

/** Judges a descriptor's digest: unknown algorithms pass as long as they follow the grammar. */
export function judgeDigest(text: string): ForeignDigest {
  if (COMPUTED.test(text)) return { kind: 'computed', digest: text as Digest }
  const isRegistered = isAlgorithm(text.slice(0, Math.max(0, text.indexOf(':'))))
  if (isRegistered || text.length > digestLengthMax || !GRAMMAR.test(text)) {
    return { kind: 'malformed' }
  }
  return { kind: 'foreign', digest: text }
}

export function isAlgorithm(text: string): text is Algorithm {
  return Object.hasOwn(ALGORITHMS, text)
}

/** An algorithm hint (`?digest-algorithm=`), or DIGEST_INVALID with the list of what we compute. */
export function parseAlgorithm(text: string): Result<Algorithm, RegistryError> {
  if (isAlgorithm(text)) return ok(text)
  return fail(
    new RegistryError('DIGEST_INVALID', {
      message: `digest algorithm must be one of ${Object.keys(ALGORITHMS).join(', ')}`,
      detail: { algorithm: text.slice(0, digestLengthMax) },
    }),
  )
}

export function algorithmOf(digest: Digest): Algorithm {
  return digest.slice(0, digest.indexOf(':')) as Algorithm
}

/** The encoded part: lower-case hex for every algorithm that we compute. */
export function encodedOf(digest: Digest): string {
  return digest.slice(digest.indexOf(':') + 1)
}

/** A digest from a hash that was computed here: `encoded` is its lower-case hex. */
export function formatDigest(algorithm: Algorithm, encoded: string): Digest {
  return `${algorithm}:${encoded}` as Digest
}
