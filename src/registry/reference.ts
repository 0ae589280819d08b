/**
 * @module `<tag-or-digest>` of a manifest path: told apart by the colon, which no tag may hold.
 */
import { type Digest, parseDigest } from './digest.ts'
import type { RegistryError } from './errors.ts'
import { ok, type Result } from './result.ts'
import { parseTag, type Tag } from './tag.ts'

export type Reference =
  | { readonly kind: 'tag'; readonly tag: Tag }
  | { readonly kind: 'digest'; readonly digest: Digest }

/** A tag or a digest; DIGEST_INVALID where a colon says digest, TAG_INVALID otherwise. */
export function parseReference(text: string): Result<Reference, RegistryError> {
  if (text.includes(':')) {
    const digest = parseDigest(text)
    return digest.ok ? ok({ kind: 'digest', digest: digest.value }) : digest
  }
  const tag = parseTag(text)
  return tag.ok ? ok({ kind: 'tag', tag: tag.value }) : tag
}
