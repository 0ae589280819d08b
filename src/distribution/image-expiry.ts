/**
 * @module How long an image wants to live, by its own words: the annotations of its manifest, else
 * the labels of its image config, else what the manifests of an index say. Read once, when it is
 * pushed.
 */

import type { MetadataReader } from '../metadata/port.ts'
import type { Digest } from '../registry/digest.ts'
import type { Manifest } from '../registry/manifest.ts'
import type { RepositoryName } from '../registry/name.ts'

/** The words, ours first; quay.io's is what people have in their Dockerfiles. */
const WORDS = ['org.fastregistry.expires-after', 'quay.expires-after'] as const

/** Largest image config that is read for its labels, bytes: parsing it must not hold anybody up. */
const configBytesMax = 256 * 1024

const UNITS: Readonly<Record<string, number>> = {
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 604_800_000,
}

/** `2h`, `1w`, `90d` in ms; undefined for anything else: a typo must not delete an image. */
export function parseLifetime(text: unknown): number | undefined {
  const match = typeof text === 'string' ? /^(\d{1,6})([smhdw])$/.exec(text.trim()) : null
  return match === null ? undefined : Number(match[1]) * UNITS[match[2]!]!
}

/** Reads up to `bytesMax` bytes of a blob; undefined when it is larger or not to be had. */
export type ReadBlob = (digest: Digest, bytesMax: number) => Promise<Uint8Array | undefined>

/** What the pushed manifest asks for, ms; undefined when it asks for nothing. */
export async function lifetimeOf(
  metadata: MetadataReader,
  repository: RepositoryName,
  manifest: Manifest,
  readBlob: ReadBlob,
): Promise<number | undefined> {
  const own = fromWords(manifest.annotations)
  if (own !== undefined) return own
  const config = manifest.children.find(({ kind }) => kind === 'config')
  if (config?.digest.kind === 'computed') {
    return fromConfig(await readBlob(config.digest.digest, configBytesMax))
  }
  return fromChildren(metadata, repository, manifest)
}

/** An index lives as long as the longest-lived of its manifests that say how long. */
function fromChildren(
  metadata: MetadataReader,
  repository: RepositoryName,
  manifest: Manifest,
): number | undefined {
  let longest: number | undefined
  for (const { kind, digest } of manifest.children) {
    if (kind !== 'manifest' || digest.kind !== 'computed') continue
    const child = metadata.get('manifests', [repository, digest.digest])
    // Attestations are children too, and say nothing.
    if (child === undefined || child.expiresAfterMs === undefined) continue
    longest = Math.max(longest ?? 0, child.expiresAfterMs)
  }
  return longest
}

function fromConfig(bytes: Uint8Array | undefined): number | undefined {
  if (bytes === undefined || !Buffer.from(bytes).includes('expires-after')) return undefined
  try {
    const { config } = JSON.parse(new TextDecoder().decode(bytes)) as { config?: unknown }
    return fromWords((config as { Labels?: unknown } | undefined)?.Labels)
  } catch {
    return undefined
  }
}

function fromWords(words: unknown): number | undefined {
  if (typeof words !== 'object' || words === null) return undefined
  for (const word of WORDS) {
    const lifetime = parseLifetime((words as Record<string, unknown>)[word])
    if (lifetime !== undefined) return lifetime
  }
  return undefined
}

/** What BuildKit calls the config of a cache that it exports (`mode=max`, `type=registry`). */
const BUILD_CACHE_CONFIG = 'application/vnd.buildkit.cacheconfig.v0'

export function isBuildCache(manifest: Manifest): boolean {
  return manifest.children.some(({ mediaType }) => mediaType === BUILD_CACHE_CONFIG)
}
