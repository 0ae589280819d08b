/**
 * @module Signatures of what a mirror brings: fetched before the policy of the repository is asked, and a tag that
 * means something verified goes on meaning it when upstream moves it to something that is not.
 */
import type { MetadataReader } from '../metadata/port.ts'
import type { Digest } from '../registry/digest.ts'
import type { RepositoryName } from '../registry/name.ts'
import { namesakeOf } from '../registry/named-tag.ts'
import type { Tag } from '../registry/tag.ts'
import { BoundedMap } from '../runtime/bounded-map.ts'
import type { Clock } from '../runtime/clock.ts'
import { SingleFlight } from '../runtime/single-flight.ts'
import type { MirroredRepository } from './mirrored-repository.ts'

/** What policies say of mirrored repositories. */
export interface MirrorGate {
  /** The mode of the policy that wants to judge what comes into it; undefined: none does. */
  modeOf(repository: RepositoryName): 'audit' | 'warn' | 'enforce' | undefined
  /**
   * Whether it is verified by the signatures that are here. `isAnew`: some have come since it was asked before. Rejects
   * when it cannot be found out now.
   */
  isVerified(repository: RepositoryName, digest: Digest, isAnew: boolean): Promise<boolean>
  /** Whether it may be pulled by no client, whatever the policies say. */
  isRevoked(digest: Digest): boolean
}

/** What upstream has for signatures of one image, ms. */
const fetchMsMax = 10_000

/** Upstream is not asked again for signatures of an image so soon, ms. */
const askedForMs = 60_000

/** Images whose signatures were asked for lately. */
const askedMax = 10_000

export interface VerificationParts {
  readonly metadata: MetadataReader
  readonly clock: Clock
  readonly gate: MirrorGate
  readonly fetchSigned: FetchSigned
}

/** Brings what upstream has of signatures of an image. */
export type FetchSigned = (repository: MirroredRepository, digest: Digest) => Promise<void>

export class Verification {
  readonly #parts: VerificationParts
  readonly #flights = new SingleFlight<boolean>()
  readonly #askedAt = new BoundedMap<string, number>(askedMax)

  constructor(parts: VerificationParts) {
    this.#parts = parts
  }

  /** Whether clients may see only what is verified. */
  isEnforced({ name }: MirroredRepository): boolean {
    return this.#parts.gate.modeOf(name) === 'enforce'
  }

  /** Whether it is decided here if a tag may mean it, so that clients hear of it only then. */
  isJudged(repository: MirroredRepository, digest: Digest): boolean {
    return this.#parts.gate.isRevoked(digest) || this.isEnforced(repository)
  }

  /** Why a tag that means `before` may not mean `digest` instead; undefined: it may. */
  async objection(
    repository: MirroredRepository,
    tag: Tag,
    before: Digest,
    digest: Digest,
  ): Promise<string | undefined> {
    if (this.#parts.gate.isRevoked(digest)) return 'the newer one is revoked'
    // A tag of signatures is what others are verified by.
    if (namesakeOf(tag) !== undefined) return undefined
    if (!this.isEnforced(repository)) return undefined
    if (await this.#verified(repository, digest)) return undefined
    // Nothing is won by keeping one that is not verified either. One that may be verified stays.
    const wasVerified = await this.#isVerified(repository, before)
    return wasVerified === false ? undefined : 'the newer one is not verified'
  }

  /**
   * Sees to it that the signatures of a manifest which is about to be answered are here. Undefined: nothing has to be
   * waited for. Never rejects.
   */
  prepare(repository: MirroredRepository, digest: Digest): Promise<unknown> | undefined {
    const mode = this.#parts.gate.modeOf(repository.name)
    if (mode === undefined) return undefined
    const working = this.#verified(repository, digest)
    return mode === 'enforce' ? working : undefined
  }

  /** By what is here, and if that is not enough, by what upstream has. */
  #verified(repository: MirroredRepository, digest: Digest): Promise<boolean> {
    const key = `${repository.name}@${digest}`
    return this.#flights.run(key, async () => {
      if ((await this.#isVerified(repository, digest)) === true) return true
      const { clock } = this.#parts
      const askedAt = this.#askedAt.get(key) ?? Number.NEGATIVE_INFINITY
      if (clock.monotonic() - askedAt < askedForMs) return false
      this.#askedAt.set(key, clock.monotonic())
      await this.#fetch(repository, digest)
      return (await this.#isVerified(repository, digest, true)) === true
    })
  }

  async #fetch(repository: MirroredRepository, digest: Digest): Promise<void> {
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, fetchMsMax)
    })
    // What cannot be had now is not there: the next look is in a minute.
    const fetching = this.#parts.fetchSigned(repository, digest).catch(() => undefined)
    await Promise.race([fetching, late])
    clearTimeout(timer)
  }

  /** Undefined: it cannot be found out now. */
  async #isVerified(
    { name }: MirroredRepository,
    digest: Digest,
    isAnew = false,
  ): Promise<boolean | undefined> {
    const { metadata, gate } = this.#parts
    if (metadata.get('manifests', [name, digest]) === undefined) return false
    try {
      return await gate.isVerified(name, digest, isAnew)
    } catch {
      return undefined
    }
  }
}
