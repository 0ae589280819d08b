/**
 * @module What is found on an image: signatures, attestations, SBOMs, and whether each counts. Plain data.
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
 * `verified`: a signer that the configuration names made it over this very image. `unknown key`: none of the keys
 * made it. `wrong subject`: it is proven who made it, and nothing names that signer. `unknown authority`: its
 * certificate leads to no root. `log key unknown`: no root has the log that it is in. `expired`: the certificate,
 * the key or the signature was not valid at the time that counts. `no time`: nothing proves when it was made.
 * `revoked`: its key or certificate counts no more. `invalid`: a signature, a proof or a certificate in it is wrong.
 * `digest mismatch`: it is about something else. `unreadable`: it is not what its type says. `unsigned`: nothing
 * in it is signed. `not checked`: this registry cannot judge it; the reason says why.
 */
export type FindingResult =
  | 'verified'
  | 'unknown key'
  | 'wrong subject'
  | 'unknown authority'
  | 'log key unknown'
  | 'expired'
  | 'no time'
  | 'revoked'
  | 'invalid'
  | 'digest mismatch'
  | 'unreadable'
  | 'unsigned'
  | 'not checked'

/** Who a certificate of a root was given to: proven by the root, the logs and the time of the signature. */
export interface Identity {
  /** Who vouches for the subject: the URL of an issuer of tokens. */
  readonly issuer: string
  /** A workflow, an e-mail address or another name. */
  readonly subject: string
  /** Names of the roots that prove it. */
  readonly roots: readonly string[]
  /** Claims of the token by the names that rules have for them. */
  readonly claims: Readonly<Record<string, string>>
}

/** Who a certificate of a trust store was given to. */
export interface StoreSubject {
  /** Names of the stores that prove it. */
  readonly stores: readonly string[]
  /** As `C=US, O=acme`. */
  readonly subject: string
  /** The same by attributes; those that stand there twice are left out. */
  readonly attributes: Readonly<Record<string, string>>
}

/** Who signed, as far as it can be said. `key`, `identity` and `store` are proven. */
export interface Signer {
  /** Name of the key or the signer in the configuration. Only where the result is `verified`. */
  readonly name?: string
  /** Name of the key that verified it. */
  readonly key?: string
  /** The key that verified it: SHA-256 of its SPKI, lower-case hex. */
  readonly fingerprint?: string
  readonly identity?: Identity
  readonly store?: StoreSubject
  /** What the certificate says, not proven by itself. */
  readonly subject?: string
  /** SHA-256 of the certificate, lower-case hex. */
  readonly certificate?: string
}

/** When something was signed. */
export interface SignedAt {
  /** ms since the epoch. */
  readonly at: number
  /** `trusted`: a log or an authority of timestamps says so. `claimed`: the signer says so. */
  readonly by: 'trusted' | 'claimed'
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
  /** One sentence for a person, wherever the result is not `verified`, or where that has limits. */
  readonly reason?: string
  readonly signedAt?: SignedAt
  /** Tags that the signer names in it. */
  readonly tags?: readonly string[]
  /** It is the provenance of the image in an index: who signs the manifest that holds it vouches for the image. */
  readonly isProvenance?: true
  /** It is in a transparency log of one of the roots. */
  readonly isLogged?: true
  /** From then on it does not count any more by itself, ms since the epoch; undefined: it has no such end. */
  readonly validUntil?: number
}
