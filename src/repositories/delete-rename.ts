/**
 * @module Whole repositories: deleted (what was in them can be restored while the window lasts) and
 * renamed. Both are long work in short steps that can be begun again where they stopped.
 */

import { readManifestToRemove } from '../distribution/manifest-to-remove.ts'
import type { Protection } from '../distribution/protection.ts'
import {
  type Decision,
  dropTag,
  pointTag,
  recordEvent,
  removeManifest,
  unlinkBlob,
} from '../metadata/edits.ts'
import type { MetadataStore } from '../metadata/port.ts'
import { commitRetrying } from '../metadata/retry.ts'
import { inTurns, listAll } from '../metadata/scan.ts'
import type { TagRow } from '../metadata/schema.ts'
import type { Change } from '../metadata/transaction.ts'
import { RegistryError } from '../registry/errors.ts'
import type { RepositoryName } from '../registry/name.ts'
import type { Tag } from '../registry/tag.ts'
import type { Clock } from '../runtime/clock.ts'
import { violationEvents } from '../signing/gate.ts'
import type { Copies } from './copy.ts'

export interface RepositoriesOptions {
  readonly metadata: MetadataStore
  readonly clock: Clock
  readonly protection: Protection
  readonly copies: Copies
}

export interface Progress {
  readonly signal: AbortSignal
  update(counts: Readonly<Record<string, number>>): void
}

/** Looks at the tags of the old name before it goes. */
const looksMax = 5

/** Rows looked at in one turn. */
const rowsAtOnce = 100

export class Repositories {
  readonly #options: RepositoriesOptions

  constructor(options: RepositoriesOptions) {
    this.#options = options
  }

  /** Throws NAME_UNKNOWN, and DIGEST_PINNED or TAG_IMMUTABLE for something in it. */
  async requireDeletable(repository: RepositoryName): Promise<void> {
    const { metadata, protection, clock } = this.#options
    if (metadata.get('repositories', repository) === undefined) {
      throw new RegistryError('NAME_UNKNOWN', { detail: { name: repository } })
    }
    for (const [, tag] of await listAll(metadata, 'tags', [repository])) {
      const row = metadata.get('tags', [repository, tag])
      if (row !== undefined) protection.requireMovable(repository, tag, row.digest)
    }
    for (const [, digest] of await listAll(metadata, 'manifests', [repository])) {
      protection.requireUnpinned(metadata, clock, repository, digest)
    }
  }

  /** Empties the repository and takes it off the list. False when it was cancelled. */
  async delete(
    repository: RepositoryName,
    by: string,
    progress: Progress,
    why = 'its repository was deleted',
  ): Promise<boolean> {
    const { metadata, clock } = this.#options
    const removal = { at: clock.now(), by, why }
    const counts = { tags: 0, manifests: 0, blobs: 0 }
    const each = async (
      kind: keyof typeof counts,
      next: () => Promise<(Decision | undefined)[]> | (Decision | undefined)[],
    ): Promise<void> => {
      while (!progress.signal.aborted) {
        const decisions = await next()
        if (decisions.length === 0) return
        const outcomes = await Promise.all(
          decisions.map((it) => (it === undefined ? undefined : metadata.commit(it))),
        )
        counts[kind] += outcomes.filter((it) => it?.applied === true).length
        progress.update(counts)
      }
    }
    await each('tags', () =>
      metadata
        .entries('tags', [repository], undefined, rowsAtOnce)
        .map(({ key, row }) => dropTag(repository, key[1], row, removal)),
    )
    await each('manifests', async () => {
      const found = metadata.entries('manifests', [repository], undefined, rowsAtOnce)
      const decisions: Decision[] = []
      for (const { key, row } of found) {
        const [, digest] = key
        const it = await readManifestToRemove(metadata, repository, digest, row)
        decisions.push(removeManifest(it, removal))
      }
      return decisions
    })
    await each('blobs', () =>
      metadata.keys('links', [repository], undefined, rowsAtOnce).map(([, digest]) => ({
        checks: [],
        changes: unlinkBlob(repository, digest),
      })),
    )
    if (progress.signal.aborted) return false
    const event = { at: clock.now(), action: 'delete-repository', repository, by, why } as const
    // Pushed to meanwhile: then it lives on, with what was pushed.
    const { applied } = await metadata.commit({
      checks: [
        { check: 'none', in: 'tags', prefix: [repository] },
        { check: 'none', in: 'manifests', prefix: [repository] },
        { check: 'none', in: 'links', prefix: [repository] },
      ],
      changes: [{ change: 'delete', in: 'repositories', key: repository }, recordEvent(event)],
    })
    return applied
  }

  /**
   * Throws NAME_UNKNOWN, NAME_TAKEN when the new name is taken by something else, and SIGNATURE_REQUIRED when a
   * tag may not point there by the policy of the new name.
   */
  async requireRenamable(from: RepositoryName, to: RepositoryName): Promise<void> {
    const { metadata, copies } = this.#options
    if (metadata.get('repositories', from) === undefined) {
      throw new RegistryError('NAME_UNKNOWN', { detail: { name: from } })
    }
    const isBegun = metadata.get('progress', renameKey(from)) === to
    const isFree = from !== to && (isBegun || metadata.get('repositories', to) === undefined)
    if (!isFree) throw new RegistryError('NAME_TAKEN')
    if (!copies.isWatched(to)) return
    for await (const { key, row } of inTurns(metadata, 'tags', [from])) {
      await copies.judge(from, to, key[1], row.digest)
    }
  }

  /** Everything under the new name, tags with their history; then the old one goes. */
  async rename(
    from: RepositoryName,
    to: RepositoryName,
    by: string,
    progress: Progress,
  ): Promise<boolean> {
    const { metadata, copies, clock } = this.#options
    const key = renameKey(from)
    await this.#put([{ change: 'put', in: 'progress', key, row: to }])
    const counts = { manifestsCopied: 0, tagsCopied: 0 }
    for (const [, digest] of await listAll(metadata, 'manifests', [from])) {
      if (progress.signal.aborted) return false
      const reference = { kind: 'digest', digest } as const
      await copies.copy({ from, reference, to, tag: undefined, withReferrers: false, by })
      counts.manifestsCopied += 1
      progress.update(counts)
    }
    // Again while clients push to the old name: what comes after the last look goes with it, restorable.
    for (let look = 0; look < looksMax; look += 1) {
      let moved = 0
      for (const [, tag] of await listAll(metadata, 'tags', [from])) {
        if (progress.signal.aborted) return false
        if (await this.#takeTagAlong(from, to, tag, by)) moved += 1
        progress.update({ ...counts, tagsCopied: counts.tagsCopied + moved })
      }
      counts.tagsCopied += moved
      if (moved === 0) break
    }
    const event = {
      at: clock.now(),
      action: 'rename-repository',
      repository: to,
      by,
      from,
    } as const
    await this.#put([recordEvent(event)])
    const isGone = await this.delete(from, by, progress, `renamed to ${to}`)
    if (isGone) await this.#put([{ change: 'delete', in: 'progress', key }])
    return isGone
  }

  /**
   * Points the tag of the new name at what it points at under the old one, with its history. A newer push
   * to the new name stays. A push to the old name in between is taken along with its manifest. Resolves to
   * whether there was anything to do.
   */
  async #takeTagAlong(
    from: RepositoryName,
    to: RepositoryName,
    tag: Tag,
    by: string,
  ): Promise<boolean> {
    const { metadata, copies, clock } = this.#options
    let isTaken = false
    let onMoved: (() => void) | undefined
    await commitRetrying(metadata, async () => {
      const row = metadata.get('tags', [from, tag])
      const there = metadata.get('tags', [to, tag])
      isTaken = row !== undefined && (there === undefined || isOlder(there, row))
      if (row === undefined || !isTaken) return { checks: [], changes: [] }
      const { digest } = row
      const admission = await copies.judge(from, to, tag, digest)
      onMoved = admission?.onMoved
      if (metadata.get('manifests', [to, digest]) === undefined) {
        const reference = { kind: 'digest', digest } as const
        await copies.copy({ from, reference, to, tag: undefined, withReferrers: false, by })
      }
      const key = [to, tag] as const
      const pulledAt = metadata.get('pulls', [from, tag])
      return {
        checks: [
          { check: 'unchanged', in: 'tags', key: [from, tag], row },
          { check: 'present', in: 'manifests', key: [to, digest] },
          there === undefined
            ? { check: 'absent', in: 'tags', key }
            : { check: 'unchanged', in: 'tags', key, row: there },
          ...(admission?.checks ?? []),
        ],
        changes: [
          ...(admission === undefined
            ? []
            : violationEvents({ repository: to, digest, tags: [tag] }, admission, by, clock.now())),
          ...pointTag(to, tag, row, there?.digest),
          ...(pulledAt === undefined
            ? []
            : [{ change: 'put', in: 'pulls', key, row: pulledAt } as const]),
        ],
      }
    })
    if (isTaken) onMoved?.()
    return isTaken
  }

  async #put(changes: Change[]): Promise<void> {
    await this.#options.metadata.commit({ checks: [], changes })
  }
}

function renameKey(from: RepositoryName): string {
  return `rename:${from}`
}

/** Whether the tag of the new name is to become what the old name's is: that was pushed later. */
function isOlder(there: TagRow, row: TagRow): boolean {
  const isOther = there.digest !== row.digest
  return there.pushedAt < row.pushedAt || (isOther && there.pushedAt === row.pushedAt)
}
