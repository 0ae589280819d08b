/**
 * @module What a manifest's bytes say: digest and content. Pure: a worker does it for a manifest that
 * is large, and its verdict crosses the thread border as plain data.
 */
import type { MessagePort } from 'node:worker_threads'
import { type Digest, isAlgorithm } from '../../registry/digest.ts'
import type { ErrorKind } from '../../registry/error-kinds.ts'
import { RegistryError } from '../../registry/errors.ts'
import { digestOf } from '../../registry/hasher.ts'
import { type Manifest, parseManifest } from '../../registry/manifest.ts'

export interface ManifestText {
  readonly bytes: Uint8Array
  readonly contentType: string | undefined
  /** The digest that the client names, by its path or by `?digest=`. */
  readonly claimed: Digest | undefined
}

export interface ReadManifest {
  readonly digest: Digest
  readonly manifest: Manifest
}

/** A refusal as data, to be thrown on the other side. */
export interface ManifestRefusal {
  readonly kind: ErrorKind
  readonly message: string
  readonly detail: unknown
}

export type ManifestVerdict =
  | { readonly read: ReadManifest }
  | { readonly refusal: ManifestRefusal }

/** The thread that reads large manifests: `workers/manifest.ts`. */
export interface ManifestSetup {
  readonly port: MessagePort
}

export interface ManifestRequest {
  readonly id: number
  readonly text: ManifestText
}

export interface ManifestReply {
  readonly id: number
  readonly verdict: ManifestVerdict
}

/**
 * Hashes and parses a manifest of at most 4 MiB. Throws DIGEST_MISMATCH when the bytes do not have
 * the digest that is claimed, and MANIFEST_INVALID.
 */
export function readManifest({ bytes, contentType, claimed }: ManifestText): ReadManifest {
  if (claimed === undefined) {
    // Parsed first: what is refused need not be hashed.
    const manifest = parseManifest(bytes, contentType, digestOfData)
    return { digest: digestOf('sha256', bytes), manifest }
  }
  const algorithm = claimed.slice(0, claimed.indexOf(':'))
  const digest = digestOf(isAlgorithm(algorithm) ? algorithm : 'sha256', bytes)
  if (claimed !== digest) {
    throw new RegistryError('DIGEST_MISMATCH', {
      message: 'the manifest received does not have this digest',
      detail: { digest: claimed, received: digest },
    })
  }
  return { digest, manifest: parseManifest(bytes, contentType, digestOfData) }
}

/** As `readManifest`, for the way between threads: a refusal is data. */
export function judgeManifest(text: ManifestText): ManifestVerdict {
  try {
    return { read: readManifest(text) }
  } catch (error) {
    if (!(error instanceof RegistryError)) throw error
    const { kind, message, detail } = error
    return { refusal: { kind, message, detail } }
  }
}

/** Unpacks a verdict; throws its refusal. */
export function unpackVerdict(verdict: ManifestVerdict): ReadManifest {
  if ('read' in verdict) return verdict.read
  const { kind, ...options } = verdict.refusal
  throw new RegistryError(kind, options)
}

function digestOfData(algorithm: string, bytes: Uint8Array): string | undefined {
  return isAlgorithm(algorithm) ? digestOf(algorithm, bytes) : undefined
}
