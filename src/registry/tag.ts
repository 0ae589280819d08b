/**
 * @module Tags (spec.md#pulling-manifests, `<tag>`).
 */
import { RegistryError } from './errors.ts'
import { tagLengthMax } from './limits.ts'
import { fail, ok, type Result } from './result.ts'

declare const brand: unique symbol

/** `v1.2`: 1 to 128 characters. Holding one means that the grammar was checked. */
export type Tag = string & { readonly [brand]: 'Tag' }

const TAG = /^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$/

/** The tag, or TAG_INVALID. */
export function parseTag(text: string): Result<Tag, RegistryError> {
  if (TAG.test(text)) return ok(text as Tag)
  return fail(
    new RegistryError('TAG_INVALID', {
      message: `tag must match ${TAG.source}`,
      detail: { tag: text.slice(0, tagLengthMax + 1) },
    }),
  )
}
