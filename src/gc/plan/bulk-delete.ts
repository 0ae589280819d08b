/**
 * @module A plan of tags to delete by pattern: made in short turns, shown, applied like every other.
 */

import type { Protection } from '../../distribution/protection.ts'
import { holdsNow } from '../../metadata/edits.ts'
import type { MetadataReader } from '../../metadata/port.ts'
import { inTurns } from '../../metadata/scan.ts'
import { anyPattern } from '../../registry/pattern.ts'
import { PlanWriter } from './file.ts'
import type { Plans } from './plans.ts'

export interface BulkRequest {
  readonly repositories: readonly string[]
  readonly tags: readonly string[]
  /** Only tags that were pushed before this, ms since the epoch. */
  readonly pushedBefore: number | undefined
  readonly by: string
  readonly now: number
}

/** Writes the plan; its id. Immutable tags, pinned digests and mirrored repositories are not in it. */
export async function planBulkDelete(
  metadata: MetadataReader,
  plans: Plans,
  protection: Protection,
  isMirrored: (repository: string) => boolean,
  request: BulkRequest,
): Promise<string> {
  const { by, now, pushedBefore } = request
  const fitsRepository = anyPattern(request.repositories)
  const fitsTag = anyPattern(request.tags)
  const id = plans.newId()
  const writer = await PlanWriter.open(plans.path(id), 0)
  let count = 0
  try {
    for await (const { key: repository } of inTurns(metadata, 'repositories', [])) {
      if (!fitsRepository(repository) || isMirrored(repository)) continue
      for await (const { key, row } of inTurns(metadata, 'tags', [repository])) {
        const { digest, pushedAt } = row
        if (!fitsTag(key[1]) || (pushedBefore !== undefined && pushedAt >= pushedBefore)) continue
        if (protection.isImmutable(repository, key[1])) continue
        const pins = metadata.entries('pins', [digest], undefined, 1_000)
        if (pins.some((pin) => holdsNow(pin.row, repository, now))) continue
        const pulledAt = Math.max(
          metadata.get('pulls', [repository, key[1]]) ?? 0,
          metadata.get('pulls', [repository, digest]) ?? 0,
        )
        count += 1
        writer.add({
          kind: 'tag',
          repository,
          tag: key[1],
          digest,
          rule: 'bulk-delete',
          reason: `deleted by pattern, asked for by ${by}`,
          bytes: 0,
          at: pushedAt,
          ...(pulledAt === 0 ? {} : { pulledAt }),
        })
        if (writer.isFull) await writer.flush()
      }
    }
    await writer.flush()
  } finally {
    await writer.close()
  }
  await plans.put(id, {
    createdAt: now,
    by,
    kind: 'bulk-delete',
    state: 'ready',
    counts: { tag: count },
    bytes: 0,
    rules: [],
    unapproved: [],
  })
  return id
}
