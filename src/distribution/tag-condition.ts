/**
 * @module Conditional tag moves: `If-Match` and `If-None-Match` of a manifest PUT (RFC 9110 §13.1),
 * judged against what the tag points at and held by the transaction that moves it.
 */
import type { Digest } from '../registry/digest.ts'
import { matchesEntityTag } from '../registry/entity-tag.ts'
import { RegistryError } from '../registry/errors.ts'

export interface TagCondition {
  readonly ifMatch: string | undefined
  readonly ifNoneMatch: string | undefined
}

/** Throws 412 (with the current digest in the detail) when the condition does not hold. */
export function checkTagCondition(condition: TagCondition, current: Digest | undefined): void {
  const { ifMatch, ifNoneMatch } = condition
  const holds =
    (ifMatch === undefined || matchesEntityTag(ifMatch, current)) &&
    (ifNoneMatch === undefined || !matchesEntityTag(ifNoneMatch, current))
  if (holds) return
  throw new RegistryError('MANIFEST_INVALID', {
    status: 412,
    message: 'the tag does not point where the request expects',
    detail: { current: current ?? null },
  })
}
