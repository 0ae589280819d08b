/**
 * @module Finds what is attached to an image in its repository, by every way that signers use, and reads it.
 * What it means is said by the examiner.
 */
import { tagsNamedAfter } from '../metadata/attached.ts'
import type { MetadataReader } from '../metadata/port.ts'
import { inTurns } from '../metadata/scan.ts'
import { type Digest, parseDigest } from '../registry/digest.ts'
import { isImageIndex } from '../registry/media-type.ts'
import type { RepositoryName } from '../registry/name.ts'
import { namesakeOf } from '../registry/named-tag.ts'
import type { Tag } from '../registry/tag.ts'
import { bundleType } from './formats/bundle.ts'
import { attestationBytesMax } from './formats/dsse.ts'
import { type Loose, listOf, objectOf, textOf } from './formats/encoding.ts'
import { notationType } from './formats/notation.ts'
import { type Candidate, evidenceManifestBytesMax, type Subject } from './verdicts/examine.ts'

/** Manifests that are looked at for one image. */
const candidatesMax = 128

/** Artifact types of what is signed: looked at before everything else, which may be a lot. */
const SIGNED_TYPES: ReadonlySet<string> = new Set([
  bundleType,
  notationType,
  'application/vnd.dev.cosign.artifact.sig.v1+json',
  'application/vnd.dev.cosign.artifact.att.v1+json',
])

/** Referrers of other types that are gone through in search of those, of one image. */
const othersMax = 10_000

/** Layers of one manifest that are read: cosign puts each signature into one. */
const layersMax = 128

/** Bytes that are read for one image, bytes: an SBOM of a large image has some megabytes. */
const evidenceBytesMax = 48 * 1024 * 1024

/** Indexes that list one image and are looked at. */
const indexesMax = 16

/** Largest index that is looked into, bytes: what is parsed on this thread takes at most a millisecond. */
const indexBytesMax = 64 * 1024

export interface EvidenceSources {
  readonly metadata: MetadataReader
  readonly readBlob: (digest: Digest, bytesMax: number) => Promise<Uint8Array | undefined>
}

/** What is to be in the repository in the moment when a tag moves, and is not there yet. */
export interface EvidenceAhead {
  /** The manifest itself. */
  readonly bytes?: Uint8Array
  /** Tags that move together with it. */
  readonly coming?: ReadonlyMap<Tag, Digest>
}

const NONE: ReadonlyMap<Tag, Digest> = new Map()

export interface Evidence {
  readonly subject: Subject
  readonly candidates: readonly Candidate[]
  /** More is attached than is looked at. */
  readonly isTruncated: boolean
}

/**
 * Everything that is attached to a manifest of the repository: tags that are named after it, referrers, and
 * what the index that lists it, or that it is, says of it. Undefined: the manifest is not there.
 */
export async function evidenceOf(
  sources: EvidenceSources,
  repository: RepositoryName,
  digest: Digest,
  { bytes: known, coming = NONE }: EvidenceAhead = {},
): Promise<Evidence | undefined> {
  const { metadata } = sources
  const bytes = known ?? (await manifestBytes(metadata, digest))
  if (bytes === undefined) return undefined
  const found = await attachedTo(metadata, repository, digest, coming)
  await addMembers(metadata, repository, { digest, bytes }, found)
  const candidates: Candidate[] = []
  let roomBytes = evidenceBytesMax
  for (const [manifest, via] of found) {
    if (candidates.length >= candidatesMax || roomBytes <= 0) {
      return { subject: { digest, bytes }, candidates, isTruncated: true }
    }
    const candidate = await read(sources, repository, { manifest, via }, roomBytes)
    if (candidate === undefined) continue
    candidates.push(candidate)
    roomBytes -= sizeOf(candidate)
  }
  return { subject: { digest, bytes }, candidates, isTruncated: false }
}

/** Each manifest once, by the way that says most of it. */
async function attachedTo(
  metadata: MetadataReader,
  repository: RepositoryName,
  digest: Digest,
  coming: ReadonlyMap<Tag, Digest>,
): Promise<Map<Digest, Candidate['via']>> {
  const found = new Map<Digest, Candidate['via']>()
  const named = [...coming.keys()].filter((tag) => namesakeOf(tag) === digest)
  for (const tag of new Set([...tagsNamedAfter(metadata, repository, digest), ...named])) {
    const target = coming.get(tag) ?? metadata.get('tags', [repository, tag])?.digest
    const row = target && metadata.get('manifests', [repository, target])
    // A fallback tag lists referrers that name their subject themselves; a tag of the image is no signature.
    if (target === undefined || row === undefined || target === digest) continue
    if (row.subject === undefined && !isImageIndex(row.mediaType)) found.set(target, 'tag')
  }
  const others: Digest[] = []
  for await (const { key, row } of inTurns(metadata, 'referrers', [repository, digest])) {
    const [, , referrer] = key
    if (SIGNED_TYPES.has(row.artifactType ?? '')) found.set(referrer, 'referrer')
    else others.push(referrer)
    if (others.length > othersMax || found.size > candidatesMax) break
  }
  for (const referrer of others) found.set(referrer, 'referrer')
  return found
}

/** The attestation manifests of BuildKit that the image's index lists beside it, or that it lists itself. */
async function addMembers(
  metadata: MetadataReader,
  repository: RepositoryName,
  { digest, bytes }: Subject,
  found: Map<Digest, Candidate['via']>,
): Promise<void> {
  const add = (members: Iterable<Digest>) => {
    for (const member of members) if (!found.has(member)) found.set(member, 'member')
  }
  add(attestationsIn(bytes, undefined))
  for (const index of indexesOf(metadata, repository, digest)) {
    const listing = await manifestBytes(metadata, index)
    if (listing !== undefined) add(attestationsIn(listing, digest))
  }
}

/** Indexes of the repository that list a manifest, some of them. */
export function indexesOf(
  metadata: MetadataReader,
  repository: RepositoryName,
  digest: Digest,
): Digest[] {
  const parents = metadata.keys('parents', [digest, repository], undefined, indexesMax)
  return parents
    .map(([, , parent]) => parent)
    .filter((parent) =>
      isImageIndex(metadata.get('manifests', [repository, parent])?.mediaType ?? ''),
    )
}

/**
 * Members of an index that are attestations of `about`, or of any member where that is undefined (BuildKit's
 * storage of attestations). An index that is too long to be read at once has none.
 */
function attestationsIn(bytes: Uint8Array, about: Digest | undefined): Digest[] {
  if (bytes.byteLength > indexBytesMax) return []
  const json = JSON.parse(Buffer.from(bytes).toString()) as Loose
  return listOf(json['manifests']).flatMap((it) => {
    const member = objectOf(it)
    const annotations = objectOf(member?.['annotations'])
    if (annotations?.['vnd.docker.reference.type'] !== 'attestation-manifest') return []
    const isMeant = about === undefined || annotations['vnd.docker.reference.digest'] === about
    const digest = isMeant ? parseDigest(textOf(member?.['digest']) ?? '') : undefined
    return digest?.ok === true ? [digest.value] : []
  })
}

async function read(
  { metadata, readBlob }: EvidenceSources,
  repository: RepositoryName,
  { manifest, via }: Pick<Candidate, 'manifest' | 'via'>,
  roomBytes: number,
): Promise<Candidate | undefined> {
  const row = metadata.get('manifests', [repository, manifest])
  if (row === undefined) return undefined
  const blobs = new Map<string, Uint8Array>()
  if (row.sizeBytes > evidenceManifestBytesMax) return { manifest, via, bytes: undefined, blobs }
  const bytes = await manifestBytes(metadata, manifest)
  if (bytes === undefined) return undefined
  let room = Math.min(attestationBytesMax, roomBytes) - bytes.byteLength
  for (const [, child] of metadata.keys('children', [manifest], undefined, layersMax)) {
    const layer = parseDigest(child)
    if (!layer.ok || room <= 0) continue
    // What is not linked here is not of this repository, whoever else has it.
    if (metadata.get('links', [repository, layer.value]) === undefined) continue
    const blob = await readBlob(layer.value, room)
    if (blob === undefined) continue
    blobs.set(layer.value, blob)
    room -= blob.byteLength
  }
  return { manifest, via, bytes, blobs }
}

function sizeOf({ bytes, blobs }: Candidate): number {
  let sum = bytes?.byteLength ?? 0
  for (const blob of blobs.values()) sum += blob.byteLength
  return sum
}

async function manifestBytes(
  metadata: MetadataReader,
  digest: Digest,
): Promise<Uint8Array | undefined> {
  await metadata.pageIn('manifestBytes', digest)
  return metadata.getBytes('manifestBytes', digest)?.slice()
}
