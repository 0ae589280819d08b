/**
 * @module Where the registry keeps what it has signed: manifests of its own, beside the images that they are about. A
 * port: whoever writes is put together with the stores.
 */

import type { MetadataReader } from '../../metadata/port.ts'
import { inTurns } from '../../metadata/scan.ts'
import type { ReferrerRow } from '../../metadata/schema.ts'
import { type Digest, parseDigest } from '../../registry/digest.ts'
import type { TagCondition } from '../../registry/entity-tag.ts'
import type { RepositoryName } from '../../registry/name.ts'
import type { Tag } from '../../registry/tag.ts'
import { bundleType, readBundle } from '../formats/bundle.ts'
import { readStatement, signedBytesOf } from '../formats/dsse.ts'
import { fromJson, type Loose, listOf, objectOf, textOf, Unreadable } from '../formats/encoding.ts'
import { readPublicKey } from '../keys/public-key.ts'

export interface NewManifest {
  readonly repository: RepositoryName
  readonly bytes: Uint8Array
  readonly mediaType: string
  /** In the history. */
  readonly by: string
  /** A tag that is to point at it, if it still points at `from` (undefined: at nothing). */
  readonly tag?: { readonly name: Tag; readonly from: Digest | undefined }
}

export interface AttestStore {
  readonly metadata: MetadataReader
  /** Undefined: it is not here, or longer. */
  readonly readBlob: (digest: Digest, bytesMax: number) => Promise<Uint8Array | undefined>
  /** On disk, and of the repository, when it resolves. Rejects when the disk is short of space. */
  putBlob(repository: RepositoryName, bytes: Uint8Array, by: string): Promise<void>
  /** On disk and visible when it resolves. Throws MANIFEST_CHANGED where the tag points elsewhere. */
  putManifest(it: NewManifest): Promise<void>
}

/** What has to hold of the tag when the manifest is put: nobody else has moved it. */
export function conditionOf(tag: NewManifest['tag']): TagCondition {
  if (tag === undefined) return { ifMatch: undefined, ifNoneMatch: undefined }
  const { from } = tag
  return from === undefined
    ? { ifMatch: undefined, ifNoneMatch: '*' }
    : { ifMatch: `"${from}"`, ifNoneMatch: undefined }
}

/** The annotation by which the registry finds a statement of its own again. It proves nothing. */
export const ownAnnotation = 'org.fastregistry.statement'

/** Statements of the registry on one image: an image may have 128 signatures that are looked at. */
const statementsMax = 64

/** Referrers of one image that are gone through. */
const referrersMax = 10_000

/** Largest statement of its own, with its envelope, bytes. */
const ownBytesMax = 256 * 1024

export type Place = 'free' | 'taken' | 'full'

/**
 * Whether the registry has said this of the image already, with this key; and if not, whether there is room for it.
 * What only looks like it does not count: the signature is verified.
 */
export async function placeFor(
  store: AttestStore,
  { repository, digest }: { readonly repository: RepositoryName; readonly digest: Digest },
  id: string,
  says: (payload: Loose) => boolean,
  publicKey: string,
): Promise<Place> {
  let seen = 0
  let own = 0
  for await (const { key, row } of inTurns(store.metadata, 'referrers', [repository, digest])) {
    seen += 1
    if (seen > referrersMax) return 'full'
    if (row.artifactType !== bundleType || !isMarked(row)) continue
    own += 1
    if (!has(row, id)) continue
    if (await isOwn(store, repository, key[2], says, publicKey)) return 'taken'
  }
  return own >= statementsMax ? 'full' : 'free'
}

/** Whether a referrer looks like a statement of a registry. It proves nothing. */
export function isMarked(row: ReferrerRow): boolean {
  return has(row, ownAnnotation)
}

/** Whether a text is in the annotations; they are not parsed for it. */
function has({ annotationsJson }: ReferrerRow, text: string): boolean {
  return annotationsJson !== undefined && Buffer.from(annotationsJson).includes(text)
}

async function isOwn(
  { metadata, readBlob }: AttestStore,
  repository: RepositoryName,
  manifest: Digest,
  says: (payload: Loose) => boolean,
  publicKey: string,
): Promise<boolean> {
  await metadata.pageIn('manifestBytes', manifest)
  const bytes = metadata.getBytes('manifestBytes', manifest)?.slice()
  const key = readPublicKey('own', publicKey)
  if (bytes === undefined || !key.ok) return false
  try {
    const [layer] = listOf(fromJson(bytes, ownBytesMax, 'the manifest')['layers'])
    const digest = parseDigest(textOf(objectOf(layer)?.['digest']) ?? '')
    if (!digest.ok || metadata.get('links', [repository, digest.value]) === undefined) return false
    const blob = await readBlob(digest.value, ownBytesMax)
    if (blob === undefined) return false
    const { content } = readBundle(fromJson(blob, ownBytesMax, 'the bundle'))
    if (content.kind !== 'envelope') return false
    const { envelope } = content
    const signed = signedBytesOf(envelope)
    const isSigned = envelope.signatures.some((it) => key.value.verifies(signed, it))
    return isSigned && says(readStatement(envelope).json)
  } catch (error) {
    if (error instanceof Unreadable) return false
    throw error
  }
}
