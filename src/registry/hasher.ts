/**
 * @module Hashing by algorithm: node:crypto for SHA-2, BLAKE3 by its native package (loaded on
 * first use). A SHA-2 state can be copied, which is how a failed chunk is rolled back; the BLAKE3
 * package cannot copy, so there the prefix is hashed again.
 */
import { createHash, type Hash } from 'node:crypto'
import { createRequire } from 'node:module'
import { type Algorithm, type Digest, formatDigest } from './digest.ts'

export interface Hasher {
  update(bytes: Uint8Array): void
  /** An independent hasher in the same state; undefined where the algorithm's package cannot. */
  copy(): Hasher | undefined
  /** Ends this hasher. */
  digest(): Digest
}

export function createHasher(algorithm: Algorithm): Hasher {
  if (algorithm === 'blake3') return new Blake3(new (loadBlake3())())
  return new Sha2(algorithm, createHash(algorithm))
}

/** Digest of bytes that are all at hand. More than 64 KiB of work belongs to a worker. */
export function digestOf(algorithm: Algorithm, bytes: Uint8Array): Digest {
  const hasher = createHasher(algorithm)
  hasher.update(bytes)
  return hasher.digest()
}

class Sha2 implements Hasher {
  readonly #algorithm: Algorithm
  readonly #hash: Hash

  constructor(algorithm: Algorithm, hash: Hash) {
    this.#algorithm = algorithm
    this.#hash = hash
  }

  update(bytes: Uint8Array): void {
    this.#hash.update(bytes)
  }

  copy(): Hasher {
    return new Sha2(this.#algorithm, this.#hash.copy())
  }

  digest(): Digest {
    return formatDigest(this.#algorithm, this.#hash.digest('hex'))
  }
}

interface Blake3State {
  update(bytes: Buffer): unknown
  digest(encoding: 'hex'): string
}

function loadBlake3(): new () => Blake3State {
  const native = createRequire(import.meta.url)('@napi-rs/blake-hash') as {
    Blake3Hasher: new () => Blake3State
  }
  return native.Blake3Hasher
}

class Blake3 implements Hasher {
  readonly #state: Blake3State

  constructor(state: Blake3State) {
    this.#state = state
  }

  update(bytes: Uint8Array): void {
    this.#state.update(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength))
  }

  copy(): undefined {
    return undefined
  }

  digest(): Digest {
    return formatDigest('blake3', this.#state.digest('hex'))
  }
}
