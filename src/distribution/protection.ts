/**
 * @module What may not be moved or deleted: tags that are immutable by pattern, digests that are
 * pinned. Asked by deletes and undeletes. A push says only whether its tag is immutable, because the tag's
 * row is judged where it is moved (`metadata/apply/move-tag.ts`). Collection asks the pins itself.
 */

import { holdsNow } from '../metadata/edits.ts'
import type { MetadataReader } from '../metadata/port.ts'
import type { Digest } from '../registry/digest.ts'
import { RegistryError } from '../registry/errors.ts'
import type { RepositoryName } from '../registry/name.ts'
import { anyPattern, type Pattern } from '../registry/pattern.ts'
import type { Tag } from '../registry/tag.ts'
import type { Clock } from '../runtime/clock.ts'

export interface ImmutableTags {
  readonly repositories: readonly string[]
  readonly tags: readonly string[]
}

/** Pins looked at for one digest; a digest that has more is pinned whatever they say. */
const pinsLookedAtMax = 1_000

export class Protection {
  readonly #rules: readonly { readonly repositories: Pattern; readonly tags: Pattern }[]
  #blocked = 0

  constructor(immutable: readonly ImmutableTags[] = []) {
    this.#rules = immutable.map(({ repositories, tags }) => ({
      repositories: anyPattern(repositories),
      tags: anyPattern(tags),
    }))
  }

  /** Moves and deletes refused since the start: for the metric. */
  get blockedCount(): number {
    return this.#blocked
  }

  isImmutable(repository: RepositoryName, tag: Tag): boolean {
    return this.#rules.some((rule) => rule.repositories(repository) && rule.tags(tag))
  }

  /** Throws TAG_IMMUTABLE with the current digest when the tag may not go elsewhere. */
  requireMovable(repository: RepositoryName, tag: Tag, current: Digest): void {
    if (this.isImmutable(repository, tag)) throw this.immutable(tag, current)
  }

  /** The refusal of a move that the writer decided. */
  immutable(tag: Tag, current: Digest): RegistryError {
    return this.#refusal('TAG_IMMUTABLE', { tag, current })
  }

  /** Throws DIGEST_PINNED when a pin holds the digest in this repository. */
  requireUnpinned(
    metadata: MetadataReader,
    clock: Clock,
    repository: RepositoryName,
    digest: Digest,
  ): void {
    const pins = metadata.entries('pins', [digest], undefined, pinsLookedAtMax)
    const pin = pins.find(({ row }) => holdsNow(row, repository, clock.now()))
    if (pin === undefined) return
    throw this.#refusal('DIGEST_PINNED', { digest, pin: pin.key[1] })
  }

  #refusal(kind: 'TAG_IMMUTABLE' | 'DIGEST_PINNED', detail: object): RegistryError {
    this.#blocked += 1
    return new RegistryError(kind, { detail })
  }
}
