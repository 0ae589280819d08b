/**
 * @module Countersignatures: signatures by the registry's key in the one form that podman, CRI-O and bootc read (the tag
 * `sha256-<hex>.sig`, cosign's SIGNATURE_SPEC.md), of images whose own signatures a policy has verified. What is under
 * the tag already stays there.
 */
import { type Digest, parseDigest } from '../../registry/digest.ts'
import { RegistryError } from '../../registry/errors.ts'
import { isImageIndex, isImageManifest, mediaTypes } from '../../registry/media-type.ts'
import type { RepositoryName } from '../../registry/name.ts'
import { fallbackTagOf } from '../../registry/named-tag.ts'
import { parseTag, type Tag } from '../../registry/tag.ts'
import { fromJson, type Loose, listOf, objectOf, textOf, Unreadable } from '../formats/encoding.ts'
import {
  annotationsOfLayer,
  payloadOfImage,
  readSimpleSigning,
  simpleSigningType,
} from '../formats/simple-signing.ts'
import { readPublicKey } from '../keys/public-key.ts'
import type { Signer } from './keys.ts'
import { described } from './sealed.ts'
import type { AttestStore } from './store.ts'

const imageConfigType = 'application/vnd.oci.image.config.v1+json'

/** Largest manifest that is added to, and its configuration, bytes. */
const bytesMax = 1024 * 1024

/** Signatures under one tag: beyond it readers look at some of them only. */
const signaturesMax = 100

/** Others may write to the tag at the same time. */
const attemptsMax = 8

/** Manifests that one index stands for, and how deep indexes nest. */
const platformsMax = 128
const depthMax = 4

export type Countersigned = 'written' | 'present' | 'skipped'

export interface CountersignParts {
  readonly store: AttestStore
  readonly signer: Signer
  /** Name of this registry in references. */
  readonly host: string
  readonly by: string
}

/**
 * The image and the platforms that it lists, as far as they are in the repository: clients that choose a platform first
 * ask for its signature.
 */
export async function platformsOf(
  { metadata }: AttestStore,
  repository: RepositoryName,
  digest: Digest,
): Promise<readonly Digest[]> {
  const found = new Set([digest])
  let level: readonly Digest[] = [digest]
  for (let depth = 0; depth < depthMax && level.length > 0; depth += 1) {
    const below: Digest[] = []
    for (const parent of level) {
      const row = metadata.get('manifests', [repository, parent])
      if (row === undefined || !isImageIndex(row.mediaType)) continue
      for (const member of await membersOf({ metadata }, parent)) {
        if (found.has(member) || found.size >= platformsMax) continue
        if (metadata.get('manifests', [repository, member]) === undefined) continue
        found.add(member)
        below.push(member)
      }
    }
    level = below
  }
  return [...found]
}

async function membersOf(
  store: Pick<AttestStore, 'metadata'>,
  index: Digest,
): Promise<readonly Digest[]> {
  const bytes = await manifestBytes(store, index)
  const json = bytes && readable(bytes)
  return listOf(json?.['manifests']).flatMap((it) => {
    const member = objectOf(it)
    // Nobody runs what BuildKit attests.
    const annotations = objectOf(member?.['annotations'])
    if (annotations?.['vnd.docker.reference.type'] === 'attestation-manifest') return []
    const digest = parseDigest(textOf(member?.['digest']) ?? '')
    return digest.ok ? [digest.value] : []
  })
}

/**
 * Adds the registry's signature of one manifest to what is under its tag. `skipped`: what is there cannot be added to.
 * Rejects with MANIFEST_CHANGED when others write to the tag all the time.
 */
export async function countersign(
  parts: CountersignParts,
  repository: RepositoryName,
  digest: Digest,
): Promise<Countersigned> {
  const tag = parseTag(`${fallbackTagOf(digest)}.sig`)
  // The name of a long digest is no tag, so that nobody would look for it.
  if (!tag.ok) return 'skipped'
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await attemptOnce(parts, repository, digest, tag.value)
    } catch (error) {
      const isOvertaken = error instanceof RegistryError && error.kind === 'MANIFEST_CHANGED'
      if (!isOvertaken || attempt >= attemptsMax) throw error
    }
  }
}

async function attemptOnce(
  { store, signer, host, by }: CountersignParts,
  repository: RepositoryName,
  digest: Digest,
  tag: Tag,
): Promise<Countersigned> {
  const from = store.metadata.get('tags', [repository, tag])?.digest
  const there = from === undefined ? NOTHING : await read(store, repository, from)
  if (there === undefined) return 'skipped'
  const payload = payloadOfImage(`${host}/${repository}`, digest)
  if (await isSigned(store, there.layers, payload, signer)) return 'present'
  if (there.layers.length >= signaturesMax) return 'skipped'
  const signature = await signer.sign(payload)
  const layer = {
    ...described(simpleSigningType, payload),
    annotations: annotationsOfLayer(signature),
  }
  const layers = [...there.layers, layer]
  const config = Buffer.from(JSON.stringify(configOf(there.config, layers)))
  const manifest = Buffer.from(
    JSON.stringify({
      ...there.manifest,
      config: described(there.configType, config),
      layers,
    }),
  )
  if (manifest.byteLength > bytesMax) return 'skipped'
  await store.putBlob(repository, payload, by)
  await store.putBlob(repository, config, by)
  const mediaType = textOf(there.manifest['mediaType']) ?? mediaTypes.ociManifest
  await store.putManifest({ repository, bytes: manifest, mediaType, by, tag: { name: tag, from } })
  return 'written'
}

/** What a tag points at, as far as a signature can be added to it. */
interface There {
  readonly manifest: Loose
  readonly layers: readonly Loose[]
  readonly configType: string
  readonly config: Loose | undefined
}

const NOTHING: There = {
  manifest: { schemaVersion: 2, mediaType: mediaTypes.ociManifest },
  layers: [],
  configType: imageConfigType,
  config: undefined,
}

/** Undefined: it is something else than signatures. */
async function read(
  store: AttestStore,
  repository: RepositoryName,
  digest: Digest,
): Promise<There | undefined> {
  const row = store.metadata.get('manifests', [repository, digest])
  if (row === undefined || !isImageManifest(row.mediaType)) return undefined
  const bytes = await manifestBytes(store, digest)
  const json = bytes && readable(bytes)
  if (json === undefined) return undefined
  const layers = listOf(json['layers']).map(objectOf)
  const types = layers.map((layer) => textOf(layer?.['mediaType']))
  if (types.some((type) => type !== simpleSigningType)) return undefined
  const config = objectOf(json['config'])
  const configDigest = parseDigest(textOf(config?.['digest']) ?? '')
  const held = configDigest.ok ? await store.readBlob(configDigest.value, bytesMax) : undefined
  return {
    manifest: { ...json, mediaType: row.mediaType },
    layers: layers as Loose[],
    configType: textOf(config?.['mediaType']) ?? imageConfigType,
    config: held && readable(held),
  }
}

/** Whether the registry has signed these very bytes with this key. */
async function isSigned(
  { readBlob }: AttestStore,
  layers: readonly Loose[],
  payload: Buffer,
  { publicKey }: Signer,
): Promise<boolean> {
  const key = readPublicKey('own', publicKey)
  const { digest } = described(simpleSigningType, payload)
  for (const layer of layers) {
    if (layer['digest'] !== digest || !key.ok) continue
    if ((await readBlob(digest, payload.byteLength)) === undefined) continue
    try {
      const { signed, signature } = readSimpleSigning(layer, payload)
      if (key.value.verifies(signed, signature)) return true
    } catch (error) {
      if (!(error instanceof Unreadable)) throw error
    }
  }
  return false
}

/** The configuration beside these layers: other writers add to it when they add a signature. */
function configOf(config: Loose = {}, layers: readonly Loose[]): Loose {
  const rootfs = { type: 'layers', diff_ids: layers.map((layer) => layer['digest']) }
  const history = layers.map(() => ({ created: '0001-01-01T00:00:00Z' }))
  const empty = { architecture: '', os: '', created: '0001-01-01T00:00:00Z', config: {} }
  return { ...empty, ...config, rootfs, history }
}

async function manifestBytes(
  { metadata }: Pick<AttestStore, 'metadata'>,
  digest: Digest,
): Promise<Uint8Array | undefined> {
  await metadata.pageIn('manifestBytes', digest)
  return metadata.getBytes('manifestBytes', digest)?.slice()
}

function readable(bytes: Uint8Array): Loose | undefined {
  try {
    return fromJson(bytes, bytesMax, 'it')
  } catch (error) {
    if (error instanceof Unreadable) return undefined
    throw error
  }
}
