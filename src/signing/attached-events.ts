/**
 * @module The events of signatures that come and go: what a push or a delete is for the image that it is about.
 */
import { recordEvent } from '../metadata/edits.ts'
import type { SingleChange } from '../metadata/transaction.ts'
import { type Digest, parseDigest } from '../registry/digest.ts'
import type { RepositoryName } from '../registry/name.ts'
import { fallbackTagOf, namesakeOf } from '../registry/named-tag.ts'
import type { Tag } from '../registry/tag.ts'
import { isSignedType } from './evidence.ts'

/** A manifest that comes or goes, with the tags that lead to it then or no more. */
export interface AttachedManifest {
  readonly repository: RepositoryName
  readonly digest: Digest
  readonly artifactType: string | undefined
  readonly subject: string | undefined
  readonly tags: readonly Tag[]
  readonly by: string
  /** Milliseconds since the epoch. */
  readonly at: number
}

/** Tags of cosign for what is signed. */
const SIGNED_SUFFIXES: ReadonlySet<string> = new Set(['.sig', '.att'])

/** One for each image that it is a signature or attestation of, as its type or its tag says. */
export function signatureEvents(
  action: 'signature-added' | 'signature-removed',
  { repository, digest, artifactType = '', subject = '', tags, by, at }: AttachedManifest,
): SingleChange[] {
  const about = new Map<Digest, string>()
  const named = parseDigest(subject)
  if (named.ok && isSignedType(artifactType)) about.set(named.value, `${artifactType} ${digest}`)
  for (const tag of tags) {
    const image = namesakeOf(tag)
    if (image === undefined || image === digest) continue
    if (SIGNED_SUFFIXES.has(tag.slice(fallbackTagOf(image).length))) about.set(image, tag)
  }
  return [...about].map(([image, why]) =>
    recordEvent({ at, action, repository, by, digest: image, why }),
  )
}
