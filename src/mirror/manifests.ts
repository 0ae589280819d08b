/**
 * @module Manifests from upstream: fetched once for all who wait, compared with their digest, stored
 * with the bytes and the type that upstream sent. Children come when they are asked for.
 */

import type { Change } from '../metadata/transaction.ts'
import { type Digest, isAlgorithm, parseDigest } from '../registry/digest.ts'
import { RegistryError } from '../registry/errors.ts'
import { digestOf } from '../registry/hasher.ts'
import { manifestBytesMax } from '../registry/limits.ts'
import { manifestTypeOf, manifestTypes } from '../registry/media-type.ts'
import type { Reference } from '../registry/reference.ts'
import type { Tag } from '../registry/tag.ts'
import { SingleFlight } from '../runtime/single-flight.ts'
import { type Answer, headerOf } from '../upstream/client.ts'
import { UpstreamError } from '../upstream/error.ts'
import type { MirrorContext } from './context.ts'
import type { Cooldown } from './cooldown.ts'
import type { MirroredRepository } from './mirrored-repository.ts'

export interface FetchedManifest {
  readonly digest: Digest
  readonly mediaType: string
  readonly bytes: Uint8Array
  /** Whether it is in the metadata now. */
  isStored: boolean
}

/** What a HEAD says of a manifest. */
export interface ManifestHead {
  readonly digest: Digest
  readonly mediaType: string
  readonly sizeBytes: number
}

/** Where the answer to a pull of a manifest is. */
export type ManifestOutcome =
  /** In the metadata; `stale` says why it could not be checked. */
  | { readonly kind: 'local'; readonly stale?: string; readonly isHit: boolean }
  /** Only upstream's HEAD is known. */
  | { readonly kind: 'head'; readonly head: ManifestHead }
  /** Fetched, but the store did not take it. */
  | { readonly kind: 'bytes'; readonly fetched: FetchedManifest }

/** How a client asks for a manifest. */
export interface PullHow {
  readonly isHead: boolean
  /** Latest time for an answer of upstream, ms on the monotonic clock. */
  readonly deadline: number
}

/** What is here is the answer although upstream has a newer one. */
export function held(why: string): ManifestOutcome {
  return { kind: 'local', stale: why, isHit: true }
}

/** Upstream has deleted it, and it is not shown any more. */
export function gone({ mirror }: MirroredRepository, tag: Tag): RegistryError {
  return new RegistryError('MANIFEST_UNKNOWN', {
    message: 'upstream does not have it',
    detail: { mirror: mirror.name, tag },
  })
}

export class UpstreamManifests {
  readonly #context: MirrorContext
  readonly #cooldown: Cooldown
  readonly #fetching = new SingleFlight<FetchedManifest>()
  readonly #heads = new SingleFlight<ManifestHead | undefined>()

  constructor(context: MirrorContext, cooldown: Cooldown) {
    this.#context = context
    this.#cooldown = cooldown
  }

  /** Fetches and stores a manifest by its digest. Throws an `UpstreamError`. */
  byDigest(
    repository: MirroredRepository,
    digest: Digest,
    deadline: number,
  ): Promise<FetchedManifest> {
    const key = `${repository.name}@${digest}`
    const joined = () => {
      repository.mirror.stats.joined += 1
    }
    return this.#fetching.run(
      key,
      async () => {
        const reference = { kind: 'digest', digest } as const
        const fetched = await this.#fetch(repository, reference, deadline)
        await this.store(repository, fetched, undefined, [])
        return fetched
      },
      joined,
    )
  }

  /** Fetches what a tag means now, without storing it. */
  byTag(repository: MirroredRepository, tag: Tag, deadline: number) {
    return this.#fetch(repository, { kind: 'tag', tag }, deadline)
  }

  /**
   * HEAD of a tag or digest. Undefined when `known` is still what upstream has (304). An answer
   * without a digest is no answer to a HEAD: `garbage`, and the caller asks with GET.
   */
  head(
    repository: MirroredRepository,
    reference: string,
    known: string | undefined,
    deadline: number,
  ): Promise<ManifestHead | undefined> {
    return this.#heads.run(`${repository.name}:${reference}:${known ?? ''}`, async () => {
      const answer = await repository.ask({
        method: 'HEAD',
        tail: `manifests/${reference}`,
        headers: {
          Accept: manifestTypes,
          ...(known === undefined ? {} : { 'If-None-Match': `"${known}"` }),
        },
        deadline,
      })
      answer.body.abort()
      if (answer.status === 304) return undefined
      const digest = parseDigest(headerOf(answer.headers, 'docker-content-digest') ?? '')
      const length = headerOf(answer.headers, 'content-length') ?? ''
      const mediaType = servedType(answer)
      if (!digest.ok || !/^\d{1,15}$/.test(length) || mediaType === '') {
        throw new UpstreamError('garbage', 'upstream answers a HEAD without digest, length or type')
      }
      if (reference.includes(':') && digest.value !== reference) {
        throw new UpstreamError('garbage', 'upstream answers a HEAD with another digest')
      }
      return { digest: digest.value, mediaType, sizeBytes: Number(length) }
    })
  }

  async #fetch(
    repository: MirroredRepository,
    reference: Reference,
    deadline: number,
  ): Promise<FetchedManifest> {
    const { clock } = this.#context
    const startedAt = clock.monotonic()
    const text = reference.kind === 'tag' ? reference.tag : reference.digest
    repository.mirror.stats.misses += 1
    const answer = await repository.fetch(
      {
        tail: `manifests/${text}`,
        headers: { Accept: manifestTypes },
        deadline,
      },
      manifestBytesMax,
    )
    repository.mirror.stats.firstByte((clock.monotonic() - startedAt) / 1000)
    const digest = verifiedDigest(answer, reference)
    const mediaType = servedType(answer)
    // A copy of its own: the network's buffers are larger than what they hold.
    return { digest, mediaType, bytes: new Uint8Array(answer.bytes), isStored: false }
  }

  /**
   * Stores a fetched manifest, with its tag and `more` in the same transaction. What the rules of a
   * push, or the store, do not take stays unstored, and is answered all the same: its digest is right.
   */
  async store(
    repository: MirroredRepository,
    fetched: FetchedManifest,
    reference: (Reference & { kind: 'tag' }) | undefined,
    more: readonly Change[],
  ): Promise<void> {
    const { pushes, logger, witness } = this.#context
    try {
      const by = `mirror ${repository.mirror.name}`
      const { subject } = await pushes.push({
        repository: repository.name,
        reference: reference ?? { kind: 'digest', digest: fetched.digest },
        tags: [],
        expected: reference === undefined ? undefined : fetched.digest,
        contentType: fetched.mediaType === '' ? undefined : fetched.mediaType,
        bytes: fetched.bytes,
        by,
        condition: { ifMatch: undefined, ifNoneMatch: undefined },
        more: [...more, ...this.#cooldown.childChanges(repository, fetched)],
      })
      // What is here already has only its tag moved.
      if (!fetched.isStored) {
        witness?.fetched({
          repository: repository.name,
          digest: fetched.digest,
          tags: reference === undefined ? [] : [reference.tag],
          upstream: `${new URL(repository.mirror.config.upstreams[0]!).host}/${repository.upstreamName}`,
          by,
          subject,
        })
      }
      fetched.isStored = true
    } catch (error) {
      if (!(error instanceof RegistryError)) throw error
      const { digest } = fetched
      const fields = { mirror: repository.mirror.name, repository: repository.name, digest, error }
      // What a push would not do is upstream's own affair, and comes again with every pull.
      if (error.status < 500) logger.debug(fields, 'mirrored manifest is passed on as it is')
      else logger.warn(fields, 'mirrored manifest is not stored')
    }
  }
}

/** The type that upstream sends; empty where it names none, or one that no manifest has. */
function servedType({ headers }: Answer): string {
  const type = manifestTypeOf(headerOf(headers, 'content-type')) ?? ''
  return type.startsWith('application/') ? type : ''
}

/**
 * The digest of the bytes. Throws `garbage` when upstream, or the client, named another, and for what
 * nobody has named that is no JSON.
 */
function verifiedDigest(
  answer: Answer & { readonly bytes: Uint8Array },
  reference: Reference,
): Digest {
  const header = parseDigest(headerOf(answer.headers, 'docker-content-digest') ?? '')
  const claimed = reference.kind === 'digest' ? reference.digest : header.ok ? header.value : ''
  const algorithm = claimed.slice(0, Math.max(0, claimed.indexOf(':')))
  const actual = digestOf(isAlgorithm(algorithm) ? algorithm : 'sha256', answer.bytes)
  if (claimed !== '' && claimed !== actual) {
    throw new UpstreamError('garbage', `upstream sends ${actual} as ${claimed}`)
  }
  if (claimed === '' && answer.bytes[0] !== 0x7b) {
    throw new UpstreamError('garbage', 'upstream sends no manifest, and says no digest')
  }
  return actual
}
