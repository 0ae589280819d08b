/**
 * @module Repository names (spec.md#pulling-manifests, `<name>`).
 */
import { RegistryError } from './errors.ts'
import { nameLengthMax } from './limits.ts'
import { fail, ok, type Result } from './result.ts'

declare const brand: unique symbol

/** `team/app`: lower-case path components. Holding one means that the grammar was checked. */
export type RepositoryName = string & { readonly [brand]: 'RepositoryName' }

/** One component. Matched apart from the others, so that a hostile name costs linear time. */
const COMPONENT = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*$/

/** The name, or NAME_INVALID. At most 255 characters; checked before the expression runs. */
export function parseRepositoryName(text: string): Result<RepositoryName, RegistryError> {
  const isValid =
    text.length > 0 &&
    text.length <= nameLengthMax &&
    text.split('/').every((component) => COMPONENT.test(component))
  return isValid
    ? ok(text as RepositoryName)
    : fail(new RegistryError('NAME_INVALID', { detail: { name: text.slice(0, nameLengthMax) } }))
}
