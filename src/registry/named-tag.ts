/**
 * @module Tags that are named after a digest: `sha256-<hex>` and `sha256-<hex><suffix>`. Clients without
 * the referrers API attach content to an image so (distribution-spec, referrers tag schema; cosign's
 * `.sig`, `.att`, `.sbom`), and other tools tag the image itself so (oc-mirror, imgpkg). The name says
 * what a tag may belong to; only what it points at says that it is attached.
 */
import { ALGORITHMS, type Digest, isAlgorithm, parseDigest } from './digest.ts'

/** The digest that a tag is named after; undefined for every other tag. */
export function namesakeOf(tag: string): Digest | undefined {
  const dash = tag.indexOf('-')
  const algorithm = tag.slice(0, dash)
  if (dash < 0 || !isAlgorithm(algorithm)) return undefined
  const end = dash + 1 + ALGORITHMS[algorithm]
  if (end < tag.length && !'._-'.includes(tag[end]!)) return undefined
  const digest = parseDigest(`${algorithm}:${tag.slice(dash + 1, end)}`)
  return digest.ok ? digest.value : undefined
}

/** The name that all tags begin with which are named after a digest: the fallback tag itself. */
export function fallbackTagOf(digest: string): string {
  return digest.replace(':', '-')
}

/** Layers of SBOMs that nobody has signed (cosign, SBOM_SPEC.md). */
export const SBOM_TYPES: ReadonlySet<string> = new Set([
  'application/vnd.cyclonedx',
  'application/vnd.cyclonedx+json',
  'application/vnd.cyclonedx+xml',
  'application/vnd.syft+json',
  'application/spdx+json',
  'text/spdx',
  'text/spdx+json',
  'text/spdx+xml',
])

/** Layers of what cosign attaches by tag (cosign, SIGNATURE_SPEC.md and SBOM_SPEC.md). */
const ATTACHED_LAYERS: ReadonlySet<string> = new Set([
  'application/vnd.dev.cosign.simplesigning.v1+json',
  'application/vnd.dsse.envelope.v1+json',
  'application/vnd.dev.sigstore.bundle.v0.3+json',
  ...SBOM_TYPES,
])

/**
 * Whether a manifest that a tag points at is attached to `subject`, after which the tag is named: by its
 * own word, as a list of manifests of which every one refers to the subject, or because all that it
 * holds are signatures, attestations or SBOMs. `false` when in doubt.
 *
 * `bytes`: the stored manifest. `subjectOf`: what a listed manifest refers to; undefined: not known.
 */
export function isAttached(
  bytes: Uint8Array,
  subject: string,
  subjectOf: (digest: string) => string | undefined,
): boolean {
  const manifest = JSON.parse(Buffer.from(bytes).toString()) as Readonly<Record<string, unknown>>
  const own = manifest['subject'] as { readonly digest?: unknown } | null | undefined
  if (own?.digest !== undefined) return own.digest === subject
  const listed = membersOf(manifest['manifests'])
  if (listed.length > 0) return listed.every((it) => subjectOf(String(it.digest)) === subject)
  const layers = membersOf(manifest['layers'])
  return layers.length > 0 && layers.every((it) => ATTACHED_LAYERS.has(String(it.mediaType)))
}

interface Listed {
  readonly digest?: unknown
  readonly mediaType?: unknown
}

function membersOf(list: unknown): readonly Listed[] {
  return Array.isArray(list) ? list : []
}
