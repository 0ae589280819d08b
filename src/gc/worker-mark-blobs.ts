/**
 * @module Which blobs and links go: the second half of the walk that makes a plan. It looks at the
 * candidates that the writer keeps account of (`storage/apply-change.ts`), so that a store in which
 * nothing happened costs nothing; and at every blob once, in a store that was written before there
 * was such an account.
 */
import { cutoffMs } from '../distribution/reliance.ts'
import type { BlobRow, LinkRow } from '../storage/schema.ts'
import type { WalkOptions } from './worker-mark.ts'
import type { PlannedManifests } from './worker-planned.ts'
import { DigestStream } from './worker-rows.ts'

/** Digests between two visits of `onStep`. */
export const digestsPerStep = 5_000

/** Candidates read at once. */
const candidatesAtOnce = 1_000

/**
 * Blobs, holders and parents have the digest as their first component: read side by side, each
 * blob meets the repositories that hold it and the manifests that use it. What is not in use, and
 * not to go now, becomes a candidate.
 */
export async function walkBlobs(
  options: WalkOptions,
  planned: PlannedManifests,
  after: string | undefined,
): Promise<void> {
  const { environment, isStopped, onStep } = options
  const blobs = new DigestStream(environment, 'blobs', after)
  const look = new Look(options, planned, after, true)
  let sinceStep = 0
  for (let key = blobs.peek(); key !== undefined && !isStopped(); key = blobs.peek()) {
    const digest = key[0]!
    blobs.next()
    if (!look.isInUse(digest)) await options.onCandidate({ kind: 'suspect', digest })
    sinceStep += 1
    if (sinceStep < digestsPerStep) continue
    sinceStep = 0
    environment.refresh()
    await onStep({ stage: 'blobs', after: digest })
  }
}

/** The same for the candidates; those that are in use leave the index. */
export async function walkCandidates(
  options: WalkOptions,
  planned: PlannedManifests,
  from: string | undefined,
): Promise<void> {
  const { environment, isStopped, onCandidate, onStep } = options
  let after = from
  while (!isStopped()) {
    environment.refresh()
    const start = after === undefined ? '' : `${after}\u0001`
    const range = { start, end: '\u{10ffff}', limit: candidatesAtOnce }
    const batch = [...environment.entries('candidates', range)]
    // Streams of this snapshot or a later one: a stamp that is still the same when the entry is to
    // go says that nothing happened since before the look.
    const look = new Look(options, planned, after, false)
    for (const { key, value } of batch) {
      const digest = key as string
      after = digest
      if (look.isInUse(digest)) {
        await onCandidate({ kind: 'in-use', digest, stamp: value as number })
      }
    }
    if (batch.length < candidatesAtOnce) return
    await onStep({ stage: 'blobs', after })
  }
}

/** Looks at blobs in the order of their digests. */
class Look {
  readonly #options: WalkOptions
  readonly #planned: PlannedManifests
  readonly #holders: DigestStream
  readonly #parents: DigestStream

  constructor(
    options: WalkOptions,
    planned: PlannedManifests,
    after: string | undefined,
    isWhole: boolean,
  ) {
    this.#options = options
    this.#planned = planned
    this.#holders = new DigestStream(options.environment, 'holders', after, isWhole)
    this.#parents = new DigestStream(options.environment, 'parents', after, isWhole)
  }

  /** Whether a manifest uses it wherever it is; if not, what can go is in the plan afterwards. */
  isInUse(digest: string): boolean {
    const holding: string[] = []
    const using = new Set<string>()
    this.#holders.take(digest, ([, repository]) => holding.push(repository!))
    this.#parents.take(digest, ([, repository, manifest]) => {
      if (!this.#planned.has(repository!, manifest!)) using.add(repository!)
    })
    if (holding.length > 0 && holding.every((repository) => using.has(repository))) return true
    const row = this.#options.environment.get('blobs', digest) as BlobRow | undefined
    if (row === undefined) return true
    this.#judge(digest, row, holding, using)
    return false
  }

  #judge(
    digest: string,
    row: BlobRow,
    holding: readonly string[],
    using: ReadonlySet<string>,
  ): void {
    const { environment, now, rules, isMirrored, onItem } = this.#options
    const cutoff = now - cutoffMs(rules.graceMs)
    if (row.linkedAt > cutoff) return
    let staying = 0
    for (const repository of holding) {
      if (using.has(repository)) {
        staying += 1
        continue
      }
      const link = environment.get('links', [repository, digest]) as LinkRow | undefined
      if (link === undefined) continue
      if (link.linkedAt > cutoff || isMirrored(repository)) {
        staying += 1
        continue
      }
      onItem({
        kind: 'link',
        repository,
        digest,
        rule: 'unreferenced',
        reason: 'no manifest of the repository uses the blob',
        bytes: 0,
        at: Math.max(link.linkedAt, row.linkedAt),
      })
    }
    if (staying > 0 || using.size > 0) return
    onItem({
      kind: 'blob',
      digest,
      place: row.place,
      rule: 'unreferenced',
      reason: 'no repository needs the blob',
      bytes: row.sizeBytes,
      at: row.linkedAt,
    })
  }
}
