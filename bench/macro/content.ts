/**
 * @module Bytes of blobs that nobody has to store: a pool of pseudo-random bytes, read over and
 * over, behind a head that makes each blob unique. The same seed and size are the same blob in
 * every process, so all registries are given the same bytes.
 */
import { createCipheriv, createHash } from 'node:crypto'

export interface BlobSpec {
  readonly seed: number
  readonly sizeBytes: number
}

export interface Blob extends BlobSpec {
  /** `sha256:…` of the content. */
  readonly digest: string
}

const poolBytes = 16 * 1024 * 1024
const chunkBytes = 1024 * 1024
/** The chunk with the head is a copy: small, because clients make it while the clock runs. */
const firstBytes = 64 * 1024
const headBytes = 16

let madePool: Buffer | undefined

/** AES in counter mode over zeros: incompressible, the same everywhere, made in milliseconds. */
function pool(): Buffer {
  const cipher = createCipheriv('aes-128-ctr', Buffer.alloc(16, 7), Buffer.alloc(16))
  madePool ??= cipher.update(Buffer.alloc(poolBytes))
  return madePool
}

/** The content in chunks of at most 1 MiB; all but the first share the pool's memory. */
export function* contentOf({ seed, sizeBytes }: BlobSpec): Generator<Uint8Array> {
  const bytes = pool()
  const first = Buffer.from(bytes.subarray(0, Math.min(sizeBytes, firstBytes)))
  const head = Buffer.alloc(headBytes)
  head.writeDoubleLE(seed, 0)
  head.writeDoubleLE(sizeBytes, 8)
  head.copy(first)
  yield first
  for (let at = first.length; at < sizeBytes; ) {
    const from = at % poolBytes
    const length = Math.min(chunkBytes, sizeBytes - at, poolBytes - from)
    yield bytes.subarray(from, from + length)
    at += length
  }
}

export function withDigest(spec: BlobSpec): Blob {
  const hash = createHash('sha256')
  for (const chunk of contentOf(spec)) hash.update(chunk)
  return { ...spec, digest: `sha256:${hash.digest('hex')}` }
}
