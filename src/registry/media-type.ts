/**
 * @module Media types that the registry acts on (image-spec, media-types.md). Every other type is
 * stored and returned as it came.
 */

export const mediaTypes = {
  ociManifest: 'application/vnd.oci.image.manifest.v1+json',
  ociIndex: 'application/vnd.oci.image.index.v1+json',
  dockerManifest: 'application/vnd.docker.distribution.manifest.v2+json',
  dockerList: 'application/vnd.docker.distribution.manifest.list.v2+json',
} as const

const IMAGE_MANIFESTS: ReadonlySet<string> = new Set([
  mediaTypes.ociManifest,
  mediaTypes.dockerManifest,
])
const IMAGE_INDEXES: ReadonlySet<string> = new Set([mediaTypes.ociIndex, mediaTypes.dockerList])

/** Docker schema 1: signed manifests that nothing current pushes and nobody can verify here. */
const SCHEMA_1 = /^application\/vnd\.docker\.distribution\.manifest\.v1\+/

/** Layers that a registry must not ask for: by media type alone, whatever `urls` says. */
const NON_DISTRIBUTABLE =
  /^application\/vnd\.(?:oci\.image\.layer\.nondistributable\.v1\.tar(?:\+gzip|\+zstd)?|docker\.image\.rootfs\.foreign\.diff\.tar(?:\.gzip)?)$/

/** Types that say nothing about a manifest: treated as if the header were absent. */
const SAYS_NOTHING: ReadonlySet<string> = new Set([
  'application/json',
  'application/octet-stream',
  'application/x-www-form-urlencoded',
  'text/plain',
])

const TYPE_SLASH_SUBTYPE = /^[a-z0-9][a-z0-9!#$&^_.+-]{0,126}\/[a-z0-9][a-z0-9!#$&^_.+-]{0,126}$/

/** Parts of a subtype that browsers run or render as a page, wherever they stand in it. */
const ACTIVE = ['html', 'javascript', 'ecmascript', 'xml']

/**
 * Whether content of this bare lower-case type may be served under it: other people's content never is
 * served in a type that a browser runs.
 */
export function isServable(type: string): boolean {
  return type.startsWith('application/') && !ACTIVE.some((part) => type.includes(part))
}

/** The type under which other people's content is served: its own, or bytes without a meaning. */
export function servedType(type: string): string {
  return isServable(type) ? type : 'application/octet-stream'
}

export function isImageManifest(type: string): boolean {
  return IMAGE_MANIFESTS.has(type)
}

export function isImageIndex(type: string): boolean {
  return IMAGE_INDEXES.has(type)
}

export function isSchema1(type: string): boolean {
  return SCHEMA_1.test(type)
}

export function isNonDistributable(type: string): boolean {
  return NON_DISTRIBUTABLE.test(type)
}

/** A Content-Type header as a bare lower-case type; undefined where it names no manifest type. */
export function manifestTypeOf(contentType: string | undefined): string | undefined {
  const type = (contentType ?? '').split(';', 1)[0]!.trim().toLowerCase()
  if (!TYPE_SLASH_SUBTYPE.test(type) || SAYS_NOTHING.has(type)) return undefined
  return type
}

/** Manifests that registries know, in the order of a modern client: what we accept of another registry. */
export const manifestTypes = [
  mediaTypes.ociIndex,
  mediaTypes.dockerList,
  mediaTypes.ociManifest,
  mediaTypes.dockerManifest,
  '*/*;q=0.1',
].join(', ')
