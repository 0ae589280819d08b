/**
 * @module Digests that are too young to be trusted: what this registry saw first less than
 * `cooldown` ago is not served. Children of an index are as old as the index.
 */

import type { Change } from '../metadata/transaction.ts'
import { type Digest, parseDigest } from '../registry/digest.ts'
import { RegistryError } from '../registry/errors.ts'
import type { MirrorContext } from './context.ts'
import type { MirroredRepository } from './mirrored-repository.ts'

export class Cooldown {
  readonly #context: Pick<MirrorContext, 'metadata' | 'clock'>

  constructor(context: Pick<MirrorContext, 'metadata' | 'clock'>) {
    this.#context = context
  }

  /** How long the digest still has to wait, ms; 0 when it may be served. Notes a first sight. */
  async remaining(repository: MirroredRepository, digest: Digest): Promise<number> {
    const { cooldownMs } = repository.mirror.config
    if (cooldownMs === 0) return 0
    const { metadata, clock } = this.#context
    const now = clock.now()
    const key = [repository.name, digest] as const
    const firstSeenAt =
      metadata.get('mirrorSeen', key)?.firstSeenAt ?? metadata.get('manifests', key)?.pushedAt
    if (firstSeenAt !== undefined) return Math.max(0, firstSeenAt + cooldownMs - now)
    await metadata.commit({
      checks: [],
      changes: [{ change: 'putIfAbsent', in: 'mirrorSeen', key, row: { firstSeenAt: now } }],
    })
    return cooldownMs
  }

  /** Throws IN_COOLDOWN while the digest has to wait. */
  async require(repository: MirroredRepository, digest: Digest): Promise<void> {
    const waitMs = await this.remaining(repository, digest)
    if (waitMs > 0) throw tooYoung(digest, waitMs)
  }

  /** Rows that make the children of an index as old as it is. */
  childChanges(
    repository: MirroredRepository,
    manifest: { readonly digest: Digest; readonly bytes: Uint8Array },
  ): Change[] {
    if (repository.mirror.config.cooldownMs === 0) return []
    const row = this.#context.metadata.get('mirrorSeen', [repository.name, manifest.digest])
    if (row === undefined) return []
    return indexChildren(manifest.bytes).flatMap(({ digest: text }): Change[] => {
      const digest = parseDigest(text)
      if (!digest.ok) return []
      return [
        { change: 'putIfAbsent', in: 'mirrorSeen', key: [repository.name, digest.value], row },
      ]
    })
  }
}

export interface IndexChild {
  readonly digest: string
  readonly platform: string
}

/** Children of an index with their platforms (`linux/arm64/v8`); none for anything else. */
export function indexChildren(bytes: Uint8Array): IndexChild[] {
  try {
    const { manifests } = JSON.parse(Buffer.from(bytes).toString('utf8')) as {
      manifests?: { digest?: unknown; platform?: Record<string, unknown> }[]
    }
    if (!Array.isArray(manifests)) return []
    return manifests.map(({ digest, platform = {} }) => {
      const parts = [platform['os'], platform['architecture'], platform['variant']]
      return { digest: String(digest), platform: parts.filter((part) => part).join('/') }
    })
  } catch {
    return []
  }
}

export function tooYoung(digest: Digest, waitMs: number): RegistryError {
  const secondsLeft = Math.ceil(waitMs / 1000)
  return new RegistryError('IN_COOLDOWN', {
    detail: { digest, secondsLeft },
    facts: { retryAfterSeconds: secondsLeft },
  })
}
