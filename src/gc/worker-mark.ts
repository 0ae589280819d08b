/**
 * @module The walk that makes a plan, inside a worker. Sequential reads of indexes, no walk of the
 * disk: repositories (tags and manifests), then the candidates among the blobs. Items go to a file as they are found, so memory does not grow
 * with the plan. The walk can be interrupted between two repositories or blobs and go on from there.
 *
 * What it sees may be untrue a moment later: applying looks again inside each transaction.
 */

import { parseRepositoryName } from '../registry/name.ts'
import type { LmdbEnvironment } from '../storage/lmdb-environment.ts'
import type { Candidate } from '../storage/sweep.ts'
import { type MarkOptions, markRepository } from './mark-repository.ts'
import type { PlanItem } from './plan-item.ts'
import { digestsPerStep, walkBlobs, walkCandidates } from './worker-mark-blobs.ts'
import type { PlannedManifests } from './worker-planned.ts'
import { DigestStream, WorkerRows } from './worker-rows.ts'

export type MarkStage = 'repositories' | 'blobs' | 'manifest-bytes' | 'done'

export interface MarkCursor {
  readonly stage: MarkStage
  /** Name or digest behind which to go on. */
  readonly after: string | undefined
}

export interface WalkOptions extends MarkOptions {
  readonly environment: LmdbEnvironment
  readonly isMirrored: (repository: string) => boolean
  readonly isStopped: () => boolean
  /** An item of the plan. */
  readonly onItem: (item: PlanItem) => void
  /** News for the index of candidates. */
  readonly onCandidate: (candidate: Candidate) => Promise<void>
  /** A blob of a manifest that goes; known to the index when `onStep` of another stage resolves. */
  readonly onSuspect: (digest: string) => void
  /** Rules that would delete tags and may not. */
  readonly onHeld: (tags: number, rules: ReadonlySet<string>) => void
  /** Called between steps; waits where it must (the file, the pace). */
  readonly onStep: (cursor: MarkCursor) => Promise<void>
}

/** Repositories between two visits of `onStep`. */
const repositoriesPerStep = 50

/**
 * `planned`: manifests of an earlier part of the same plan. Their blobs are suspects from the moment
 * in which the plan is made: `isFull` looks at every blob anyway, otherwise the index is told first.
 */
export async function walk(
  options: WalkOptions,
  planned: PlannedManifests,
  from: MarkCursor,
  isFull: boolean,
): Promise<void> {
  let { stage, after } = from
  if (stage === 'repositories') {
    await walkRepositories(options, planned, after, isFull)
    stage = 'blobs'
    after = undefined
    // Tells the suspects of the last repositories too.
    if (!options.isStopped()) await options.onStep({ stage, after })
  }
  if (stage === 'blobs' && !options.isStopped()) {
    await (isFull ? walkBlobs : walkCandidates)(options, planned, after)
    stage = 'manifest-bytes'
    after = undefined
  }
  // Bytes without a holder are left by versions that kept no account of them.
  if (isFull && stage === 'manifest-bytes' && !options.isStopped()) {
    await walkManifestBytes(options, after)
  }
  if (!options.isStopped()) await options.onStep({ stage: 'done', after: undefined })
}

async function walkRepositories(
  options: WalkOptions,
  planned: PlannedManifests,
  after: string | undefined,
  isFull: boolean,
): Promise<void> {
  const { environment, isMirrored, isStopped, onItem, onHeld, onStep } = options
  const rows = new WorkerRows(environment)
  const names = new DigestStream(environment, 'repositories', after)
  let sinceStep = 0
  for (let key = names.peek(); key !== undefined && !isStopped(); key = names.peek()) {
    names.next()
    const name = parseRepositoryName(key[0]!)
    if (!name.ok || isMirrored(name.value)) continue
    const marked = markRepository(rows, name.value, options)
    for (const item of marked.items) {
      onItem(item)
      if (item.kind === 'tag') continue
      planned.add(item.repository, item.digest)
      if (!isFull) tellSuspects(options, rows, item.digest)
    }
    if (marked.heldTags > 0) onHeld(marked.heldTags, marked.heldRules)
    sinceStep += 1
    if (sinceStep < repositoriesPerStep) continue
    sinceStep = 0
    environment.refresh()
    await onStep({ stage: 'repositories', after: name.value })
  }
}

function tellSuspects({ onSuspect }: WalkOptions, rows: WorkerRows, manifest: string): void {
  // What an index lists may be a blob, too.
  for (const [, child] of rows.keysBelow('children', [manifest])) onSuspect(child)
}

/** Bytes without a holder: left by versions that did not keep account of them. */
async function walkManifestBytes(options: WalkOptions, after: string | undefined): Promise<void> {
  const { environment, isStopped, onItem, onStep } = options
  const stored = new DigestStream(environment, 'manifestBytes', after)
  const holders = new DigestStream(environment, 'manifestHolders', after)
  let sinceStep = 0
  for (let key = stored.peek(); key !== undefined && !isStopped(); key = stored.peek()) {
    const digest = key[0]!
    stored.next()
    let isHeld = false
    holders.take(digest, () => {
      isHeld = true
    })
    if (!isHeld) {
      const bytes = environment.getBytes('manifestBytes', digest)?.byteLength ?? 0
      const reason = 'no repository has the manifest or may want it back'
      const at = options.now
      onItem({ kind: 'manifest-bytes', digest, rule: 'unreferenced', reason, bytes, at })
    }
    sinceStep += 1
    if (sinceStep < digestsPerStep) continue
    sinceStep = 0
    environment.refresh()
    await onStep({ stage: 'manifest-bytes', after: digest })
  }
}
