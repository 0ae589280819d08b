/**
 * @module What is found on an image: signatures, attestations, SBOMs, and whether each counts.
 */
import type { Digest } from '../../registry/digest.ts'

/** How something is attached and signed. */
export type Scheme =
  | 'cosign-tag'
  | 'cosign-referrer'
  | 'bundle'
  | 'notation'
  | 'buildkit'
  | 'openpgp'
  | 'unknown'

/**
 * `verified`: one of the registry's keys made it over this very image. `unknown key`: none of them did.
 * `digest mismatch`: it is about something else. `unreadable`: it is not what its type says. `unsigned`: nothing
 * in it is signed. `not checked`: nobody here can judge it; the reason says why.
 */
export type FindingResult =
  | 'verified'
  | 'unknown key'
  | 'digest mismatch'
  | 'unreadable'
  | 'unsigned'
  | 'not checked'

/** Who signed, as far as it can be said. Only `key` is proven. */
export interface Signer {
  /** Name of the key that verified it. */
  readonly key?: string
  /** The same key: SHA-256 of its SPKI, lower-case hex. */
  readonly fingerprint?: string
  /** What the certificate says, not proven. */
  readonly subject?: string
  /** SHA-256 of the certificate, lower-case hex. */
  readonly certificate?: string
}

export interface Finding {
  readonly scheme: Scheme
  /** The manifest that holds it. */
  readonly manifest: Digest
  /** Whether it says "this image is mine", as opposed to something about the image. */
  readonly isSignature: boolean
  readonly signer?: Signer
  /** Of an attestation, as it says itself. */
  readonly predicateType?: string
  readonly result: FindingResult
  /** One sentence for a person, wherever the result is not `verified`. */
  readonly reason?: string
}
