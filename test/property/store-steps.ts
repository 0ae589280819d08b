/**
 * @module Random stores for property tests of collection: steps that a store went through, drawn as
 * plain data, and whoever takes them with the product's own pushes, mounts, deletes, pulls and pins.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import fc from 'fast-check'
import { type BlobPaths, blobPath } from '../../src/blobs/files/layout.ts'
import type { CleanupConfig, KeepRule } from '../../src/config/config.ts'
import { commitBlob } from '../../src/distribution/commit-blob.ts'
import { Deletes } from '../../src/distribution/delete.ts'
import { HeadPromise } from '../../src/distribution/head-promise.ts'
import { Mounts } from '../../src/distribution/mount.ts'
import { PullTimes } from '../../src/distribution/pull-times.ts'
import { ManifestPushes } from '../../src/distribution/push-manifest.ts'
import type { MetadataStore } from '../../src/metadata/port.ts'
import type { Digest } from '../../src/registry/digest.ts'
import { RegistryError } from '../../src/registry/errors.ts'
import { mediaTypes } from '../../src/registry/media-type.ts'
import type { RepositoryName } from '../../src/registry/name.ts'
import { fallbackTagOf } from '../../src/registry/named-tag.ts'
import type { FakeClock } from '../support/fake-clock.ts'
import {
  asName,
  asTag,
  type Descriptor,
  imageIndex,
  imageManifest,
  sha256,
} from '../support/registry-client.ts'
import { repositoryParts } from '../support/repository-parts.ts'

/** Everything happens in whole seconds, so that times meet. */
const second = 1_000

/** Layers of what cosign attaches by tag. */
export const signatureType = 'application/vnd.dev.cosign.simplesigning.v1+json'

/** `which` is taken modulo what there is; a step without anything to act on is none. */
export type Step =
  | {
      readonly do: 'image'
      readonly in: string
      readonly tag: string | undefined
      readonly layers: readonly string[]
      readonly seed: number
      readonly isCache: boolean
      readonly expiresAfter: string | undefined
      /**
       * Belongs to a manifest: by its subject, or by a tag that is named after it instead of its own, as
       * what cosign attaches or as any image.
       */
      readonly refersTo: number | undefined
      readonly how: 'subject' | 'cosign' | 'named'
    }
  | {
      readonly do: 'index'
      readonly in: string
      readonly tag: string | undefined
      readonly lists: readonly number[]
      readonly seed: number
      readonly refersTo: number | undefined
    }
  | { readonly do: 'push-again'; readonly which: number; readonly tag: string | undefined }
  /** A tag that is named after a manifest of the repository: itself, one of its own, any other. */
  | { readonly do: 'name-after'; readonly which: number; readonly after: number }
  | { readonly do: 'blob'; readonly in: string; readonly text: string }
  | { readonly do: 'mount'; readonly in: string; readonly which: number }
  | { readonly do: 'delete-tag'; readonly which: number }
  | { readonly do: 'delete-manifest'; readonly which: number }
  | { readonly do: 'delete-blob'; readonly which: number }
  | { readonly do: 'pull'; readonly which: number; readonly byTag: boolean }
  | { readonly do: 'head'; readonly which: number; readonly what: 'manifest' | 'blob' }
  | {
      readonly do: 'pin'
      readonly which: number
      readonly isEverywhere: boolean
      readonly seconds: number | undefined
    }
  | { readonly do: 'unpin'; readonly which: number }
  | { readonly do: 'wait'; readonly seconds: number }

const repositories = fc.constantFrom('team/app', 'team/base', 'ci/app')
const tags = fc.constantFrom('v1', 'v2', '1.0.0', '1.0.1', '1.1.0', 'latest', 'main', 'pr-1')
/** Texts that begin with `file` are stored as files. */
const texts = fc.constantFrom('a', 'b', 'c', 'd', 'file e', 'file f', 'file g')
const which = fc.nat({ max: 11 })
const maybe = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined })
const step = <T extends Step['do']>(kind: T, rest: object) =>
  fc.record({ do: fc.constant(kind), ...rest }) as unknown as fc.Arbitrary<Step>

const image = step('image', {
  in: repositories,
  tag: maybe(tags),
  layers: fc.array(texts, { maxLength: 3 }),
  seed: fc.nat({ max: 5 }),
  isCache: fc.boolean(),
  expiresAfter: fc.option(fc.constantFrom('3s', '20s'), { nil: undefined, freq: 3 }),
  refersTo: maybe(which),
  how: fc.constantFrom('subject', 'cosign', 'named'),
})
const index = step('index', {
  in: repositories,
  tag: maybe(tags),
  lists: fc.array(which, { maxLength: 3 }),
  seed: fc.nat({ max: 2 }),
  refersTo: fc.option(which, { nil: undefined, freq: 2 }),
})
const wait = step('wait', { seconds: fc.integer({ min: 1, max: 12 }) })
const uses = [
  step('push-again', { which, tag: maybe(tags) }),
  step('name-after', { which, after: which }),
  step('blob', { in: repositories, text: texts }),
  step('mount', { in: repositories, which }),
  step('delete-tag', { which }),
  step('delete-manifest', { which }),
  step('delete-blob', { which }),
  step('pull', { which, byTag: fc.boolean() }),
  step('head', { which, what: fc.constantFrom('manifest', 'blob') }),
  step('pin', {
    which,
    isEverywhere: fc.boolean(),
    seconds: maybe(fc.integer({ min: 1, max: 9 })),
  }),
  step('unpin', { which }),
].map((arbitrary) => ({ arbitrary, weight: 1 }))

/** A life of a store, from nothing. */
export const life = fc.array(
  fc.oneof(
    { arbitrary: image, weight: 8 },
    { arbitrary: index, weight: 3 },
    { arbitrary: wait, weight: 4 },
    ...uses,
  ),
  { minLength: 1, maxLength: 40, size: 'max' },
)

/** What happens to it between a plan and its apply. */
export const meanwhile = fc.array(
  fc.oneof({ arbitrary: image, weight: 2 }, { arbitrary: wait, weight: 1 }, ...uses),
  { maxLength: 6 },
)

const patterns = fc.constantFrom(['**'], ['v*'], ['/[0-9].*/'], ['latest', 'main'])
const seconds = (max: number) => fc.integer({ min: 0, max }).map((count) => count * second)
const keep: fc.Arbitrary<KeepRule> = fc.record(
  {
    tags: patterns,
    newestPushed: fc.integer({ min: 1, max: 2 }),
    newestPulled: fc.integer({ min: 1, max: 2 }),
    pushedWithinMs: seconds(20),
    pulledWithinMs: seconds(20),
    newestPerMinor: fc.constant(1),
  },
  { requiredKeys: ['tags'] },
)
const owners = fc.constantFrom(['**'], ['team/*'], ['ci/*'])

/** Rules of every kind; a manifest's grace time and the undelete window among them. */
export const cleanup: fc.Arbitrary<CleanupConfig> = fc.record({
  gc: fc.record({
    enabled: fc.constant(true),
    schedule: fc.constant('0 2 * * *'),
    keepRecent: fc.nat({ max: 3 }),
    graceMs: fc.oneof(fc.constant(0), seconds(20)),
    undeleteWindowMs: fc.constantFrom(0, 3_600_000),
    maxDeletePercent: fc.constant(100),
    bytesPerSecond: fc.constant(0),
    maxPauseMs: fc.constant(4),
  }),
  retention: fc.array(
    fc.record(
      {
        name: fc.constantFrom('p', 'q'),
        repositories: owners,
        isDryRun: fc.constant(false),
        keep: fc.array(keep, { maxLength: 2 }),
        untaggedKeepMs: seconds(30),
      },
      { requiredKeys: ['name', 'repositories', 'isDryRun', 'keep'] },
    ),
    { maxLength: 2 },
  ),
  expiry: fc.array(
    fc.record({
      repositories: owners,
      tags: fc.constantFrom(['pr-*'], ['**']),
      afterMs: seconds(40),
      isSliding: fc.boolean(),
    }),
    { maxLength: 1 },
  ),
  immutableTags: fc.array(
    fc.record({ repositories: owners, tags: fc.constantFrom(['v1'], ['main']) }),
    { maxLength: 1 },
  ),
})

/** Takes steps on a store, with the clock that they move. */
export class StepTaker {
  readonly #metadata: MetadataStore
  readonly #clock: FakeClock
  /** Undefined: the store has no files, everything is inline. */
  readonly #paths: BlobPaths | undefined
  readonly #pushes: ManifestPushes
  readonly #mounts: Mounts
  readonly #deletes: Deletes
  readonly #pulls: PullTimes
  readonly #headPromise: HeadPromise

  constructor(
    metadata: MetadataStore,
    clock: FakeClock,
    graceMs: number,
    paths: BlobPaths | undefined = undefined,
  ) {
    this.#metadata = metadata
    this.#clock = clock
    this.#paths = paths
    const policy = {
      allowsSparseIndex: false,
      allowsMissingBlobs: false,
      checksSizes: true,
      allowsDelete: true,
    }
    const parts = repositoryParts()
    this.#pushes = new ManifestPushes(metadata, policy, clock, parts)
    this.#mounts = new Mounts(metadata, clock)
    this.#deletes = new Deletes(metadata, true, { ...parts, clock })
    this.#pulls = new PullTimes(metadata, clock)
    this.#headPromise = new HeadPromise(metadata, clock, graceMs)
  }

  /** A step that the registry refuses changes nothing. */
  async take(steps: readonly Step[]): Promise<void> {
    for (const it of steps) {
      try {
        await this.#take(it)
      } catch (error) {
        if (!(error instanceof RegistryError)) throw error
      }
    }
  }

  async #take(it: Step): Promise<void> {
    switch (it.do) {
      case 'image':
        return this.#image(it)
      case 'index':
        return this.#index(it)
      case 'push-again':
        return this.#pushAgain(it.which, it.tag)
      case 'name-after': {
        const key = this.#at('manifests', it.which)
        const subject = key && this.#manifestIn(key[0], it.after)
        return this.#pushAgain(it.which, subject && fallbackTagOf(subject.digest))
      }
      case 'blob':
        await this.#blob(it.in, it.text)
        return
      case 'mount': {
        const key = this.#at('links', it.which)
        if (key !== undefined) await this.#mounts.mount(asName(it.in), key[1], key[0], () => true)
        return
      }
      case 'delete-tag': {
        const key = this.#at('tags', it.which)
        if (key !== undefined) await this.#deletes.deleteTag(...key)
        return
      }
      case 'delete-manifest': {
        const key = this.#at('manifests', it.which)
        if (key !== undefined) await this.#deletes.deleteManifest(...key)
        return
      }
      case 'delete-blob': {
        const key = this.#at('links', it.which)
        if (key !== undefined) await this.#deletes.deleteBlob(...key)
        return
      }
      case 'pull':
        return this.#pull(it.which, it.byTag)
      case 'head':
        return this.#head(it.which, it.what)
      case 'pin':
        return this.#pin(it)
      case 'unpin': {
        const key = this.#at('pins', it.which)
        if (key !== undefined) await this.#change({ change: 'delete', in: 'pins', key })
        return
      }
      case 'wait':
        this.#clock.advance(it.seconds * second)
    }
  }

  async #image(it: Step & { readonly do: 'image' }): Promise<void> {
    const subject = this.#manifestIn(it.in, it.refersTo)
    const config = await this.#blob(it.in, `{"seed":${it.seed}}`)
    const layers: Descriptor[] = []
    const isCosign = subject !== undefined && it.how === 'cosign'
    for (const text of isCosign ? ['payload', ...it.layers] : it.layers) {
      const layer = await this.#blob(it.in, text)
      layers.push(isCosign ? { ...layer, mediaType: signatureType } : layer)
    }
    const type = it.isCache ? 'application/vnd.buildkit.cacheconfig.v0' : 'application/x.config'
    const isSubject = subject !== undefined && it.how === 'subject'
    const body = imageManifest({ ...config, mediaType: type }, layers, {
      ...(isSubject ? { subject } : {}),
      ...(it.expiresAfter === undefined
        ? {}
        : { annotations: { 'org.fastregistry.expires-after': it.expiresAfter } }),
    })
    const isNamed = subject !== undefined && it.how !== 'subject'
    const tag = isNamed ? `${fallbackTagOf(subject.digest)}.sig` : it.tag
    await this.#push(asName(it.in), tag, Buffer.from(JSON.stringify(body)), mediaTypes.ociManifest)
  }

  async #index(it: Step & { readonly do: 'index' }): Promise<void> {
    const listed = it.lists.flatMap((number) => this.#manifestIn(it.in, number) ?? [])
    const subject = this.#manifestIn(it.in, it.refersTo)
    const body = imageIndex(listed, {
      annotations: { seed: `${it.seed}` },
      ...(subject === undefined ? {} : { subject }),
    })
    await this.#push(asName(it.in), it.tag, Buffer.from(JSON.stringify(body)), mediaTypes.ociIndex)
  }

  async #pushAgain(which: number, tag: string | undefined): Promise<void> {
    const key = this.#at('manifests', which)
    if (key === undefined) return
    const { mediaType } = this.#metadata.get('manifests', key)!
    const bytes = Buffer.from(this.#metadata.getBytes('manifestBytes', key[1])!)
    await this.#push(key[0], tag, bytes, mediaType)
  }

  async #push(
    repository: RepositoryName,
    tag: string | undefined,
    bytes: Buffer,
    contentType: string,
  ): Promise<void> {
    const reference =
      tag === undefined
        ? ({ kind: 'digest', digest: sha256(bytes) } as const)
        : ({ kind: 'tag', tag: asTag(tag) } as const)
    const condition = { ifMatch: undefined, ifNoneMatch: undefined }
    const rest = { tags: [], expected: undefined, condition, by: 'test' }
    await this.#pushes.push({ repository, reference, contentType, bytes, ...rest })
  }

  async #blob(repository: string, text: string): Promise<Descriptor> {
    const bytes = Buffer.from(text)
    const digest = sha256(bytes)
    const isFile = this.#paths !== undefined && text.startsWith('file')
    if (isFile) {
      const path = blobPath(this.#paths!, digest)
      mkdirSync(dirname(path), { recursive: true })
      writeFileSync(path, bytes)
    }
    const inlineBytes = isFile ? undefined : bytes
    const blob = { digest, sizeBytes: bytes.byteLength, inlineBytes }
    await commitBlob(this.#metadata, blob, {
      repository: asName(repository),
      now: this.#clock.now(),
    })
    return { mediaType: 'application/x.layer', digest, size: bytes.byteLength }
  }

  async #pull(which: number, byTag: boolean): Promise<void> {
    const tag = byTag ? this.#at('tags', which) : undefined
    const key = this.#at('manifests', which)
    if (tag !== undefined) {
      const { digest } = this.#metadata.get('tags', tag)!
      this.#pulls.note({ repository: tag[0], reference: tag[1], digest, notedIn: 0 })
    } else if (key !== undefined) {
      this.#pulls.note({ repository: key[0], reference: key[1], digest: key[1], notedIn: 0 })
    }
    await this.#pulls.write()
  }

  async #head(which: number, what: 'manifest' | 'blob'): Promise<void> {
    const key = this.#at(what === 'manifest' ? 'manifests' : 'links', which)
    // What the registry remembers of its last promise; here every HEAD makes one.
    const it = { reliedAt: Number.NEGATIVE_INFINITY }
    if (key !== undefined) await this.#headPromise[what](...key, it)
  }

  async #pin(it: Step & { readonly do: 'pin' }): Promise<void> {
    const key = this.#at('manifests', it.which)
    if (key === undefined) return
    const now = this.#clock.now()
    const row = {
      note: '',
      createdAt: now,
      by: 'test',
      ...(it.isEverywhere ? {} : { repository: key[0] }),
      ...(it.seconds === undefined ? {} : { expiresAt: now + it.seconds * second }),
    }
    await this.#change({ change: 'put', in: 'pins', key: [key[1], `pin ${it.which}`], row })
  }

  #change(change: Parameters<MetadataStore['commit']>[0]['changes'][number]) {
    return this.#metadata.commit({ checks: [], changes: [change] })
  }

  #at<N extends 'manifests' | 'tags' | 'links' | 'pins'>(database: N, which: number) {
    const keys = this.#metadata.keys(database, [], undefined, 10_000)
    return keys.length === 0 ? undefined : keys[which % keys.length]
  }

  /** A descriptor of a manifest of this repository. */
  #manifestIn(repository: string, which: number | undefined): Descriptor | undefined {
    if (which === undefined) return undefined
    const all = this.#metadata.entries('manifests', [repository], undefined, 10_000)
    if (all.length === 0) return undefined
    const { key, row } = all[which % all.length]!
    return { mediaType: row.mediaType, digest: key[1] satisfies Digest, size: row.sizeBytes }
  }
}
