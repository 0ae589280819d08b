/**
 * @module What an account may push that may only sign: manifests of signatures, attestations and SBOMs, attached to
 * an image of the repository by their subject or by a tag that is named after it.
 */
import { type Digest, parseDigest } from '../registry/digest.ts'
import { RegistryError } from '../registry/errors.ts'
import type { RepositoryName } from '../registry/name.ts'
import { namesakeOf } from '../registry/named-tag.ts'
import type { Tag } from '../registry/tag.ts'
import { type Exemptible, type ExemptionSources, exemptibleOf, isExempt } from './exemption.ts'

export interface Attachment {
  readonly digest: Digest
  /** The manifest. */
  readonly bytes: Uint8Array
  /** That are to point at it; empty: its subject attaches it. */
  readonly tags: readonly Tag[]
}

/**
 * Returns when it is attached to an image that is here, and takes no tag from anything but signatures. Throws
 * DENIED. Nothing of what it looked at may move before it is stored: call it under the locks of the tags.
 */
export async function requireAttachment(
  sources: ExemptionSources,
  repository: RepositoryName,
  { digest, bytes, tags }: Attachment,
): Promise<void> {
  const { metadata } = sources
  const it = await exemptibleOf(sources, repository, bytes)
  if (it === undefined) {
    throw refused('what is pushed is something else than signatures, attestations and SBOMs')
  }
  const isHere = (text: string) => {
    const image = parseDigest(text)
    if (!image.ok || image.value === digest) return false
    return metadata.get('manifests', [repository, image.value]) !== undefined
  }
  if (tags.length === 0 && (it.subject === undefined || !isHere(it.subject))) {
    throw refused('what is pushed has no subject that is in this repository')
  }
  for (const tag of tags) {
    const image = namesakeOf(tag)
    if (image === undefined || !isHere(image) || !isExempt(it, image)) {
      throw refused(`the tag ${tag} is not named after the image that is signed`)
    }
    if ((await heldBy(sources, repository, tag)) === 'an image') {
      throw refused(`the tag ${tag} points at an image`)
    }
  }
}

async function heldBy(
  sources: ExemptionSources,
  repository: RepositoryName,
  tag: Tag,
): Promise<'nothing' | 'signatures' | 'an image'> {
  const { metadata } = sources
  const row = metadata.get('tags', [repository, tag])
  if (row === undefined) return 'nothing'
  await metadata.pageIn('manifestBytes', row.digest)
  const bytes = metadata.getBytes('manifestBytes', row.digest)?.slice()
  const it: Exemptible | undefined =
    bytes === undefined ? undefined : await exemptibleOf(sources, repository, bytes)
  return it === undefined ? 'an image' : 'signatures'
}

function refused(why: string): RegistryError {
  const message = `this account may only attach signatures here (action "sign"): ${why}`
  return new RegistryError('DENIED', { message })
}
