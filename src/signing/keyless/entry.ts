/**
 * @module What an entry of a transparency log says of a signature, where the libraries of sigstore do not look.
 */
import { createHash, timingSafeEqual } from 'node:crypto'
import type { LogEntry } from '../formats/proofs.ts'

/** In a time that says nothing of where they differ. */
export function isEqual(a: Uint8Array, b: Uint8Array): boolean {
  return a.byteLength === b.byteLength && timingSafeEqual(a, b)
}

const HASH_OF_LENGTH: ReadonlyMap<number, string> = new Map([
  [32, 'sha256'],
  [48, 'sha384'],
  [64, 'sha512'],
])

/** Whether it is the digest of these bytes, by the hash that has its length. */
export function isDigestOf(digest: Uint8Array, bytes: Uint8Array): boolean {
  const hash = HASH_OF_LENGTH.get(digest.byteLength)
  return hash !== undefined && isEqual(digest, createHash(hash).update(bytes).digest())
}

/**
 * Whether the entry has the key or certificate (in DER) of the signature: anyone may log a foreign signature.
 * Assumes that the library has read the body.
 */
export function isMadeBy({ body }: LogEntry, maker: Buffer): boolean {
  const found = makersIn(JSON.parse(body.toString()) as Nested)
  return found.length === 1 && isEqual(found[0]!, maker)
}

interface Nested {
  readonly [name: string]: Nested | undefined
}

/** The keys or certificates of an entry, in DER, at the places where the kinds of entries have them. */
function makersIn({ spec = {} }: Nested): Buffer[] {
  const pems = [
    spec['signature']?.['publicKey']?.['content'],
    spec['signatures']?.[0]?.['verifier'],
    spec['content']?.['envelope']?.['signatures']?.[0]?.['publicKey'],
  ].filter((it) => typeof it === 'string')
  const second = [
    spec['hashedRekordV002']?.['signature']?.['verifier'],
    spec['dsseV002']?.['signatures']?.[0]?.['verifier'],
  ]
  const raws = second
    .map((it) => it?.['x509Certificate']?.['rawBytes'] ?? it?.['publicKey']?.['rawBytes'])
    .filter((it) => typeof it === 'string')
  return [
    ...pems.map((pem) => derOf(Buffer.from(pem, 'base64').toString('latin1'))),
    ...raws.map((raw) => Buffer.from(raw, 'base64')),
  ]
}

function derOf(pem: string): Buffer {
  const lines = pem.split('\n').filter((line) => !line.startsWith('-----'))
  return Buffer.from(lines.join(''), 'base64')
}

/** The library takes root and size from the checkpoint alone; what stands beside it has to agree. */
export function isProofInItself({ proof }: LogEntry): boolean {
  if (proof === undefined) return true
  const [, size, root] = proof.checkpoint.split('\n', 3)
  return size === proof.treeSize && root === proof.rootHash.toString('base64')
}
