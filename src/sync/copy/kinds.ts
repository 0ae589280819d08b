/**
 * @module What is attached to an image, told apart: signatures, SBOMs with attestations, and the rest. By the end of
 * a tag's name as cosign sets it, else by what the manifest says of itself.
 */
import type { SyncReferrers } from '../../config/config.ts'
import type { Digest } from '../../registry/digest.ts'
import type { Manifest } from '../../registry/manifest.ts'
import { fallbackTagOf } from '../../registry/named-tag.ts'
import type { ListedReferrer } from '../../upstream/referrer-lists.ts'

export type AttachedKind = keyof SyncReferrers

export const ALL_KINDS: SyncReferrers = { signatures: true, sboms: true, others: true }

export function wantsAll({ signatures, sboms, others }: SyncReferrers): boolean {
  return signatures && sboms && others
}

/** Ends of cosign's tags. An attestation says what is in an image, as an SBOM does. */
const BY_SUFFIX: Readonly<Record<string, AttachedKind>> = {
  '.sig': 'signatures',
  '.att': 'sboms',
  '.sbom': 'sboms',
}

/** What a tag that is named after a digest has; undefined: it is a list, whose entries say it. */
export function kindOfTag(tag: string, subject: Digest): AttachedKind | undefined {
  const suffix = tag.slice(fallbackTagOf(subject).length)
  return suffix === '' ? undefined : (BY_SUFFIX[suffix] ?? 'others')
}

export function isWantedTag(tag: string, subject: Digest, wanted: SyncReferrers): boolean {
  const kind = kindOfTag(tag, subject)
  return kind === undefined ? wanted.signatures || wanted.sboms || wanted.others : wanted[kind]
}

const BUNDLE = /sigstore\.bundle/i
const SIGNATURE = /signature|simplesigning|cosign\.artifact\.sig\b/i
const SBOM = /sbom|spdx|cyclonedx|syft|in-toto|dsse|attestation|provenance|slsa/i

/** What a bundle of Sigstore proves; a signature is a statement of this type, or none. */
const PREDICATE = 'dev.sigstore.bundle.predicateType'
const SIGNED = /\/cosign\/sign\//

/** By a list; undefined where it does not say enough: the manifest does. */
export function kindOfListed({ artifactType = '' }: ListedReferrer): AttachedKind | undefined {
  const kind = BUNDLE.test(artifactType) ? 'others' : kindOfType(artifactType)
  return kind === 'others' ? undefined : kind
}

export function kindOfManifest({ artifactType, annotations, children }: Manifest): AttachedKind {
  const types = [artifactType ?? '', ...children.map(({ mediaType }) => mediaType)]
  if (types.some((type) => BUNDLE.test(type))) {
    const predicate = annotations?.[PREDICATE]
    return predicate === undefined || SIGNED.test(predicate) ? 'signatures' : 'sboms'
  }
  for (const type of types) {
    const kind = kindOfType(type)
    if (kind !== 'others') return kind
  }
  return 'others'
}

function kindOfType(type: string): AttachedKind {
  if (SIGNATURE.test(type)) return 'signatures'
  return SBOM.test(type) ? 'sboms' : 'others'
}
