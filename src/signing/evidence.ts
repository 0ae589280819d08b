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
import { nextTurn } from '../runtime/next-turn.ts'
import { isMarked } from './attest/store.ts'
import { isSignatures, listedBytesMax, parse, plain } from './exemption.ts'
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

/** Whether a referrer of this type is a signature or attestation. */
export function isSignedType(artifactType: string | undefined): boolean {
  return SIGNED_TYPES.has(artifactType ?? '')
}

/** Referrers of other types that are gone through in search of those, of one image. */
const othersMax = 10_000

/** Tags that are named after one image. */
const namedMax = 128

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
  /** An index that lists it and may not be stored yet. */
  readonly beside?: Uint8Array
}

const NONE: ReadonlyMap<Tag, Digest> = new Map()

export interface Evidence {
  readonly subject: Subject
  readonly candidates: readonly Candidate[]
  /** By which tag each was found that was found by one: a signature under a tag counts as long as it is there. */
  readonly tags: ReadonlyMap<Digest, Tag>
  /** More is attached than is looked at. */
  readonly isTruncated: boolean
}

/** How something belongs to an image. */
interface Way {
  readonly via: Candidate['via']
  readonly tag?: Tag
}

/** What was found so far, each manifest once, by the way that says most of it. */
interface Found {
  readonly ways: Map<Digest, Way>
  isTruncated: boolean
}

/**
 * Everything that is attached to a manifest of the repository: tags that are named after it, referrers, and
 * what the index that lists it, or that it is, says of it. Undefined: the manifest is not there.
 */
export async function evidenceOf(
  sources: EvidenceSources,
  repository: RepositoryName,
  digest: Digest,
  { bytes: known, coming = NONE, beside }: EvidenceAhead = {},
): Promise<Evidence | undefined> {
  const { metadata } = sources
  const bytes = known ?? (await manifestBytes(metadata, digest))
  if (bytes === undefined) return undefined
  const subject = { digest, bytes }
  const found: Found = { ways: new Map(), isTruncated: false }
  addTags(metadata, repository, digest, coming, found)
  await addReferrers(metadata, repository, digest, found)
  await addMembers(metadata, repository, subject, found)
  if (beside !== undefined) addBeside(attestationsIn(membersOf(beside), digest), found)
  const candidates: Candidate[] = []
  const tags = new Map<Digest, Tag>()
  let roomBytes = evidenceBytesMax
  for (const [manifest, { via, tag }] of found.ways) {
    if (candidates.length >= candidatesMax || roomBytes <= 0) {
      return { subject, candidates, tags, isTruncated: true }
    }
    const it = await read(sources, repository, { manifest, via }, roomBytes)
    if (it === undefined) continue
    found.isTruncated ||= it.isCut
    candidates.push(it.candidate)
    if (tag !== undefined) tags.set(manifest, tag)
    roomBytes -= sizeOf(it.candidate)
  }
  return { subject, candidates, tags, isTruncated: found.isTruncated }
}

function addTags(
  metadata: MetadataReader,
  repository: RepositoryName,
  digest: Digest,
  coming: ReadonlyMap<Tag, Digest>,
  found: Found,
): void {
  const here = tagsNamedAfter(metadata, repository, digest, 'tags', namedMax + 1)
  found.isTruncated ||= here.length > namedMax
  const ahead = [...coming.keys()].filter((tag) => namesakeOf(tag) === digest)
  for (const tag of new Set([...ahead, ...here.slice(0, namedMax)])) {
    const target = coming.get(tag) ?? metadata.get('tags', [repository, tag])?.digest
    const row = target && metadata.get('manifests', [repository, target])
    // A fallback tag lists referrers that name their subject themselves; a tag of the image is no signature.
    if (target === undefined || row === undefined || target === digest) continue
    if (row.subject === undefined && !isImageIndex(row.mediaType)) {
      found.ways.set(target, { via: 'tag', tag })
    }
  }
}

async function addReferrers(
  metadata: MetadataReader,
  repository: RepositoryName,
  digest: Digest,
  { ways }: Found,
): Promise<void> {
  const own: Digest[] = []
  const others: Digest[] = []
  for await (const { key, row } of inTurns(metadata, 'referrers', [repository, digest])) {
    const [, , referrer] = key
    // What registries like this one say of an image keeps no signature of its makers away.
    if (isMarked(row)) own.push(referrer)
    else if (isSignedType(row.artifactType)) ways.set(referrer, { via: 'referrer' })
    else others.push(referrer)
    if (own.length + others.length > othersMax || ways.size > candidatesMax) break
  }
  for (const referrer of [...own, ...others]) ways.set(referrer, { via: 'referrer' })
}

/** The attestation manifests of BuildKit that the image's index lists beside it, or that it lists itself. */
async function addMembers(
  metadata: MetadataReader,
  repository: RepositoryName,
  { digest, bytes }: Subject,
  found: Found,
): Promise<void> {
  addBeside(attestationsIn(membersOf(bytes), undefined), found)
  const { indexes, isTruncated } = await indexesOf(metadata, repository, digest)
  found.isTruncated ||= isTruncated
  for (const { members } of indexes) addBeside(attestationsIn(members, digest), found)
}

function addBeside(members: Iterable<Digest>, { ways }: Found): void {
  for (const member of members) if (!ways.has(member)) ways.set(member, { via: 'member' })
}

/**
 * Images that an index (its bytes) lists, each once: all but what holds attestations alone, whatever their entries say
 * of themselves. An index that it lists is one of them. Undefined: it is no index, lists more than `max`, more than
 * `listedBytesMax`, or what is not here, of which nothing can be said.
 */
export async function imagesIn(
  sources: EvidenceSources,
  repository: RepositoryName,
  index: Uint8Array,
  max: number,
): Promise<readonly Digest[] | undefined> {
  const { metadata } = sources
  const members = plainMembers(index)
  if (members === undefined || members.length > 2 * max) return undefined
  const images: Digest[] = []
  const seen = new Set<Digest>()
  let leftBytes = listedBytesMax
  for (const member of members) {
    const digest = parseDigest(textOf(member['digest']) ?? '')
    if (!digest.ok || metadata.get('manifests', [repository, digest.value]) === undefined) {
      return undefined
    }
    if (seen.has(digest.value)) continue
    seen.add(digest.value)
    const stored = await manifestBytes(metadata, digest.value)
    leftBytes -= stored?.byteLength ?? 0
    if (stored === undefined || leftBytes < 0) return undefined
    // Each is parsed on this thread.
    await nextTurn()
    if (!(await isSignatures(sources, stored))) images.push(digest.value)
  }
  return images.length > max ? undefined : images
}

/** Entries of an index that no program can take for an image or read otherwise; undefined: it is something else. */
function plainMembers(bytes: Uint8Array): readonly Loose[] | undefined {
  const index = bytes.byteLength > indexBytesMax ? undefined : plain(parse(bytes))
  if (index === undefined || index['layers'] !== undefined || index['config'] !== undefined) {
    return undefined
  }
  const { mediaType } = index
  if (mediaType !== undefined && !isImageIndex(textOf(mediaType) ?? '')) return undefined
  const members = listOf(index['manifests']).map((it) => plain(objectOf(it)))
  return members.every((it) => it !== undefined) ? members : undefined
}

export interface ListingIndex {
  readonly digest: Digest
  readonly members: readonly Loose[]
}

/**
 * Indexes of the repository that list a manifest, some of them. A row says only that it is mentioned: the bytes say
 * that it is listed.
 */
export async function indexesOf(
  metadata: MetadataReader,
  repository: RepositoryName,
  digest: Digest,
): Promise<{ readonly indexes: readonly ListingIndex[]; readonly isTruncated: boolean }> {
  const keys = metadata.keys('parents', [digest, repository], undefined, indexesMax + 1)
  const indexes: ListingIndex[] = []
  let isTruncated = keys.length > indexesMax
  for (const [, , parent] of keys.slice(0, indexesMax)) {
    const row = metadata.get('manifests', [repository, parent])
    if (row === undefined || !isImageIndex(row.mediaType)) continue
    if (row.sizeBytes > indexBytesMax) {
      isTruncated = true
      continue
    }
    const bytes = await manifestBytes(metadata, parent)
    const members = bytes === undefined ? [] : membersOf(bytes)
    if (members.some((it) => it['digest'] === digest)) indexes.push({ digest: parent, members })
    await nextTurn()
  }
  return { indexes, isTruncated }
}

/** What an index lists. One that is too long to be read at once lists nothing. */
function membersOf(bytes: Uint8Array): readonly Loose[] {
  if (bytes.byteLength > indexBytesMax) return []
  const json = JSON.parse(Buffer.from(bytes).toString()) as Loose
  return listOf(json['manifests'])
    .map(objectOf)
    .filter((it) => it !== undefined)
}

/** Members that are attestations of `about`, or of any member where that is undefined (BuildKit's storage of attestations). */
function attestationsIn(members: readonly Loose[], about: Digest | undefined): Digest[] {
  return members.flatMap((member) => {
    const annotations = objectOf(member['annotations'])
    if (annotations?.['vnd.docker.reference.type'] !== 'attestation-manifest') return []
    const isMeant = about === undefined || annotations['vnd.docker.reference.digest'] === about
    const digest = isMeant ? parseDigest(textOf(member['digest']) ?? '') : undefined
    return digest?.ok === true ? [digest.value] : []
  })
}

async function read(
  { metadata, readBlob }: EvidenceSources,
  repository: RepositoryName,
  { manifest, via }: Pick<Candidate, 'manifest' | 'via'>,
  roomBytes: number,
): Promise<{ readonly candidate: Candidate; readonly isCut: boolean } | undefined> {
  const row = metadata.get('manifests', [repository, manifest])
  if (row === undefined) return undefined
  const blobs = new Map<string, Uint8Array>()
  if (row.sizeBytes > evidenceManifestBytesMax) {
    return { candidate: { manifest, via, bytes: undefined, blobs }, isCut: false }
  }
  const bytes = await manifestBytes(metadata, manifest)
  if (bytes === undefined) return undefined
  let room = Math.min(attestationBytesMax, roomBytes) - bytes.byteLength
  const layers = metadata.keys('children', [manifest], undefined, layersMax + 1)
  for (const [, child] of layers.slice(0, layersMax)) {
    const layer = parseDigest(child)
    if (!layer.ok || room <= 0) continue
    // What is not linked here is not of this repository, whoever else has it.
    if (metadata.get('links', [repository, layer.value]) === undefined) continue
    const blob = await readBlob(layer.value, room)
    if (blob === undefined) continue
    blobs.set(layer.value, blob)
    room -= blob.byteLength
  }
  const candidate = { manifest, via, bytes, blobs }
  return { candidate, isCut: layers.length > layersMax }
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
