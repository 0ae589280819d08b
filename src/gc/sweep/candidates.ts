/**
 * @module From the lines of a plan to candidates for the writer, inside a worker. Nothing is decided
 * here: the writer compares each with what is there now (`metadata/apply/sweep.ts`).
 */

import type { Candidate } from '../../metadata/sweep.ts'
import { type Digest, parseDigest } from '../../registry/digest.ts'
import { parseRepositoryName } from '../../registry/name.ts'
import { unwrap } from '../../registry/result.ts'
import { parseTag } from '../../registry/tag.ts'
import type { PlanItem } from '../plan/item.ts'

/** Throws when the plan's file is not what the collection wrote. */
export function toCandidate(item: PlanItem): Candidate {
  const digest = unwrap(parseDigest(item.digest))
  const { kind, at, bytes } = item
  switch (kind) {
    case 'link':
      return { kind, repository: unwrap(parseRepositoryName(item.repository)), digest, at }
    case 'blob':
      return { kind, digest, at, bytes }
    default: {
      const removed = {
        repository: unwrap(parseRepositoryName(item.repository)),
        digest,
        at,
        pulledAt: item.pulledAt ?? 0,
        why: item.reason,
        ...subjectOf(item.subject),
      }
      return item.kind === 'tag'
        ? { kind: item.kind, tag: unwrap(parseTag(item.tag)), ...removed }
        : { kind: item.kind, ...removed }
    }
  }
}

/** A digest of an algorithm that is not computed here names nothing that is here. */
function subjectOf(text: string | undefined): { readonly subject?: Digest } {
  const digest = text === undefined ? undefined : parseDigest(text)
  return digest?.ok === true ? { subject: digest.value } : {}
}
