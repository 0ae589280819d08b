/**
 * @module Copies of single tags on a real store, from an upstream that a test makes: what the copier is
 * given, what is in the repository afterwards, and whether every tag that a reader sees is whole.
 */
import { BlobFlights, type FlightOwner } from '../../src/distribution/blob-flights.ts'
import { ManifestPushes } from '../../src/distribution/push-manifest.ts'
import type { MetadataReader, MetadataStore } from '../../src/metadata/port.ts'
import type { Digest } from '../../src/registry/digest.ts'
import type { RepositoryName } from '../../src/registry/name.ts'
import { systemClock } from '../../src/runtime/clock.ts'
import { randomHexId, systemRandom } from '../../src/runtime/random.ts'
import { Semaphore } from '../../src/runtime/semaphore.ts'
import { Rate } from '../../src/runtime/token-bucket.ts'
import type { Storage } from '../../src/storage/open.ts'
import { type CopierParts, TagCopier } from '../../src/sync/copy/copier.ts'
import type { TagCopy } from '../../src/sync/copy/outcome.ts'
import { SyncJournal } from '../../src/sync/journal.ts'
import { Accounts } from '../../src/upstream/accounts.ts'
import { HttpClient } from '../../src/upstream/client.ts'
import { Upstream, type UpstreamOptions } from '../../src/upstream/upstream.ts'
import type { FaultyUpstream } from './faulty-upstream.ts'
import { openTemporaryStorage } from './open-store.ts'
import { asDigest, asName, asTag, imageIndex, imageManifest, sha256 } from './registry-client.ts'
import { repositoryParts } from './repository-parts.ts'

export const LOCAL = asName('mirror/app')

const policy = {
  allowsSparseIndex: true,
  allowsMissingBlobs: false,
  checksSizes: true,
  allowsDelete: true,
}

export interface CopyScene {
  readonly storage: Storage
  readonly metadata: MetadataStore
  readonly journal: SyncJournal
  readonly flights: BlobFlights
  readonly upstream: Upstream
  readonly copier: TagCopier
  readonly parts: CopierParts
  close(): Promise<void>
}

/** `around`: the metadata as the copier sees it. `folder`: of a registry that is stopped. */
export async function openCopyScene(
  from: Pick<FaultyUpstream, 'url'>,
  some: Partial<CopierParts> & Pick<UpstreamOptions, 'requestRate'> = {},
  around: (metadata: MetadataStore) => MetadataStore = (metadata) => metadata,
  folder?: string,
): Promise<CopyScene> {
  const { storage, close } = await openTemporaryStorage(
    folder === undefined ? {} : { path: folder },
  )
  const metadata = around(storage.metadata)
  const http = await HttpClient.open({
    caFile: undefined,
    proxy: undefined,
    connectMs: 1_000,
    firstByteMs: 2_000,
    stallMs: 1_000,
  })
  const upstream = new Upstream({
    bases: [from.url],
    credentials: [],
    limits: { connections: 8, bytesPerSecond: 0, requestsPerSecond: 0 },
    caFile: undefined,
    proxy: undefined,
    accounts: new Accounts(systemClock),
    http,
    ...(some.requestRate === undefined ? {} : { requestRate: some.requestRate }),
    clock: systemClock,
    random: () => 0,
    onRequest: () => undefined,
    onFailure: () => undefined,
    onBytes: () => undefined,
  })
  const flights = new BlobFlights({
    metadata,
    growing: storage.writer,
    digestLock: storage.digestLock,
    clock: systemClock,
    inlineLimitBytes: 1024,
    newUploadId: () => randomHexId(systemRandom),
    onFileReplaced: storage.forget,
    onFileInDoubt: () => undefined,
  })
  const { tagLocks, protection, readBlob, readManifest, gate } = repositoryParts()
  const shared = { tagLocks, protection, readBlob, readManifest, gate }
  const journal = new SyncJournal(metadata)
  const parts: CopierParts = {
    ...shared,
    metadata,
    upstream,
    flights,
    journal,
    pushes: new ManifestPushes(metadata, policy, systemClock, shared),
    readBlob: (digest, bytesMax) => storage.blobs.read(digest, bytesMax),
    clock: systemClock,
    space: { freeBytes: Number.POSITIVE_INFINITY, reserveBytes: 0 },
    slots: [new Semaphore(4), new Semaphore(8)],
    byteRates: [new Rate(0, systemClock, 'all')],
    mayLinkFrom: () => true,
    source: 'quay',
    by: 'sync:quay',
    ...some,
  }
  return {
    storage,
    metadata,
    journal,
    flights,
    upstream,
    parts,
    copier: new TagCopier(parts),
    close: async () => {
      await flights.settled()
      await journal.flush()
      await http.close()
      await close()
    },
  }
}

export function tagCopy(digest: Digest, some: Partial<TagCopy> = {}): TagCopy {
  return {
    repository: 'org/app',
    tag: asTag('v1'),
    digest,
    local: LOCAL,
    platforms: [],
    attached: 'none',
    onChange: 'follow',
    overwrite: false,
    signal: new AbortController().signal,
    ...some,
  }
}

/** An owner of flights of the same registry, as a mirror is. */
export function ownerOf({ upstream }: CopyScene): FlightOwner {
  return {
    realm: upstream.realm,
    isInteractive: true,
    changesOf: () => [],
    onStored: () => undefined,
  }
}

/** An image of a config and layers, at an upstream; its descriptor and digest. */
export function addImage(
  upstream: FaultyUpstream,
  layers: readonly Buffer[],
  { tag, subject, annotations = {}, repository = 'org/app', config = '{}' }: ImageOptions = {},
) {
  const blob = (bytes: Buffer, mediaType: string) => ({
    mediaType,
    digest: asDigest(upstream.addBlob(repository, bytes)),
    size: bytes.byteLength,
  })
  const manifest = imageManifest(
    blob(Buffer.from(config), 'application/vnd.oci.image.config.v1+json'),
    layers.map((bytes) => blob(bytes, 'application/vnd.oci.image.layer.v1.tar+gzip')),
    { annotations, ...(subject === undefined ? {} : { subject }) },
  )
  const digest = asDigest(upstream.addManifest(repository, tag, manifest))
  const bytes = JSON.stringify(manifest)
  const { mediaType } = manifest as { mediaType: string }
  return { mediaType, digest, size: Buffer.byteLength(bytes), bytes }
}

export interface ImageOptions {
  readonly tag?: string
  readonly subject?: object
  readonly annotations?: Readonly<Record<string, string>>
  readonly repository?: string
  readonly config?: string
}

/** An index at an upstream. */
export function addIndex(
  upstream: FaultyUpstream,
  manifests: readonly object[],
  { tag, repository = 'org/app' }: Pick<ImageOptions, 'tag' | 'repository'> = {},
) {
  const index = imageIndex(manifests as never)
  const digest = asDigest(upstream.addManifest(repository, tag, index))
  const bytes = JSON.stringify(index)
  return {
    mediaType: (index as { mediaType: string }).mediaType,
    digest,
    size: bytes.length,
    bytes,
  }
}

/** What is missing below a manifest in a repository; nothing for one that is whole. */
export function missingBelow(
  metadata: MetadataReader,
  repository: RepositoryName,
  digest: string,
  isSparse: (digest: string) => boolean = () => false,
): string[] {
  const key = [repository, digest] as never
  const bytes = metadata.getBytes('manifestBytes', digest as Digest)?.slice()
  if (metadata.get('manifests', key) === undefined || bytes === undefined) {
    return isSparse(digest) ? [] : [digest]
  }
  if (sha256(bytes) !== digest) return [`other bytes of ${digest}`]
  const { config, layers, manifests } = JSON.parse(Buffer.from(bytes).toString()) as {
    config?: { digest: string }
    layers?: { digest: string }[]
    manifests?: { digest: string }[]
  }
  const blobs = [config, ...(layers ?? [])].flatMap((it) => (it === undefined ? [] : [it.digest]))
  return [
    ...blobs.filter(
      (blob) =>
        metadata.get('links', [repository, blob as Digest]) === undefined ||
        metadata.get('blobs', blob as Digest) === undefined,
    ),
    ...(manifests ?? []).flatMap((it) => missingBelow(metadata, repository, it.digest, isSparse)),
  ]
}
