/**
 * @module Values in DER and parts of certificates, as the one reader of them gives them (`keyless/sigstore.ts`): types
 * alone.
 */

/** A value in DER. */
export interface Der {
  /** The first byte. */
  readonly tag: number
  readonly value: Buffer
  readonly subs: readonly Der[]
  /** The whole of it, as a copy. */
  bytes(): Buffer
  /** Throws where it is no object identifier. */
  oid(): string
}

/** An extension of a certificate. */
export interface Extension {
  readonly oid: string
  readonly isCritical: boolean
  /** What stands in its OCTET STRING. */
  readonly value: Buffer
}

/** Parts of a certificate of version 3 that `node:crypto` does not show. */
export interface CertificateParts {
  readonly notBefore: number
  readonly notAfter: number
  /** Undefined: it has no such extension. */
  readonly keyUsage: { readonly isCritical: boolean; readonly bits: readonly number[] } | undefined
  readonly purposes: readonly string[]
  readonly isAuthority: boolean
  /** Authorities that may stand below it; undefined: any number. */
  readonly pathLength: number | undefined
  readonly extensions: readonly Extension[]
  /** Pairs of OID and text, in order; undefined where one is no text. */
  readonly subject: readonly (readonly [oid: string, text: string])[] | undefined
  /** Its alternative names: the tag (1 e-mail, 6 URI, 0 other) and the text. */
  readonly names: readonly { readonly tag: number; readonly text: string }[]
}
